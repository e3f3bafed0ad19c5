from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from mono2many.data.cache import cached
from mono2many.data.dataset import BatchOrder, ClipDataset, batches, spread_out
from mono2many.errors import InputError
from mono2many.street.reader import StreetSettings, SyntheticReader
from mono2many.types import Frame, FrameSequence, RawBatch


class Numbers:
    """A reader whose pictures say where they come from."""

    def __init__(self, *lengths: int) -> None:
        self.clips: Sequence[FrameSequence] = [
            FrameSequence(str(i), n, camera=i) for i, n in enumerate(lengths)
        ]

    def fingerprint(self) -> str:
        return "numbers"

    def frame(self, clip: int, index: int) -> Frame:
        return Frame(torch.full((3, 2, 2), 10 * clip + index, dtype=torch.uint8), torch.eye(3))


def test_a_sample_is_a_frame_with_its_neighbours_of_the_same_clip() -> None:
    dataset = ClipDataset(Numbers(3, 4), (-1, 1))
    assert len(dataset) == 7
    found = dataset.batch([4, 0, 2])  # clip 1, frame 1; both ends of clip 0, where a neighbour is absent
    assert found.frames[..., 0, 0, 0].tolist() == [[11, 10, 12], [0, 0, 1], [2, 1, 0]]
    assert found.exists.tolist() == [[True, True, True], [True, False, True], [True, True, False]]
    assert found.camera.tolist() == [1, 0, 0]
    assert found.depth is None


def test_a_larger_frame_step_leaves_out_what_has_no_neighbour() -> None:
    assert len(ClipDataset(Numbers(3, 6), (-3, 3))) == 6
    with pytest.raises(InputError, match="smaller --frame-step"):
        ClipDataset(Numbers(3), (-3, 3))


@pytest.mark.parametrize("depth", [False, True])
def test_a_batch_out_of_the_cache_is_that_of_the_reader(depth: bool, tmp_path: Path) -> None:
    reader = SyntheticReader(StreetSettings(2, 3, 16, 32), "train") if depth else Numbers(3, 4)
    plain = ClipDataset(reader, (-1, 2))
    packed = ClipDataset(cached(reader, tmp_path), (-1, 2))
    indices = [5, 0, 2, 2]
    expected = plain.batch(indices)
    absent = {"valid_mask", "stereo_x"} | (set() if depth else {"depth", "moving"})
    assert {name for name, value in vars(expected).items() if value is None} == absent
    for loader in (batches(packed, [indices], workers, pin=False) for workers in (0, 1)):
        for found in loader:
            assert isinstance(found, RawBatch)
            for name, value in vars(expected).items():
                torch.testing.assert_close(getattr(found, name), value, equal_nan=True, rtol=0, atol=0)


class Unreadable(Numbers):
    def frame(self, clip: int, index: int) -> Frame:
        raise InputError("a.png: cannot be read")


@pytest.mark.parametrize("workers", [0, 2])
def test_what_cannot_be_read_is_said_in_one_line_also_by_a_worker(workers: int) -> None:
    with pytest.raises(InputError) as caught:
        list(batches(ClipDataset(Unreadable(4), (-1, 1)), [[0, 1]], workers, pin=False))
    assert str(caught.value) == "a.png: cannot be read"


def test_an_epoch_shows_every_sample_once_and_a_resumed_run_sees_what_it_would_have_seen() -> None:
    order = list(BatchOrder(10, 3, seed=0, start=0, stop=9))
    assert [len(batch) for batch in order] == [3] * 9
    for epoch in range(3):
        shown = [i for batch in order[3 * epoch : 3 * epoch + 3] for i in batch]
        assert len(set(shown)) == 9  # the short last batch is dropped
    assert list(BatchOrder(10, 3, seed=0, start=4, stop=9)) == order[4:]


def test_processes_share_each_batch() -> None:
    whole = list(BatchOrder(10, 4, 0, 0, 2))
    shares = [list(BatchOrder(10, 4, 0, 0, 2, rank, 2)) for rank in (0, 1)]
    for step in range(2):
        assert sorted(shares[0][step] + shares[1][step]) == sorted(whole[step])


def test_a_batch_larger_than_the_data_is_refused() -> None:
    with pytest.raises(InputError, match="--batch-size 12 is more than the 5 training samples"):
        BatchOrder(5, 12, 0, 0, 1)


def test_validation_looks_at_samples_spread_over_the_whole() -> None:
    assert spread_out(100, 4, 3) == [[0, 25, 50], [75]]
    assert spread_out(2, 4, 3) == [[0, 1]]


def test_the_loader_gives_the_batches_of_the_order() -> None:
    dataset = ClipDataset(Numbers(6, 6), (-1, 1))
    order = BatchOrder(len(dataset), 4, 0, 0, 5)
    for workers in (0, 2):
        found = [clips.index.tolist() for clips in batches(dataset, order, workers, pin=False)]
        assert found == list(order)
