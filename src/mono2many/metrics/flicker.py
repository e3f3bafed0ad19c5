"""How steady the depth of a video is: each depth map against the one before, along the camera's motion.

For a pixel of frame t with depth d, let e be the depth that frame t - 1's map gives it: its point is moved
into the earlier camera, whose map is looked up there and moved back (`geometry.reproject`). In a static scene
r = ln(e / d) is 0 where both maps are right, or wrong alike. It is not 0 where something moves or is hidden,
hence medians over pixels:

    flicker      = 1.4826 median |r| / sqrt(2)      the standard deviation of either map's log depth, if the
                                                    errors of both were independent and normal
    scale change = median r                         how the whole frame's depth changed
    scale drift  = standard deviation over the frames of the sum of all scale changes so far

The mean over pixels of |e - d| / d in place of the median is the temporal alignment error of Chen et al. 2025
(Video Depth Anything, sec. 4.1). Flicker says nothing of how right the depth is: a constant one has little.
"""

import math
from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor

from mono2many.geometry.reproject import reproject_depth

NORMAL = 1.4826
"""Standard deviation of a normal distribution over its median absolute deviation."""


class Change(NamedTuple):
    """From one depth map to the next; NaN where no pixel is seen in both."""

    flicker: float
    """Of log depth."""
    scale: float
    """Median ln(depth by the earlier map / depth)."""


class Steadiness(NamedTuple):
    """Of a video; NaN for fewer than two frames."""

    flicker: float
    """Mean over the pairs of neighbours: 0.05 is 5 % of depth."""
    drift: float
    """Standard deviation over the frames of the log of the whole frame's factor."""


def depth_change(
    depth: Float[Tensor, "H W"],
    earlier: Float[Tensor, "H W"],
    earlier_from_now: Float[Tensor, "4 4"],
    intrinsics: Float[Tensor, "3 3"],
) -> Change:
    """Flicker and scale change between the depth maps of neighbouring frames, in the unit of the motion."""
    batch = (x[None] for x in (depth, earlier, earlier_from_now, intrinsics))
    reprojected, seen = reproject_depth(*batch)
    ratio = (reprojected[0] / depth).log()[seen[0]]
    if not len(ratio):
        return Change(math.nan, math.nan)
    return Change(NORMAL / math.sqrt(2) * float(ratio.abs().median()), float(ratio.median()))


class SteadinessMeter:
    """Of a video, pair after pair; those that share no pixel are left out."""

    def __init__(self) -> None:
        self.flicker = self.factor = 0.0
        """Sum of the flicker, and of the scale changes: the log of the frame's factor."""
        self.factors = self.squares = 0.0
        """Sums of that log over the frames, the first's being 0, and of its square."""
        self.pairs = 0

    def add(self, change: Change) -> None:
        """Of the next two neighbours."""
        if math.isnan(change.flicker):
            return
        self.pairs += 1
        self.flicker += change.flicker
        self.factor += change.scale
        self.factors += self.factor
        self.squares += self.factor**2

    def read(self) -> Steadiness:
        """Of all pairs so far."""
        if not self.pairs:
            return Steadiness(math.nan, math.nan)
        frames = self.pairs + 1
        variance = self.squares / frames - (self.factors / frames) ** 2
        return Steadiness(self.flicker / self.pairs, math.sqrt(max(0.0, variance)))
