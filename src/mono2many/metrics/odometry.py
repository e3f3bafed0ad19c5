"""How far a trajectory is from the true one: the papers' short snippets, and the whole path.

Trajectories are N 4 4, world_from_camera in float64, one camera per frame, each in a world of its own.
"""

from dataclasses import dataclass
from math import degrees
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from mono2many.geometry.pose import invert, rotation_angle

Alignment = Literal["none", "se3", "sim3"]
SNIPPET = 5
LENGTHS = tuple(range(100, 801, 100))
"""Metres of path, over which KITTI looks at drift."""
EVERY = 10
"""Frames between the places where it begins to look."""


def snippet_error(true: Float[Tensor, "N 3"], predicted: Float[Tensor, "N 3"]) -> float:
    """The papers' ATE of a snippet (Zhou et al. 2017, sec. 4.2): the first places are laid upon each
    other, one scale is fitted, then the root of the summed squares over N: not a root mean square."""
    predicted = predicted - predicted[0] + true[0]
    square = float(predicted.square().sum())
    scale = float((true * predicted).sum()) / square if square > 0 else 1.0
    return float((scale * predicted - true).square().sum().sqrt()) / len(true)


def snippet_errors(
    true: Float[Tensor, "N 4 4"], predicted: Float[Tensor, "N 4 4"]
) -> Float[Tensor, " {true.shape[0]-1}"]:
    """Of the SNIPPET frames from each frame on, seen from its first; those at the end are shorter."""

    def seen(poses: Tensor, start: int) -> Tensor:
        part = poses[start : start + SNIPPET]
        return (invert(part[0]) @ part)[:, :3, 3]

    starts = range(len(true) - 1)
    return torch.tensor([snippet_error(seen(true, i), seen(predicted, i)) for i in starts]).double()


def fit(
    true: Float[Tensor, "N 3"], predicted: Float[Tensor, "N 3"], with_scale: bool
) -> tuple[float, Float[Tensor, "4 4"]]:
    """(scale, transform): true ~ R (scale predicted) + t with the least squares (Umeyama 1991). Places that
    are all the same have the scale 0."""
    mean_true, mean_predicted = true.mean(0), predicted.mean(0)
    of_true, of_predicted = true - mean_true, predicted - mean_predicted
    u, d, vh = torch.linalg.svd(of_true.T @ of_predicted / len(true))
    turn = torch.ones_like(d)
    turn[2] = torch.sign(torch.linalg.det(u) * torch.linalg.det(vh))
    variance = float(of_predicted.square().sum()) / len(true)
    scale = (float((d * turn).sum()) / variance if variance > 0 else 0.0) if with_scale else 1.0
    transform = torch.eye(4, dtype=true.dtype)
    transform[:3, :3] = u @ torch.diag(turn) @ vh
    transform[:3, 3] = mean_true - scale * transform[:3, :3] @ mean_predicted
    return scale, transform


def aligned(
    true: Float[Tensor, "N 4 4"], predicted: Float[Tensor, "N 4 4"], how: Alignment
) -> Float[Tensor, "N 4 4"]:
    """The predicted trajectory in the true one's world. se3: turned and shifted as fits best. sim3: scaled as
    well."""
    if how == "none":
        return predicted
    scale, true_from_predicted = fit(true[:, :3, 3], predicted[:, :3, 3], how == "sim3")
    scaled = predicted.clone()
    scaled[:, :3, 3] *= scale
    return true_from_predicted @ scaled


@dataclass(frozen=True)
class PathErrors:
    """Of a whole trajectory, aligned in one way."""

    t_err: float | None
    """Per cent of the path, the mean over all stretches of LENGTHS; None: the path is shorter (Geiger et al.
    2012)."""
    r_err: float | None
    """Degrees per 100 m, likewise."""
    ate: float
    """Metres between the places, root mean square (Sturm et al. 2012)."""
    rpe: float
    """Metres between the steps from frame to frame, root mean square."""
    rpe_turn: float
    """Degrees, likewise."""


def path_errors(
    true: Float[Tensor, "N 4 4"], predicted: Float[Tensor, "N 4 4"], how: Alignment = "sim3"
) -> PathErrors:
    """All of them, after an alignment of the whole."""
    predicted = aligned(true, predicted, how)
    ate = (predicted - true)[:, :3, 3].norm(dim=1)
    step = _between(true, predicted, torch.arange(len(true) - 1), torch.arange(1, len(true)))
    return PathErrors(
        *drift(true, predicted),
        _root_mean_square(ate),
        _root_mean_square(step[:, :3, 3].norm(dim=1)),
        degrees(_root_mean_square(rotation_angle(step[:, :3, :3]))),
    )


def drift(
    true: Float[Tensor, "N 4 4"], predicted: Float[Tensor, "N 4 4"]
) -> tuple[float | None, float | None]:
    """KITTI's t_err (per cent) and r_err (degrees per 100 m), without any alignment. As in its own program a
    stretch ends at the first frame that is more than the length away, and is divided by the length."""
    along = distances(true)
    first = torch.arange(0, len(true), EVERY)
    moved, turned = [], []
    for length in LENGTHS:
        last = torch.searchsorted(along, along[first] + length, right=True)
        inside = last < len(along)
        error = _between(true, predicted, first[inside], last[inside])
        moved.append(error[:, :3, 3].norm(dim=1) / length)
        turned.append(rotation_angle(error[:, :3, :3]) / length)
    if not len(moved[0]):
        return None, None
    return 100 * float(torch.cat(moved).mean()), 100 * degrees(float(torch.cat(turned).mean()))


def distances(poses: Float[Tensor, "N 4 4"]) -> Float[Tensor, "N"]:
    """How long the path is up to each frame."""
    steps = poses[:, :3, 3].diff(dim=0).norm(dim=1)
    return torch.cat([steps.new_zeros(1), steps.cumsum(0)])


def _between(true: Tensor, predicted: Tensor, first: Tensor, last: Tensor) -> Float[Tensor, "M 4 4"]:
    """The true motions as seen from where the predicted ones led."""
    return invert(invert(predicted[first]) @ predicted[last]) @ (invert(true[first]) @ true[last])


def _root_mean_square(values: Float[Tensor, "N"]) -> float:
    return float(values.square().mean().sqrt())
