"""From frames to batches: neighbours, decoding ahead of time, order. Shared by every reader."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from mono2many.data.draws import shuffled
from mono2many.types import Clip, Clips, Frame, InputError, Reader, Sample


class Preloaded:
    """A reader whose frames were all opened once and are kept in memory (uint8)."""

    def __init__(self, reader: Reader, progress: Callable[[int, int], None] | None = None, workers: int = 0):
        self.clips: Sequence[Clip] = reader.clips
        places = [(c, i) for c, clip in enumerate(self.clips) for i in range(clip.frames)]
        loader = DataLoader(
            _Frames(reader, places),
            batch_size=None,
            num_workers=workers,
            prefetch_factor=8 if workers else None,
        )
        self._frames: dict[tuple[int, int], Frame] = {}
        for done, (place, frame) in enumerate(zip(places, loader, strict=True)):
            # a copy: a frame from another process keeps a file handle open as long as it lives
            self._frames[place] = _copied(frame) if workers else frame
            if progress is not None:
                progress(done + 1, len(places))

    def frame(self, clip: int, index: int) -> Frame:
        return self._frames[clip, index]


class ClipDataset(Dataset[Sample]):
    """Every frame of a reader that has a neighbour, with its neighbours.

    offsets: times of the sources in frames, for example (-1, 1). Frames of one data set have one size.
    shuffle_sources: take the sources from another clip instead, a control that must learn nothing.
    Raises InputError if no frame has a neighbour.
    """

    def __init__(self, reader: Reader, offsets: Sequence[int], shuffle_sources: bool = False) -> None:
        self.reader = reader
        self.offsets = tuple(offsets)
        self.shuffle_sources = shuffle_sources
        self.places = [
            (c, i)
            for c, clip in enumerate(reader.clips)
            for i in range(clip.frames)
            if any(0 <= i + offset < clip.frames for offset in offsets)
        ]
        if not self.places:
            raise InputError(
                f"--data: no frame has a neighbour {' or '.join(map(str, offsets))} frames away; "
                "give longer clips or a smaller --frame-step"
            )

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: int) -> Sample:
        clip, at = self.places[index]
        target = self.reader.frame(clip, at)
        other = (
            (clip + len(self.reader.clips) // 2) % len(self.reader.clips) if self.shuffle_sources else clip
        )
        limit = self.reader.clips[other].frames
        frames = [target] + [
            self.reader.frame(other, at + offset) if 0 <= at + offset < limit else None
            for offset in self.offsets
        ]
        black = torch.zeros_like(target.image)
        return Sample(
            frames=torch.stack([black if f is None else f.image for f in frames]),
            exists=torch.tensor([f is not None for f in frames]),
            intrinsics=torch.stack([(f or target).intrinsics for f in frames]),
            index=index,
            depth=target.depth,
            moving=target.moving,
        )


def collate(samples: Sequence[Sample]) -> Clips:
    """Stack samples of one data set."""

    def optional(values: list[Tensor | None]) -> Tensor | None:
        known = [v for v in values if v is not None]
        return torch.stack(known) if len(known) == len(values) else None

    return Clips(
        frames=torch.stack([s.frames for s in samples]),
        exists=torch.stack([s.exists for s in samples]),
        intrinsics=torch.stack([s.intrinsics for s in samples]),
        index=torch.tensor([s.index for s in samples]),
        depth=optional([s.depth for s in samples]),
        moving=optional([s.moving for s in samples]),
    )


@dataclass(frozen=True)
class BatchOrder(Sampler[list[int]]):
    """The samples of every step from `start` to `stop`, a function of (seed, step): a run that resumes at a
    step sees what it would have seen. Short last batches are dropped; epochs follow each other.

    rank, world: this process's share of each batch."""

    length: int
    batch_size: int
    seed: int
    start: int
    stop: int
    rank: int = 0
    world: int = 1

    def __post_init__(self) -> None:
        if self.length < self.batch_size:
            raise InputError(
                f"--batch-size {self.batch_size} is more than the {self.length} training samples; lower it"
            )

    @property
    def steps_per_epoch(self) -> int:
        return self.length // self.batch_size

    def __len__(self) -> int:
        return self.stop - self.start

    def __iter__(self) -> Iterator[list[int]]:
        order, shown = torch.empty(0), -1
        for step in range(self.start, self.stop):
            epoch, batch = divmod(step, self.steps_per_epoch)
            if epoch != shown:
                order, shown = shuffled(self.seed, epoch, self.length), epoch
            whole = order[batch * self.batch_size : (batch + 1) * self.batch_size]
            yield whole[self.rank :: self.world].tolist()


def spread_out(length: int, most: int, batch_size: int) -> list[list[int]]:
    """Batches of at most `most` of `length` samples, evenly spread: always the same ones."""
    chosen = [i * length // min(most, length) for i in range(min(most, length))]
    return [chosen[i : i + batch_size] for i in range(0, len(chosen), batch_size)]


def batches(dataset: ClipDataset, order: Iterable[list[int]], workers: int, pin: bool) -> DataLoader[Clips]:
    """A loader that keeps `workers` processes ahead of the device (0: in this process)."""
    return DataLoader(
        dataset,  # type: ignore[arg-type]
        batch_sampler=order,
        num_workers=workers,
        collate_fn=collate,
        pin_memory=pin,
        persistent_workers=False,
        prefetch_factor=4 if workers else None,
    )


class _Frames(Dataset[Frame]):
    def __init__(self, reader: Reader, places: list[tuple[int, int]]) -> None:
        self.reader, self.places = reader, places

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: int) -> Frame:
        return self.reader.frame(*self.places[index])


def _copied(frame: Frame) -> Frame:
    copy = lambda x: None if x is None else x.clone()  # noqa: E731
    return Frame(
        frame.image.clone(),
        frame.intrinsics.clone(),
        copy(frame.depth),
        copy(frame.moving),
        copy(frame.world_from_camera),
    )
