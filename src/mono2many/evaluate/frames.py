"""What is scored: frames with measured depth. A data set makes an EvalSet of them, of which nobody else knows
where its files lie."""

from collections.abc import Callable, Hashable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import lru_cache, partial
from threading import Lock

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from mono2many.metrics.protocol import Protocol
from mono2many.metrics.sparse import SparseTruth, sparse_truth
from mono2many.types import Frame, Reader

OpenFrame = Callable[[], Frame]
"""Reads an image, without the ego vehicle, and its K. Raises InputError for another size than expected."""
OPEN_FRAMES = 64
"""Frames of a reader that are kept: an image is needed some batches before its depth."""


@dataclass(frozen=True)
class EvalFrame:
    """A frame that is scored."""

    position: int
    """In the list, which is the order of stored predictions."""
    name: str
    sequence: str
    index: int
    """In its sequence."""
    key: Hashable
    """What EvalSet.keys_of returns where a model was trained on it."""
    at: Callable[[int], OpenFrame | None]
    """The frame at this offset in time; None where there is none. at(0) is the frame itself: None where its
    image is missing, which stored predictions do not need."""
    ground_truth: Callable[[], SparseTruth]
    """Reads the measured depth. Raises InputError for a file that is missing, damaged or of another size."""
    group: str = ""
    """Groups, where a set has several, get a row each."""

    def open(self) -> Frame:
        return self.at(0)()  # type: ignore[misc]

    def open_at(self, offset: int) -> Frame | None:
        opened = self.at(offset)
        return None if opened is None else opened()


@dataclass(frozen=True)
class EvalSet:
    """Frames to score a method on, and by which protocol."""

    name: str
    frames: Sequence[EvalFrame]
    """Those whose files are there."""
    listed: int
    """How many the list has, with those whose files are missing."""
    protocol: Protocol
    synthetic: bool = False
    """The embedded street in a data set's layout."""
    note: str = ""
    """Printed before the scores, if anything."""
    complete: bool = False
    """The papers' images, all of them, by the papers' protocol: published numbers compare."""
    keys_of: Callable[[Sequence[str]], AbstractSet[Hashable]] = frozenset
    """From what a model's card stores of its training (ModelCard.seen) to the keys of frames."""
    baseline_frames: Sequence[OpenFrame] = ()
    """Training frames with depth, of which the baselines are made; empty: no baselines."""


@dataclass(frozen=True)
class TrajectorySequence:
    """All images of a sequence in order, with measured poses."""

    name: str
    image: Callable[[int], UInt8[Tensor, "3 H W"]]
    """By number. Raises InputError for a file that is damaged or of another size."""
    intrinsics: Float[Tensor, "3 3"]
    """K in pixels of the images."""
    poses: Float[Tensor, "N 4 4"]
    """world_from_camera of each image, metres, float64."""
    keys: Sequence[Hashable]
    """Of each image: see EvalFrame.key."""
    grey: bool = False
    """The images are grey."""


@dataclass(frozen=True)
class TrajectorySet:
    """Sequences to score trajectories on."""

    name: str
    sequences: Sequence[TrajectorySequence]
    synthetic: bool = False
    keys_of: Callable[[Sequence[str]], AbstractSet[Hashable]] = frozenset
    """As EvalSet.keys_of."""


def reader_frames(reader: Reader, places: Sequence[tuple[int, int]] | None = None) -> list[EvalFrame]:
    """Frames of a reader by (clip, index), by default all of them. What has no depth counts no pixel."""
    clips, open_frame, lock = reader.clips, lru_cache(OPEN_FRAMES)(reader.frame), Lock()

    def opened(clip: int, index: int) -> Frame:
        with lock:  # readers are not made for several threads
            return open_frame(clip, index)

    def at(clip: int, index: int, offset: int) -> OpenFrame | None:
        there = 0 <= index + offset < clips[clip].frames
        return partial(opened, clip, index + offset) if there else None

    def frame(position: int, clip: int, index: int) -> EvalFrame:
        sequence, truth = clips[clip].name, partial(_depth, partial(opened, clip, index))
        name = f"{sequence}, frame {index}"
        return EvalFrame(position, name, sequence, index, name, partial(at, clip, index), truth)

    if places is None:
        places = [(number, index) for number, clip in enumerate(clips) for index in range(clip.frames)]
    return [frame(position, clip, index) for position, (clip, index) in enumerate(places)]


def _depth(opened: OpenFrame) -> SparseTruth:
    frame = opened()
    depth = torch.full(frame.image.shape[-2:], torch.nan) if frame.depth is None else frame.depth
    return sparse_truth(depth, frame.moving, frame.co_moving)
