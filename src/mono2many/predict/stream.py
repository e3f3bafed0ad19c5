"""A ManyDepth on a video, frame by frame: what was computed of earlier frames is kept.

Two things would break matching and are detected in small grey images: a static camera (no parallax, and
pose networks rarely predict none) and a cut.
"""

from collections import deque
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from mono2many.geometry.align import refine_motions
from mono2many.geometry.pose import invert
from mono2many.models.chain import chain, nearer
from mono2many.models.many import ManyDepth
from mono2many.models.pose import RelativePose
from mono2many.models.student import ImageFeatures

WIDTH = 64
"""Of the small grey images."""
STANDING = 8e-4
"""Of `shift`. A highway at 25 frames/s has 1.3e-3 and more, the embedded street 1.3e-2; a standing car with
traffic before it has 6.4e-4 at most, a repeated frame with noise of 5 grey levels 6.9e-4."""
SAME_SCENE = 0.4
"""Of `agreement`. Neighbours of highway, street and KITTI have 0.46 and more; other streets 0.31 at most."""
TEXTURE = 4 / 255
"""Only slopes steeper than this, in grey values per pixel, count for a shift."""
REACH, WINDOW = 3, 12
"""Shifts tried, and windows compared, in pixels of the small images."""


@dataclass
class FrameState:
    """A frame of the video."""

    image: Float[Tensor, "1 3 H W"]
    small: Float[Tensor, "1 1 h w"]
    matching_features: Float[Tensor, "1 C _ _"]
    disparity: Float[Tensor, "1 H W"] | None = None
    motions: dict[int, RelativePose | None] = field(default_factory=dict)
    """The predicted pose between this frame and the one so many before; None: the camera was static."""


class StreamState:
    """`state(image)` is the student's disparity of a video's next frame, matched with those before it.

    Frames ahead cannot be matched and count as absent. Where the camera is static, and after a cut, which
    clears the state, it is single-frame depth, which the student learnt in the same scale."""

    def __init__(self, model: ManyDepth, intrinsics: Float[Tensor, "3 3"]) -> None:
        self.model, self.intrinsics = model, intrinsics.unsqueeze(0)
        self.offsets = model.architecture.matching
        self.frames: deque[FrameState] = deque(maxlen=1 - min(0, *self.offsets))

    @torch.inference_mode()
    def __call__(self, image: Float[Tensor, "1 3 H W"]) -> Float[Tensor, "1 H W"]:
        features = self.model.depth.features(image)
        now = FrameState(image, small_grey(image), features.matching_features)
        if self.frames and agreement(self.frames[-1].small, now.small) < SAME_SCENE:
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
        given = (then.image, now.image[:, None], then.disparity, self.intrinsics)
        return invert(refine_motions(invert(then_from_now)[None, None], *given)[:, 0])

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
                moved = shift(earlier.small, later.small) >= STANDING
                pair = (earlier.image, later.image[:, None])
                later.motions[gap] = self.model.pose(*pair, (1,)) if moved else None
            found.append(later.motions[gap])
        return found


def small_grey(image: Float[Tensor, "1 3 H W"]) -> Float[Tensor, "1 1 h w"]:
    """WIDTH pixels wide."""
    height, width = image.shape[-2:]
    size = (max(1, round(height * WIDTH / width)), WIDTH)
    return F.interpolate(image.mean(1, keepdim=True), size, mode="area")


def shift(first: Float[Tensor, "1 1 h w"], second: Float[Tensor, "1 1 h w"]) -> float:
    """How far three quarters of the slopes moved at most, as a share of the width: the change in grey over
    the slope, a change of exposure aside. 0 where there are no slopes."""
    second = second * (first.mean() / second.mean().clamp(min=1e-3))
    mean = (first + second)[0, 0] / 2
    across = (mean[1:-1, 2:] - mean[1:-1, :-2]) / 2
    down = (mean[2:, 1:-1] - mean[:-2, 1:-1]) / 2
    slope = torch.hypot(across, down)
    change = (second - first)[0, 0, 1:-1, 1:-1]
    moved = ((change - change.median()).abs() / slope)[slope > TEXTURE]
    return float(moved.quantile(0.75)) / first.shape[-1] if len(moved) else 0.0


def agreement(first: Float[Tensor, "1 1 h w"], second: Float[Tensor, "1 1 h w"]) -> float:
    """Lower quartile over windows with texture of their correlation at the best shift of the second: 1 the
    same scene, about 0.25 another. 1 where there is no texture."""
    a, b = (x - F.avg_pool2d(x, 5, 1, 2, count_include_pad=False) for x in (first, second))
    views = F.unfold(F.pad(b, (REACH,) * 4), 2 * REACH + 1).unflatten(2, a.shape[-2:])
    product, own, other = (_windows(x) for x in (a * views, a * a, views * views))
    best = (product / ((own * other).sqrt() + 1e-6)).amax(1)
    textured = torch.maximum(own, _windows(b * b))[:, 0] > 1e-4
    return float(best[textured].quantile(0.25)) if textured.any() else 1.0


def _windows(values: Float[Tensor, "1 C h w"]) -> Float[Tensor, "1 C y x"]:
    return F.avg_pool2d(values, WINDOW, WINDOW // 2, ceil_mode=True, count_include_pad=False)
