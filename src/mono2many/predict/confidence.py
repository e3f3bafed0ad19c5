"""The standard deviation of log depth at each pixel, from what several predictions say of each other: no
further network, no training.

Cues, each an absolute difference of log depth, averaged over WINDOW x WINDOW pixels:

    flip    the prediction and that of the mirrored image, un-mirrored (Poggi et al. 2020, sec. 3.1, "Post")
    edge    depth and its mean over the window: where a depth edge lies is uncertain
    motion  depth and that of the frame before, moved along the camera's motion (videos)

    ln std = c_0 + sum over the cues of c_i ln(cue_i + FLOOR)

The coefficients are the network's and not the image's: `fit_std` finds them on frames of known depth. Those
in COEFFICIENTS are of the starter on procedural streets (docs/experiments/confidence.md).
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

WINDOW = 7
FLOOR = 0.003
"""Of log depth: smaller differences say nothing."""


class Cues(NamedTuple):
    """Of B images, the logarithms of what `std` is made of; None: not known."""

    flip: Float[Tensor, "B H W"]
    edge: Float[Tensor, "B H W"]
    motion: Float[Tensor, "B H W"] | None = None
    motion_seen: Bool[Tensor, "B H W"] | None = None
    """Pixels that the frame before saw: elsewhere `motion` says nothing."""


COEFFICIENTS: dict[tuple[str, ...], tuple[float, ...]] = {
    ("flip", "edge"): (-0.287, 0.203, 0.260),
    ("flip", "edge", "motion"): (-0.045, 0.166, 0.194, 0.206),
}
"""c_0, then one of each cue."""


def log_cue(difference: Float[Tensor, "B H W"]) -> Float[Tensor, "B H W"]:
    """Of a difference of log depth: ln(mean |difference| + FLOOR)."""
    mean = F.avg_pool2d(difference.abs().unsqueeze(1), WINDOW, 1, WINDOW // 2, count_include_pad=False)
    return (mean.squeeze(1) + FLOOR).log()


def single_frame_cues(plain: Float[Tensor, "B H W"], mirrored: Float[Tensor, "B H W"]) -> Cues:
    """Of the disparities (any unit) of images, and of their mirror images (un-mirrored)."""
    log = plain.float().log()
    mean = F.avg_pool2d(log.unsqueeze(1), WINDOW, 1, WINDOW // 2, count_include_pad=False).squeeze(1)
    return Cues(log_cue(log - mirrored.float().log()), log_cue(log - mean))


def log_depth_std(cues: Cues) -> Float[Tensor, "B H W"]:
    """Standard deviation of log depth: 0.1 is 10 % of depth."""
    found = _std(cues, ("flip", "edge"))
    if cues.motion is None or cues.motion_seen is None:
        return found
    return torch.where(cues.motion_seen, _std(cues, ("flip", "edge", "motion")), found)


def _std(cues: Cues, names: tuple[str, ...]) -> Tensor:
    first, *rest = COEFFICIENTS[names]
    return (first + sum(c * getattr(cues, name) for c, name in zip(rest, names, strict=True))).exp()


def fit_std(cues: Float[Tensor, "N C"], error: Float[Tensor, "N"]) -> list[float]:
    """c_0 and a coefficient of each of C cues, by which N errors of log depth are most likely, were they of
    Student's t distribution of 4 degrees of freedom, whose tails are those of depth errors."""
    inputs = torch.cat([torch.ones_like(cues[:, :1]), cues], 1).double()
    coefficients = torch.zeros(inputs.shape[1], dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS([coefficients], max_iter=100, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimiser.zero_grad()
        log_std = inputs @ coefficients
        ratio = error.double() * (-log_std).exp()
        value = (log_std + 2.5 * torch.log1p(ratio.square() / 4)).mean()
        value.backward()
        return value

    optimiser.step(loss)
    return coefficients.tolist()
