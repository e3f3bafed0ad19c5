"""Files of camera poses, KITTI's and TUM's, and a trajectory seen from above.

Poses are world_from_camera, N 4 4 in float64; the world is usually the first camera's.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from mono2many.geometry.pose import quaternion_from_rotation, rigid, rotation_from_quaternion
from mono2many.types import InputError

PoseKind = Literal["kitti", "tum"]
ENDINGS: dict[PoseKind, str] = {"kitti": ".txt", "tum": ".tum"}
TRUE, GREY = "true", "#888888"
"""The label of the line that the others shall follow, and its colour."""
CROOKED = 1e-3
"""A rotation's rows may be so far from orthonormal."""


def read_kitti_poses(path: str | Path) -> Float[Tensor, "N 4 4"]:
    """12 numbers a line, the first three rows of world_from_camera. InputError, naming file and line."""
    numbers = _numbers(path, 12, "the first three rows of world_from_camera").unflatten(1, (3, 4))
    crooked = (numbers[:, :, :3] @ numbers[:, :, :3].mT - torch.eye(3).double()).abs().amax((1, 2))
    if bool((crooked > CROOKED).any()):
        number = int((crooked > CROOKED).nonzero()[0])
        raise InputError(
            f"{path}: the first three columns of pose {number} are no rotation; write the file again"
        )
    return rigid(numbers[:, :, :3], numbers[:, :, 3])


def read_tum_poses(path: str | Path) -> tuple[Float[Tensor, "N"], Float[Tensor, "N 4 4"]]:
    """(seconds, poses) of lines `timestamp tx ty tz qx qy qz qw`. InputError, naming file and line."""
    numbers = _numbers(path, 8, "timestamp tx ty tz qx qy qz qw")
    none = numbers[:, 4:].norm(dim=1) == 0
    if bool(none.any()):
        raise InputError(
            f"{path}: the quaternion of pose {int(none.nonzero()[0])} is zero; write the file again"
        )
    return numbers[:, 0], rigid(rotation_from_quaternion(numbers[:, 4:]), numbers[:, 1:4])


def write_poses(path: Path, poses: Float[Tensor, "N 4 4"], kind: PoseKind, times: Sequence[float]) -> None:
    """`times` in seconds are TUM's timestamps."""
    if kind == "kitti":
        rows = [[f"{v:.9e}" for v in pose[:3].flatten().tolist()] for pose in poses]
    else:
        values = torch.cat([poses[:, :3, 3], quaternion_from_rotation(poses[:, :3, :3])], 1)
        rows = [
            [f"{t:.6f}", *(f"{v:.9f}" for v in row.tolist())] for t, row in zip(times, values, strict=True)
        ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(" ".join(row) + "\n" for row in rows))


def draw_trajectories(
    path: Path, panels: Mapping[str, Mapping[str, Float[Tensor, "_ 4 4"]]], unit: str
) -> None:
    """A PNG with a panel per title and a line per label, seen from above: x to the right, z upwards."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.5 * len(panels), 5.5), dpi=110, layout="constrained")
    places = figure.subplots(1, len(panels), squeeze=False)[0]
    for axes, (title, lines) in zip(places, panels.items(), strict=True):
        for label, poses in lines.items():
            x, z = poses[:, 0, 3].tolist(), poses[:, 2, 3].tolist()
            colour = GREY if label == TRUE else "#d9804f"
            begins = {"marker": "o", "markevery": [0]}
            axes.plot(x, z, color=colour, label=label, linewidth=1.8, **begins)
        axes.set(title=title, xlabel=f"x, {unit}", ylabel=f"z, {unit}")
        axes.set_aspect("equal", "datalim")
        axes.grid(alpha=0.3)
        axes.legend(frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        figure.savefig(path, format="png")
    except OSError as error:
        raise InputError(f"{path}: the picture cannot be written ({error.strerror}); name another") from error


def _numbers(path: str | Path, count: int, wanted: str) -> Float[Tensor, "N {count}"]:
    """A file's rows; comments (#) and empty lines are left out of TUM's."""
    try:
        lines = Path(path).read_text(encoding="ascii").splitlines()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise InputError(f"{path}: the poses cannot be read ({reason}); check the path") from error
    rows = []
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        try:
            row = [float(word) for word in line.split()]
        except ValueError:
            row = []
        if len(row) != count or not torch.tensor(row).isfinite().all():
            raise InputError(
                f"{path}, line {number}: found {line[:50]!r}, wanted {count} finite numbers: {wanted}; "
                "write or download the file again"
            )
        rows.append(row)
    if not rows:
        raise InputError(f"{path}: holds no poses; wanted lines of {count} numbers: {wanted}")
    return torch.tensor(rows, dtype=torch.float64)
