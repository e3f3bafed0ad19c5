"""What the starter's recipe makes of the street's frames."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import starter
import starter_samples
import torch

from mono2many.geometry.warp import warp
from mono2many.models.checkpoint import load_model
from mono2many.street.reader import StreetSettings, SyntheticReader


@pytest.mark.parametrize("mirrored", [False, True])
def test_a_cropped_and_mirrored_pair_still_explains_itself(mirrored: bool) -> None:
    reader = SyntheticReader(StreetSettings(3, 2, 128, 256, moving=False), "train")
    pair = starter_samples.pair_of(reader.frame(1, 0), reader.frame(1, 1))
    box, size = starter_samples.Box(20, 30, 96, 180), (96, 192)
    sample = starter_samples.cut_out(pair, size, box, mirrored, second=False)
    k = torch.eye(3)
    for axis, (edge, cut, whole) in enumerate(((30, 180, 256), (20, 96, 128))):
        zoom = size[1 - axis] / cut
        k[axis, axis] = pair.focal * zoom
        middle = (whole / 2 - edge) * zoom
        k[axis, 2] = (size[1] - middle if mirrored and axis == 0 else middle) - 0.5
    depth = sample.depth.nan_to_num(1e6)[None]
    view, seen = warp(sample.images[1:], depth, sample.second_from_first[None], k[None], k[None])
    error = lambda images: (images - sample.images[:1]).abs().mean(1)[seen].mean()  # noqa: E731
    assert error(view) < 0.4 * error(sample.images[1:])


def test_half_the_angle_of_view_halves_depth_and_motion() -> None:
    images = torch.zeros(2, 3, 64, 128, dtype=torch.uint8)
    forward = torch.eye(4)
    forward[2, 3] = -1.0
    pair = starter_samples.Pair(images, torch.full((2, 64, 128), 10.0), 0.58 * 128, forward)
    for width, unit in ((128, 1.0), (64, 0.5)):
        sample = starter_samples.cut_out(pair, (32, 64), starter_samples.Box(0, 0, 32, width), False, True)
        assert sample.depth.unique().tolist() == pytest.approx([10 * unit])
        assert float(sample.second_from_first[2, 3]) == pytest.approx(-unit)
        assert float(sample.reach) == pytest.approx(starter_samples.REACH * unit)


def test_every_step_draws_its_share_of_new_pairs() -> None:
    reader = SyntheticReader(StreetSettings(1, 2, 64, 96), "train")
    pair = starter_samples.pair_of(reader.frame(0, 0), reader.frame(0, 1))
    drawn: list[int] = []

    def source() -> Iterator[object]:
        while True:
            drawn.append(1)
            yield pair

    pool = starter_samples.Pool(source(), (64, 96), 2)
    for _ in range(8):
        pool.batch(0.5, torch.Generator())
    assert len(drawn) == starter_samples.FEWEST + 4


def test_the_recipe_writes_a_model_in_half_precision_that_loads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = (starter.Shape((64, 96), (64, 96), 2),)
    for stage in ("SMALL", "LARGE", "MEDIUM"):
        monkeypatch.setattr(starter, stage, small)
    monkeypatch.setattr(starter_samples, "FEWEST", 2)
    monkeypatch.setattr(starter, "TESTED", 1)
    starter.train(starter.Settings(tmp_path, steps=2, encoder_weights="none", report_every=1))
    model, card = load_model(tmp_path)
    assert card.sizes == starter.SIZES
    assert (tmp_path / "model.safetensors").stat().st_size < 10e6
    assert torch.isfinite(model.depth(torch.rand(1, 3, 64, 96))).all()
