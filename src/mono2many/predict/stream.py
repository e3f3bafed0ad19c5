"""A ManyDepth on a video, frame by frame: what was computed of earlier frames is kept.

Two things would spoil the matching and are found on thumbnails: a static camera (there is nothing to match,
and pose networks rarely predict no motion) and a cut.
"""

from collections import deque
from dataclasses import dataclass, field

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
    motions: dict[int, RelativePose | None] = field(default_factory=dict)
    """The motion that the pose network predicts from this frame to the one so many before; None: the camera
    was static."""


class StreamState:
    """`state(image)` is the student's disparity of a video's next frame, matched with those before it. Frames
    ahead cannot be matched and count as absent. Where the camera is static, and after a cut, which empties
    the memory, it is single-frame depth, which the student learnt in the same scale."""

    def __init__(self, model: ManyDepth, intrinsics: Float[Tensor, "3 3"]) -> None:
        self.model, self.intrinsics = model, intrinsics.unsqueeze(0)
        self.offsets = model.architecture.matching
        self.frames: deque[FrameState] = deque(maxlen=1 - min(0, *self.offsets))

    @torch.inference_mode()
    def __call__(self, image: Float[Tensor, "1 3 H W"]) -> Float[Tensor, "1 H W"]:
        features = self.model.depth.features(image)
        now = FrameState(image, thumbnail(image), features.matching_features)
        if self.frames:
            agreement = quick_agreement(self.frames[-1].thumbnail, now.thumbnail)
            if agreement < THRESHOLDS.quick_same_scene:
                self.frames.clear()
        self.frames.append(now)
        now.disparity = self._disparity(features)
        return now.disparity

    def _disparity(self, features: ImageFeatures) -> Float[Tensor, "1 H W"]:
        """Of the latest frame."""
        net, image = self.model.depth, self.frames[-1].image
        motions = self._motions()
        moved = [motion is not None for motion in motions]
        for i, j in enumerate(nearer(self.offsets)):  # nothing has moved since, or something along the way
            moved[i] = self._there(self.offsets[i]) and (moved[i] or (j > 0 and moved[j - 1]))
        if not any(moved):
            return net.disparity(net.sigmoids(features)[0])
        none = RelativePose(image.new_zeros(1, 1, 3), image.new_zeros(1, 1, 3))
        axis_angle, translation = (
            torch.cat(part, 1) for part in zip(*(m or none for m in motions), strict=True)
        )
        motion = chain(RelativePose(axis_angle, translation), self.offsets, self.model.units(image))
        if self.model.architecture.refines_motion:
            motion = torch.stack(
                [self._refined(m, o) for m, o in zip(motion[0], self.offsets, strict=True)], 1
            )
        matching = [
            self.frames[o - 1].matching_features if self._there(o) else features.matching_features
            for o in self.offsets
        ]
        exists = torch.tensor([moved], device=image.device)
        student = net(features, torch.stack(matching, 1), motion, exists, self.intrinsics)
        return net.disparity(student.sigmoids[0])

    def _refined(self, then_from_now: Float[Tensor, "4 4"], offset: int) -> Float[Tensor, "1 4 4"]:
        """By the earlier frame's depth, which is known already."""
        if not self._there(offset):
            return then_from_now[None]
        then, now = self.frames[offset - 1], self.frames[-1]
        assert then.disparity is not None
        images = (then.image, now.image[:, None], then.disparity)
        return invert(refine_motions(invert(then_from_now)[None, None], *images, self.intrinsics)[:, 0])

    def _there(self, offset: int) -> bool:
        return -len(self.frames) < offset < 0

    def _motions(self) -> list[RelativePose | None]:
        """Of each frame to match and its next nearer one; None: no such frame, or it is as the other."""
        found: list[RelativePose | None] = []
        for offset, place in zip(self.offsets, nearer(self.offsets), strict=True):
            if not self._there(offset):
                found.append(None)
                continue
            at = self.offsets[place - 1] if place else 0
            later, earlier, gap = self.frames[at - 1], self.frames[offset - 1], at - offset
            if gap not in later.motions:
                moved = quick_displacement(earlier.thumbnail, later.thumbnail) >= THRESHOLDS.static
                pair = (earlier.image, later.image[:, None])
                later.motions[gap] = self.model.pose(*pair, (1,)) if moved else None
            found.append(later.motions[gap])
        return found
