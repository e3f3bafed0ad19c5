"""The few types that everything else is made of.

    reader.frame(clip, index) -> Frame -> dataset -> RawBatch -> augment -> Batch
    model(batch) -> disparity pyramid, motion -> objective -> (loss, StepOutput)
    predictor(image) -> predict.depth_map.DepthMap

Letters in shapes: B batch, S source frames, H W image, C channels, N any number. Images are RGB.
Pixel centres lie at integer coordinates, (0, 0) top left, x before y. A camera looks along +z, x right,
y down. A rigid transform is named b_from_a: it takes the coordinates of a point in frame a to frame b.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int64, Shaped, UInt8
from torch import Tensor

from mono2many.errors import InputError as InputError

Scale = Literal["metres", "up to scale"]
"""What a depth is known up to."""

Split = Literal["train", "val", "test"]


@dataclass(frozen=True)
class FrameSequence:
    """A run of consecutive frames from one camera."""

    name: str
    frames: int
    """Number of frames; a reader opens them by index 0 .. frames - 1."""
    times: tuple[float, ...] | None = None
    """Seconds at which they were taken, since the video's beginning; None: unknown."""
    camera: int = 0
    """Which of the data set's cameras took it."""
    size: tuple[int, int] | None = None
    """Height and width of the video itself, where frames arrive cropped or resized."""
    pixel_aspect: float = 1.0
    """Width of the video's pixels, divided by their height."""
    targets: tuple[int, ...] | None = None
    """Frames that a list names, where the others are there as their neighbours only; None: all."""
    stereo_partner: tuple[int, float] | None = None
    """The clip of the same frames from the stereo partner, and the x translation of partner_from_camera in
    metres (-0.54 from KITTI's left camera); None: a single camera."""


@dataclass(frozen=True)
class Frame:
    """One image with what is known about it, as a reader opens it."""

    image: UInt8[Tensor, "3 H W"]
    """RGB, 0 to 255."""
    intrinsics: Float[Tensor, "3 3"]
    """In pixels of `image`."""
    depth: Float[Tensor, "H W"] | None = None
    """Metres along the optical axis; NaN where unmeasured (sky too)."""
    moving: Bool[Tensor, "H W"] | None = None
    """Pixels of objects that move in the world, also while they halt; None: unknown."""
    world_from_camera: Float[Tensor, "4 4"] | None = None
    """Metres; None: unknown. For metrics only: training predicts it."""
    valid_mask: Bool[Tensor, "H W"] | None = None
    """Pixels that losses and scores use, without the ego vehicle; None: all."""
    co_moving: Bool[Tensor, "H W"] | None = None
    """Moving pixels whose velocity in the world is nearly the camera's; None: unknown."""


@runtime_checkable
class Reader(Protocol):
    """A data set: it lists clips and opens one frame. Neighbours, resizing, batches are shared code."""

    @property
    def clips(self) -> Sequence[FrameSequence]: ...

    def frame(self, clip: int, index: int) -> Frame: ...

    def fingerprint(self) -> str:
        """Everything that decides what the frames look like, as text: settings, files with size and date."""
        ...


@dataclass(frozen=True)
class RawBatch:
    """B samples, each a target frame with its neighbours, at training size, as they leave the loader (uint8,
    host), not yet augmented."""

    frames: UInt8[Tensor, "B F 3 H W"]
    """Frame 0 is the target, the others its S = F - 1 sources; black where a source does not exist."""
    exists: Bool[Tensor, "B F"]
    intrinsics: Float[Tensor, "B F 3 3"]
    index: Int64[Tensor, "B"]
    """Position in the dataset: with (seed, step) it decides every random draw."""
    depth: Float[Tensor, "B H W"] | None = None
    moving: Bool[Tensor, "B H W"] | None = None
    camera: Int64[Tensor, "B"] | None = None
    valid_mask: Bool[Tensor, "B H W"] | None = None
    stereo_x: Float[Tensor, "B"] | None = None
    """x translation of stereo_from_target in depth's unit; None where the stereo partner is no source."""

    def pin_memory(self) -> "RawBatch":
        """The same in page-locked memory, from which a GPU copies while it computes (the loader calls it)."""
        values = (getattr(self, name) for name in RawBatch.__dataclass_fields__)
        return RawBatch(*(None if value is None else value.pin_memory() for value in values))  # type: ignore[arg-type]


def select(values: Shaped[Tensor, "B S *C"], at: Sequence[int]) -> Shaped[Tensor, "B N *C"]:
    """values[:, at]. A list as an index is copied to the device, which is waited for; this is not."""
    if list(at) == list(range(len(at))):
        return values[:, : len(at)]  # copies nothing
    return torch.stack([values[:, i] for i in at], 1)


@dataclass(frozen=True)
class Batch:
    """B clips of one target frame and S source frames, on one device."""

    target: Float[Tensor, "B 3 H W"]
    """RGB in [0, 1]. The losses compare these."""
    sources: Float[Tensor, "B S 3 H W"]
    source_exists: Bool[Tensor, "B S"]
    """False at a clip's ends, where the neighbour was never recorded."""
    intrinsics: Float[Tensor, "B 3 3"]
    """In pixels of `target`."""
    source_intrinsics: Float[Tensor, "B S 3 3"]
    """Views may have different cameras (stereo partner, other lens)."""
    target_jittered: Float[Tensor, "B 3 H W"]
    """The same images with changed colours: the networks see these."""
    sources_jittered: Float[Tensor, "B S 3 H W"]
    source_offsets: tuple[int, ...]
    """Source s is frame t + source_offsets[s], for example (-1, 1); the stereo partner is 0, the last."""
    index: Int64[Tensor, "B"]
    camera: Int64[Tensor, "B"] | None = None
    """Which of the data set's cameras took each sample; None: there is one."""
    mirrored: Bool[Tensor, "B"] | None = None
    """Samples that augmentation mirrored; None: none."""
    stereo_from_target: Float[Tensor, "B 4 4"] | None = None
    """source_from_target of the source at offset 0; None where there is none. The pose network
    predicts the others."""
    depth: Float[Tensor, "B H W"] | None = None
    """Metres; NaN where unmeasured. For metrics only: no loss reads it."""
    moving: Bool[Tensor, "B H W"] | None = None
    valid_mask: Bool[Tensor, "B H W"] | None = None
    """Pixels of the target that the losses use; None: all."""

    def first_sources(self, count: int) -> "Batch":
        """The same with its first `count` neighbours, and the stereo partner, only."""
        kept = [i for i, offset in enumerate(self.source_offsets) if i < count or offset == 0]
        if len(kept) == len(self.source_offsets):
            return self
        return replace(
            self,
            sources=select(self.sources, kept),
            sources_jittered=select(self.sources_jittered, kept),
            source_exists=select(self.source_exists, kept),
            source_intrinsics=select(self.source_intrinsics, kept),
            source_offsets=tuple(self.source_offsets[i] for i in kept),
        )

    def for_networks(self) -> tuple[Tensor, Tensor, tuple[int, ...]]:
        """Target, neighbours and their offsets. The stereo partner, whose pose is known, is for losses
        only."""
        offsets = tuple(offset for offset in self.source_offsets if offset)
        return self.target_jittered, self.sources_jittered[:, : len(offsets)], offsets


@dataclass(frozen=True)
class StepOutput:
    """What a step returns beside its loss. Tensors stay on the device until the log asks for them."""

    scalars: dict[str, Float[Tensor, ""]] = field(default_factory=dict)
    images: dict[str, Float[Tensor, "B C H W"]] = field(default_factory=dict)
    sweep_range: tuple[Float[Tensor, ""], Float[Tensor, ""]] | None = None
    """Nearest and farthest depth of a ManyDepth's sweep after this step; None: as they were."""
