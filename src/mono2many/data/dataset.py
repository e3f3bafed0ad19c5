"""From frames to batches: neighbours, order, batches. Shared by every reader."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from mono2many.data.cache import CachedReader, Place
from mono2many.data.rng import shuffled
from mono2many.types import Frame, InputError, RawBatch, Reader


class ClipDataset(Dataset[RawBatch]):
    """Every frame of a reader (every target, where its clips name them) that has a neighbour, with these.

    offsets: times of the sources in frames, for example (-1, 1); 0: the stereo partner, where clips have one.
    Frames of one data set have one size.
    baseline: the unit of length that stands for the distance of the stereo cameras; None: metres.
    Raises InputError if no frame has a neighbour."""

    def __init__(self, reader: Reader, offsets: Sequence[int], baseline: float | None = None) -> None:
        self.reader = reader
        self.clips = list(reader.clips)
        self.offsets = tuple(offsets)
        self.baseline = baseline
        targets = [
            (c, i)
            for c, clip in enumerate(self.clips)
            for i in (range(clip.frames) if clip.targets is None else clip.targets)
        ]
        self.samples = [
            (c, i) for c, i in targets if any(0 <= i + offset < self.clips[c].frames for offset in offsets)
        ]
        self.without_neighbour = len(targets) - len(self.samples)
        """Frames that are left out because they have no neighbour."""
        if not self.samples:
            away = " or ".join(map(str, offsets))
            raise InputError(
                f"--data: no frame has a neighbour {away} frames away; give longer clips, a smaller "
                "--frame-step or, where the data set has that flag, a larger --max-gap"
            )

    def __len__(self) -> int:
        return len(self.samples)

    def neighbours(self, index: int) -> list[Place | None]:
        """Where the sources of a sample are, (clip, index); None where one was never recorded."""
        clip, at = self.samples[index]
        partner, limit = self.clips[clip].stereo_partner, self.clips[clip].frames
        return [
            (clip if o or partner is None else partner[0], at + o) if 0 <= at + o < limit else None
            for o in self.offsets
        ]

    def stereo_x(self, index: int) -> float | None:
        """Of a sample: see types.RawBatch."""
        partner = self.clips[self.samples[index][0]].stereo_partner
        if partner is None or 0 not in self.offsets:
            return None
        return partner[1] if self.baseline is None else math.copysign(self.baseline, partner[1])

    def batch(self, indices: Sequence[int]) -> RawBatch:
        """The samples at these positions. An absent neighbour is black, with the target's intrinsics; what
        one of the frames lacks is None."""
        targets = [self.samples[i] for i in indices]
        wanted = [[self.samples[i], *self.neighbours(i)] for i in indices]
        exists = torch.tensor([[place is not None for place in of] for of in wanted])
        places = [place or target for target, of in zip(targets, wanted, strict=True) for place in of]
        if isinstance(self.reader, CachedReader):
            stack = self.reader.stack
        else:
            stack = partial(stack_fields, {place: self.reader.frame(*place) for place in places})
        frames, intrinsics = stack("image", places), stack("intrinsics", places)
        assert frames is not None
        assert intrinsics is not None
        frames = frames.unflatten(0, exists.shape)
        for sample, frame in (~exists).nonzero().tolist():  # filling by mask would pass over all of it
            frames[sample, frame] = 0
        stereo_x = [x for i in indices if (x := self.stereo_x(i)) is not None]
        return RawBatch(
            frames=frames,
            exists=exists,
            intrinsics=intrinsics.unflatten(0, exists.shape),
            index=torch.tensor(indices),
            depth=stack("depth", targets),
            moving=stack("moving", targets),
            camera=torch.tensor([self.clips[clip].camera for clip, _ in targets]),
            valid_mask=stack("valid_mask", targets),
            stereo_x=torch.tensor(stereo_x) if len(stereo_x) == len(indices) else None,
        )

    def __getitem__(self, indices: Sequence[int]) -> RawBatch | InputError:  # type: ignore[override]
        """For the loader. An error is returned, not raised: a worker would wrap it into a page of text."""
        try:
            return self.batch(indices)
        except InputError as error:
            return error


def stack_fields(frames: Mapping[Place, Frame], field: str, places: Sequence[Place]) -> Tensor | None:
    """A field of the frames at these places; None where one of them does not have it."""
    values = [getattr(frames[place], field) for place in places]
    return None if any(value is None for value in values) else torch.stack(values)


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


def batches(
    dataset: ClipDataset, order: Iterable[list[int]], workers: int, pin: bool
) -> DataLoader[RawBatch]:
    """A loader that keeps `workers` processes ahead of the device (0: in this process)."""
    ahead = 4 if workers else None
    return _Batches(
        dataset, batch_size=None, sampler=order, num_workers=workers, pin_memory=pin, prefetch_factor=ahead
    )


class _Batches(DataLoader[RawBatch]):
    def __iter__(self) -> Iterator[RawBatch]:  # type: ignore[override]
        for raw in super().__iter__():
            if isinstance(raw, InputError):
                raise raw
            yield raw
