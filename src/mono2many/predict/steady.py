"""Depth of a video held steady: each frame's prediction is blended with what the frames before it said, moved
along the camera's motion. Causal; one earlier frame is kept.

Blended are pixels of the static scene that the earlier frame saw: where the earlier depth agrees with the new
one, and where the earlier image, moved along, shows the present one at least as well as where it lies (a car
ahead at the camera's speed is shown best by the latter: the auto-mask of Godard et al. 2019, sec. 3.2). All
others take the new prediction, and so does every pixel after a cut.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mono2many.geometry.reproject import reproject_depth
from mono2many.geometry.warp import warp
from mono2many.losses.photometric import box_mean, patches, photometric_error
from mono2many.metrics.flicker import SteadinessMeter, depth_change
from mono2many.models.mono import MonoDepth
from mono2many.predict.exported import Exported
from mono2many.predict.stream import FrameMemory, FrameState, refine_by_earlier
from mono2many.predict.trajectory import relative_poses

KEPT = 0.8
"""Weight of the earlier depth where both agree: a memory of about 5 frames."""
AGREEMENT = 0.15
"""Of log depth: where earlier and new depth differ by this, half of KEPT is left; by twice this, nothing."""
SCALE_KEPT = 0.9
"""Share of the whole frame's change of scale that is undone at once. Below 1: in the long run the scale is
the network's, since small errors of the motion would add up."""
TOLERANCE = 0.01
"""Of the photometric error, by which the moved image may be worse than the unmoved one."""


class Reprojection(NamedTuple):
    """What the frame before says of the present one."""

    log_ratio: Float[Tensor, "1 H W"]
    """ln(depth by the earlier map / new depth); 0 where it is not seen."""
    seen: Bool[Tensor, "1 H W"]
    static: Bool[Tensor, "1 H W"]
    """Seen, and shown by the earlier image at least as well moved as unmoved."""


def reproject_frame(
    depth: Float[Tensor, "1 H W"],
    image: Float[Tensor, "1 3 H W"],
    earlier_depth: Float[Tensor, "1 H W"],
    earlier_image: Float[Tensor, "1 3 H W"],
    earlier_from_now: Float[Tensor, "1 4 4"],
    intrinsics: Float[Tensor, "1 3 3"],
) -> Reprojection:
    """Depths and the motion in one unit; intrinsics in pixels of the images, which lie in [0, 1]."""
    found, seen = reproject_depth(depth, earlier_depth, earlier_from_now, intrinsics)
    moved, _ = warp(earlier_image, depth, earlier_from_now, intrinsics, intrinsics)
    target = patches(image)
    moved_error, unmoved_error = (box_mean(photometric_error(x, target)) for x in (moved, earlier_image))
    return Reprojection((found / depth).log(), seen, seen & (moved_error <= unmoved_error + TOLERANCE))


def blend(depth: Float[Tensor, "1 H W"], earlier: Reprojection) -> Float[Tensor, "1 H W"]:
    """The new depth, in log depth moved towards the earlier one: first as a whole (SCALE_KEPT of the median
    difference), then pixel by pixel, with a weight that falls with the difference that is left."""
    close = earlier.static & (earlier.log_ratio.abs() < 2 * AGREEMENT)
    if not close.any():
        return depth
    scale = SCALE_KEPT * earlier.log_ratio[close].median()
    rest = earlier.log_ratio - scale
    weight = KEPT * close / (1 + (rest / AGREEMENT) ** 4)
    # averaged, so that no edge appears where the weight ends; the new depth keeps its own edges
    return depth * torch.exp(scale + box_mean(weight * rest))


class SteadyState:
    """`state(image, disparity)` follows a video: what the frame before says of the next one, and its steady
    disparity. See `Predictor.stream`."""

    def __init__(
        self, model: MonoDepth | Exported, intrinsics: Float[Tensor, "3 3"], unit: float, steady: bool
    ) -> None:
        self.model, self.intrinsics, self.unit, self.steady = model, intrinsics.unsqueeze(0), unit, steady
        self.memory = FrameMemory((-1, -2))
        self.before, self.after = SteadinessMeter(), SteadinessMeter()
        """Of the predictions as they come and of what is returned."""
        self.predicted: Tensor | None = None
        """Disparity of the frame before, as it came."""

    @torch.inference_mode()
    def __call__(
        self, image: Float[Tensor, "1 3 H W"], disparity: Float[Tensor, "1 H W"]
    ) -> tuple[Float[Tensor, "1 H W"], Reprojection | None]:
        """image: as the networks see it. None: the first frame, or the first after a cut."""
        now = self.memory.add(image, image)
        now.disparity, found = disparity, None
        if self.memory.there(-1):
            earlier = self.memory.frames[-2]
            assert earlier.disparity is not None
            motion = self._motion(earlier, now)
            found = reproject_frame(
                1 / disparity, image, 1 / earlier.disparity, earlier.image, motion, self.intrinsics
            )
            if self.steady:
                now.disparity = 1 / blend(1 / disparity, found)
                self._measure(motion, disparity, earlier.disparity, now.disparity)
        self.predicted = disparity
        return now.disparity, found

    def _motion(self, earlier: FrameState, now: FrameState) -> Float[Tensor, "1 4 4"]:
        """earlier_from_now in the unit of the earlier frame's depth."""
        assert earlier.disparity is not None
        if self.memory.links()[0] is None:  # the camera is static
            return torch.eye(4, device=now.image.device)[None]
        before = self.memory.frames[-3].image if self.memory.there(-2) else torch.zeros_like(now.image)
        images = torch.cat([before, earlier.image, now.image])
        motion = relative_poses(self.model, images, self.intrinsics)[0].to(now.image)[None]
        motion[:, :3, 3] *= self.unit
        return refine_by_earlier(motion, earlier.image, now.image, earlier.disparity, self.intrinsics)

    def _measure(self, motion: Tensor, disparity: Tensor, earlier: Tensor, steady: Tensor) -> None:
        """Each video along the same motion, in its own unit."""
        assert self.predicted is not None
        self.after.add(depth_change(1 / steady[0], 1 / earlier[0], motion[0], self.intrinsics[0]))
        own = motion.clone()
        own[:, :3, 3] *= (earlier / self.predicted).median()
        self.before.add(depth_change(1 / disparity[0], 1 / self.predicted[0], own[0], self.intrinsics[0]))
