"""Relative poses of several frames, chained from one frame to the next nearer one."""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from mono2many.geometry.precision import full_precision
from mono2many.models.pose import PoseNet, RelativePose, source_from_target

PredictedPoses = Mapping[int, RelativePose]
"""What the pose network predicted of the current frame and the ones at these offsets, B 1 3 each."""


@torch.no_grad()
def chained_motion(
    pose: PoseNet,
    current: Float[Tensor, "B 3 H W"],
    matching: Float[Tensor, "B F 3 H W"],
    offsets: Sequence[int],
    translation_scale: Float[Tensor, "B"] | None = None,
    predicted: PredictedPoses | None = None,
) -> Float[Tensor, "B F 4 4"]:
    """matching_from_current without gradient: the pose of each frame from the next nearer one on its side of
    time, chained. `offsets` by distance. translation_scale: see pose.source_from_target. predicted: poses
    that are known already and not predicted again."""
    frames, near, known = [current, *matching.unbind(1)], nearer(offsets), predicted or {}
    links = {i: known[o] for i, o in enumerate(offsets) if near[i] == 0 and o in known}
    missing = [i for i in range(len(offsets)) if i not in links]
    if missing:
        pairs = [(i + 1, near[i]) if offsets[i] < 0 else (near[i], i + 1) for i in missing]
        earlier, later = (torch.cat([frames[i] for i in side]) for side in zip(*pairs, strict=True))
        found = [part.chunk(len(missing)) for part in pose(earlier, later[:, None], (1,))]
        links |= {i: RelativePose(*link) for i, link in zip(missing, zip(*found, strict=True), strict=True)}
    together = zip(*(links[i] for i in range(len(offsets))), strict=True)
    return chain(RelativePose(*(torch.cat(part, 1) for part in together)), offsets, translation_scale)


def by_offset(pose: RelativePose, offsets: Sequence[int]) -> PredictedPoses:
    """Each source's pose, without gradient."""
    axis_angle, translation = (part.detach().split(1, 1) for part in pose)
    return {offset: RelativePose(axis_angle[i], translation[i]) for i, offset in enumerate(offsets)}


def nearer(offsets: Sequence[int]) -> list[int]:
    """For each offset (by distance in time) the place of the next nearer one on its side, counted from 1;
    0: the current frame."""
    assert list(offsets) == sorted(offsets, key=abs), f"offsets by distance in time, got {offsets}"
    sides = [[j + 1 for j in range(i) if offsets[j] * offset > 0] for i, offset in enumerate(offsets)]
    return [max(side, default=0) for side in sides]


def chain(
    links: RelativePose, offsets: Sequence[int], translation_scale: Float[Tensor, "B"] | None = None
) -> Float[Tensor, "B F 4 4"]:
    """matching_from_current from the pose of each frame and its next nearer one."""
    with full_precision(links.axis_angle):
        matrices = source_from_target(links, offsets, "pairs", translation_scale)
        found = [torch.eye(4, device=matrices.device).expand_as(matrices[:, 0])]
        for j, link in zip(nearer(offsets), matrices.unbind(1), strict=True):
            found.append(link @ found[j])
    return torch.stack(found[1:], 1)
