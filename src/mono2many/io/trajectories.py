"""Files of camera poses, KITTI's and TUM's, and a trajectory seen from above.

Poses are world_from_camera, N 4 4 in float64; the world is usually the first camera's.
"""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from mono2many.errors import InputError, printable
from mono2many.files import explained, write_bytes, writing
from mono2many.geometry.pose import quaternion_from_rotation, rigid, rotation_from_quaternion

PoseKind = Literal["kitti", "tum"]
ENDINGS: dict[PoseKind, str] = {"kitti": ".txt", "tum": ".tum"}
TRUE, GREY = "true", "#888888"
"""The label of the ground truth's line, and its colour."""
NOT_ORTHONORMAL = 1e-3
"""How far the product of a rotation with its transpose may be from the identity."""


def read_kitti_poses(path: str | Path) -> Float[Tensor, "N 4 4"]:
    """12 numbers a line, the first three rows of world_from_camera. InputError, naming file and line."""
    rows = _numbers(path, 12, "the first three rows of world_from_camera").unflatten(1, (3, 4))
    rotation = rows[:, :, :3]
    error = (rotation @ rotation.mT - torch.eye(3).double()).abs().amax((1, 2))
    if bool((error > NOT_ORTHONORMAL).any()):
        number = int((error > NOT_ORTHONORMAL).nonzero()[0])
        raise InputError(f"{path}: the first three columns of pose {number} are no rotation; write it again")
    return rigid(rotation, rows[:, :, 3])


def read_tum_poses(path: str | Path) -> tuple[Float[Tensor, "N"], Float[Tensor, "N 4 4"]]:
    """(seconds, poses) of lines `timestamp tx ty tz qx qy qz qw`. InputError, naming file and line."""
    rows = _numbers(path, 8, "timestamp tx ty tz qx qy qz qw")
    zero = rows[:, 4:].norm(dim=1) == 0
    if bool(zero.any()):
        raise InputError(f"{path}: the quaternion of pose {int(zero.nonzero()[0])} is zero; write it again")
    return rows[:, 0], rigid(rotation_from_quaternion(rows[:, 4:]), rows[:, 1:4])


def _numbers(path: str | Path, count: int, wanted: str) -> Float[Tensor, "N {count}"]:
    """A file's rows; lines that are empty or begin with # are left out."""
    wanted = f"wanted lines of {count} finite numbers: {wanted}; write or download the file again"
    with explained(f"{path}: the poses cannot be read", wanted, (OSError, ValueError)):
        lines = [line for line in Path(path).read_text(encoding="ascii").splitlines() if line.strip()]
        rows = np.loadtxt(lines or ["nothing"], dtype=np.float64, ndmin=2)
        if rows.shape[1] != count or not np.isfinite(rows).all():
            raise ValueError(f"found lines of {rows.shape[1]} numbers, or some that are not finite")
    return torch.from_numpy(rows)


def write_poses(path: Path, poses: Float[Tensor, "N 4 4"], kind: PoseKind, times: Sequence[float]) -> None:
    """KITTI's lines, or TUM's `timestamp tx ty tz qx qy qz qw`, whose timestamps are `times`, in seconds.
    InputError where the file cannot be written."""
    rows, formats = poses[:, :3].flatten(1), ["%.9e"] * 12
    if kind == "tum":
        seconds = torch.tensor(times, dtype=torch.float64)[:, None]
        rows = torch.cat([seconds, poses[:, :3, 3], quaternion_from_rotation(poses[:, :3, :3])], 1)
        formats = ["%.6f"] + ["%.9f"] * 7
    with writing(path) as temporary:
        np.savetxt(temporary, rows.numpy(), fmt=formats)


def draw_trajectories(
    path: Path, panels: Mapping[str, Mapping[str, Float[Tensor, "_ 4 4"]]], unit: str
) -> None:
    """A PNG with a panel per title and a line per label, seen from above: x to the right, z upwards.
    InputError where the file cannot be written."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.5 * len(panels), 5.5), dpi=110, layout="constrained")
    places = figure.subplots(1, len(panels), squeeze=False)[0]
    for axes, (title, lines) in zip(places, panels.items(), strict=True):
        for label, poses in lines.items():
            x, z = poses[:, 0, 3].tolist(), poses[:, 2, 3].tolist()
            colour = GREY if label == TRUE else "#d9804f"
            axes.plot(x, z, color=colour, label=label, linewidth=1.8, marker="o", markevery=[0])
        axes.set_title(printable(title), parse_math=False)
        axes.set(xlabel=f"x, {unit}", ylabel=f"z, {unit}")
        axes.set_aspect("equal", "datalim")
        axes.grid(alpha=0.3)
        axes.legend(frameon=False)
    file = io.BytesIO()
    figure.savefig(file, format="png")
    write_bytes(path, file.getvalue())
