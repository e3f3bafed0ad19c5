"""Rigid motion: axis-angle or quaternion and translation to 4x4 matrices, named b_from_a."""

import torch
from jaxtyping import Float
from torch import Tensor

from mono2many.geometry.precision import in_full_precision


def rotation_from_axis_angle(axis_angle: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3 3"]:
    """Rodrigues' formula. Radians; angle = |v|, axis = v / (angle + 1e-7) (as Godard et al. 2019's pose)."""
    angle = safe_norm(axis_angle)
    axis, cos = axis_angle / (angle + 1e-7), angle.cos().unsqueeze(-1)
    x, y, z = (axis * angle.sin()).unbind(-1)
    o = torch.zeros_like(x)
    cross = torch.stack([o, -z, y, z, o, -x, -y, x, o], -1).unflatten(-1, (3, 3))
    outer = axis.unsqueeze(-1) * axis.unsqueeze(-2)
    identity = torch.eye(3, device=axis.device, dtype=axis.dtype)
    return outer * (1 - cos) + identity * cos + cross


def safe_norm(vectors: Float[Tensor, "*batch C"]) -> Float[Tensor, "*batch 1"]:
    """Euclidean length, with gradient zero instead of not-a-number at the zero vector."""
    squared = vectors.square().sum(-1, keepdim=True)
    return torch.where(squared > 0, squared, 1).sqrt() * (squared > 0)


def rigid(
    rotation: Float[Tensor, "*batch 3 3"], translation: Float[Tensor, "*batch 3"]
) -> Float[Tensor, "*batch 4 4"]:
    """The 4x4 matrix of x -> rotation x + translation."""
    top = torch.cat([rotation, translation.unsqueeze(-1)], -1)
    bottom = torch.zeros_like(top[..., :1, :])  # made on the device: a list's copy would be waited for
    bottom[..., 3] = 1
    return torch.cat([top, bottom], -2)


def transform_from_pose(
    axis_angle: Float[Tensor, "*batch 3"], translation: Float[Tensor, "*batch 3"]
) -> Float[Tensor, "*batch 4 4"]:
    """Rotate by `axis_angle` (radians), then shift by `translation`: T(t) R."""
    return rigid(rotation_from_axis_angle(axis_angle), translation)


@in_full_precision
def invert(b_from_a: Float[Tensor, "*batch 4 4"]) -> Float[Tensor, "*batch 4 4"]:
    """a_from_b of a rigid transform: R^T, -R^T t."""
    transposed = b_from_a[..., :3, :3].transpose(-1, -2)
    translation = -(transposed @ b_from_a[..., :3, 3:]).squeeze(-1)
    return rigid(transposed, translation)


@in_full_precision
def transform(
    b_from_a: Float[Tensor, "*batch 4 4"], points_a: Float[Tensor, "*batch 3 N"]
) -> Float[Tensor, "*batch 3 N"]:
    """Coordinates of the same points in frame b. One column per point."""
    return b_from_a[..., :3, :3] @ points_a + b_from_a[..., :3, 3:]


def rotation_from_quaternion(xyzw: Float[Tensor, "*batch 4"]) -> Float[Tensor, "*batch 3 3"]:
    """Of quaternions x, y, z, w of any length but zero."""
    x, y, z, w = (xyzw / xyzw.norm(dim=-1, keepdim=True)).unbind(-1)
    rows = (
        (1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)),
        (2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)),
        (2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)),
    )
    return torch.stack([torch.stack(row, -1) for row in rows], -2)


def quaternion_from_rotation(rotation: Float[Tensor, "*batch 3 3"]) -> Float[Tensor, "*batch 4"]:
    """x, y, z, w with w >= 0, of the rotation nearest to a matrix that rounding has touched (Bar-Itzhack
    2000)."""
    (a, b, c), (d, e, f), (g, h, i) = (row.unbind(-1) for row in rotation.unbind(-2))
    rows = (
        (a - e - i, b + d, c + g, h - f),
        (b + d, e - a - i, f + h, c - g),
        (c + g, f + h, i - a - e, d - b),
        (h - f, c - g, d - b, a + e + i),
    )
    found = torch.linalg.eigh(torch.stack([torch.stack(row, -1) for row in rows], -2)).eigenvectors[..., -1]
    return torch.where(found[..., 3:] < 0, -found, found)


def rotation_angle(rotation: Float[Tensor, "*batch 3 3"]) -> Float[Tensor, "*batch"]:
    """Radians, exact for small angles too."""
    skew = rotation - rotation.transpose(-1, -2)
    sine = torch.stack([skew[..., 2, 1], skew[..., 0, 2], skew[..., 1, 0]], -1).norm(dim=-1) / 2
    cosine = (rotation.diagonal(dim1=-2, dim2=-1).sum(-1) - 1) / 2
    return torch.atan2(sine, cosine)
