"""A ManyDepth on a video, frame by frame: what was computed of earlier frames is kept.

Two things would spoil the matching and are found on thumbnails: a static camera (there is nothing to match,
and pose networks rarely predict no motion) and a cut.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from mono2many.data.measure import THRESHOLDS, quick_agreement, quick_displacement, thumbnail
from mono2many.geometry.align import refine_motions
from mono2many.geometry.pose import invert
from mono2many.models.chain import chain, nearer
from mono2many.models.many import ManyDepth
from mono2many.models.pose import RelativePose
from mono2many.models.student import ImageFeatures


@dataclass
class FrameState:
    """A frame of the video."""

    image: Float[Tensor, "1 3 H W"]
    thumbnail: Float[Tensor, "1 1 h w"]
    matching_features: Float[Tensor, "1 C _ _"]
    disparity: Float[Tensor, "1 H W"] | None = None
    moved: dict[int, bool] = field(default_factory=dict)
    """Whether the camera has moved since the frame so many before."""
    motions: dict[int, RelativePose] = field(default_factory=dict)
    """The motion that the pose network predicts from this frame to the one so many before."""


class Link(NamedTuple):
    """Two frames between which the camera has moved, `gap` frames apart."""

    later: FrameState
    earlier: FrameState
    gap: int


class FrameMemory:
    """The latest frames of a video, as far as `offsets` reach back, since the last cut."""

    def __init__(self, offsets: Sequence[int]) -> None:
        self.offsets = tuple(offsets)
        self.frames: deque[FrameState] = deque(maxlen=1 - min(0, *self.offsets))

    def add(self, image: Float[Tensor, "1 3 H W"], features: Float[Tensor, "1 C _ _"]) -> FrameState:
        """The next frame; a cut empties the memory first."""
        now = FrameState(image, thumbnail(image), features)
        if self.frames:
            agreement = quick_agreement(self.frames[-1].thumbnail, now.thumbnail)
            if agreement < THRESHOLDS.quick_same_scene:
                self.frames.clear()
        self.frames.append(now)
        return now

    def there(self, offset: int) -> bool:
        """Whether there is a frame at this offset from the latest."""
        return -len(self.frames) < offset < 0

    def links(self) -> list[Link | None]:
        """For each offset its frame and the next nearer one; None where there is no frame, or the camera was
        static between the two."""
        found: list[Link | None] = []
        for offset, place in zip(self.offsets, nearer(self.offsets), strict=True):
            if not self.there(offset):
                found.append(None)
                continue
            at = self.offsets[place - 1] if place else 0
            later, earlier, gap = self.frames[at - 1], self.frames[offset - 1], at - offset
            if gap not in later.moved:
                moved = quick_displacement(earlier.thumbnail, later.thumbnail)
                later.moved[gap] = moved >= THRESHOLDS.static
            found.append(Link(later, earlier, gap) if later.moved[gap] else None)
        return found

    def to_match(self, moved: Sequence[bool]) -> list[bool]:
        """For each offset, whether the latest frame is matched with it: it is there, and the camera has moved
        since. moved: which of `links` are not None."""
        found = list(moved)
        for i, j in enumerate(nearer(self.offsets)):
            found[i] = self.there(self.offsets[i]) and (found[i] or (j > 0 and found[j - 1]))
        return found


class StreamState:
    """`state(image)` is the student's disparity of a video's next frame, matched with those before it. Frames
    ahead cannot be matched and count as absent. Where the camera is static, and after a cut, which empties
    the memory, it is single-frame depth, which the student learnt in the same scale."""

    def __init__(self, model: ManyDepth, intrinsics: Float[Tensor, "3 3"]) -> None:
        self.model, self.intrinsics = model, intrinsics.unsqueeze(0)
        self.memory = FrameMemory(model.architecture.matching)

    @torch.inference_mode()
    def __call__(self, image: Float[Tensor, "1 3 H W"]) -> Float[Tensor, "1 H W"]:
        features = self.model.depth.features(image)
        now = self.memory.add(image, features.matching_features)
        now.disparity = self._disparity(features)
        return now.disparity

    def _disparity(self, features: ImageFeatures) -> Float[Tensor, "1 H W"]:
        """Of the latest frame."""
        net, image, memory = self.model.depth, self.memory.frames[-1].image, self.memory
        motions = self._motions()
        matched = memory.to_match([motion is not None for motion in motions])
        if not any(matched):
            return net.disparity(net.sigmoids(features)[0])
        none = RelativePose(image.new_zeros(1, 1, 3), image.new_zeros(1, 1, 3))
        axis_angle, translation = (
            torch.cat(part, 1) for part in zip(*(m or none for m in motions), strict=True)
        )
        motion = chain(RelativePose(axis_angle, translation), memory.offsets, self.model.units(image))
        if self.model.architecture.refines_motion:
            motion = torch.stack(
                [self._refined(m, o) for m, o in zip(motion[0], memory.offsets, strict=True)], 1
            )
        matching = [features.matching_features] * len(memory.offsets)
        for i, offset in enumerate(memory.offsets):
            if memory.there(offset):
                matching[i] = memory.frames[offset - 1].matching_features
        exists = torch.tensor([matched], device=image.device)
        student = net(features, torch.stack(matching, 1), motion, exists, self.intrinsics)
        return net.disparity(student.sigmoids[0])

    def _refined(self, then_from_now: Float[Tensor, "4 4"], offset: int) -> Float[Tensor, "1 4 4"]:
        """By the earlier frame's depth, which is known already."""
        if not self.memory.there(offset):
            return then_from_now[None]
        then, now = self.memory.frames[offset - 1], self.memory.frames[-1]
        assert then.disparity is not None
        return refine_by_earlier(then_from_now[None], then.image, now.image, then.disparity, self.intrinsics)

    def _motions(self) -> list[RelativePose | None]:
        """Of each frame to match and its next nearer one; None: no such frame, or it is as the other."""
        found: list[RelativePose | None] = []
        for link in self.memory.links():
            if link is None:
                found.append(None)
                continue
            later, earlier, gap = link
            if gap not in later.motions:
                later.motions[gap] = self.model.pose(earlier.image, later.image[:, None], (1,))
            found.append(later.motions[gap])
        return found


def refine_by_earlier(
    then_from_now: Float[Tensor, "B 4 4"],
    then: Float[Tensor, "B 3 H W"],
    now: Float[Tensor, "B 3 H W"],
    disparity: Float[Tensor, "B H W"],
    intrinsics: Float[Tensor, "B 3 3"],
) -> Float[Tensor, "B 4 4"]:
    """refine_motions by the 1 / depth of the earlier frame."""
    now_from_then = invert(then_from_now)[:, None]
    return invert(refine_motions(now_from_then, then, now[:, None], disparity, intrinsics)[:, 0])
