"""The plane sweep: how well each pixel's features match another frame's, at each of D hypothetical depths.

Pixel (x, y) of the current frame, were it at depth d, is seen in the matching frame at (X / Z, Y / Z) with
    (X, Y, Z) = d K R K^-1 (x, y, 1) + K t
for one d a homography: nine numbers per hypothesis are all that is kept of the geometry.
Watson et al. 2021, sec. 3.2. Letters beyond those of types.py: F matching frames, D depths.
"""

from dataclasses import dataclass, replace
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor
from torch.nn import functional as F

from mono2many.geometry.camera import divide_by_intrinsics
from mono2many.geometry.warp import sample

Spacing = Literal["linear", "inverse"]
"""Hypotheses at equal steps of depth, or of inverse depth."""

EDGE = 2
"""So near to the border of a feature map nothing is compared."""


def depth_hypotheses(
    nearest: Float[Tensor, ""], farthest: Float[Tensor, ""], count: int, spacing: Spacing
) -> Float[Tensor, "{count}"]:
    """`count` depths from `nearest` to `farthest`, both among them, in their unit."""
    ramp = torch.linspace(0, 1, count, device=nearest.device, dtype=nearest.dtype)
    if spacing == "linear":
        return torch.lerp(nearest, farthest, ramp)
    return 1 / torch.lerp(1 / nearest, 1 / farthest, ramp)


@dataclass(frozen=True)
class Sweep:
    """The cost of each pixel's depth hypotheses."""

    volume: Float[Tensor, "B D h w"]
    """Mean absolute difference of features; a missing bin holds its pixel's largest, 0 if all are missing."""
    missing: Bool[Tensor, "B D h w"]
    """No frame sees the pixel at this depth, or none differs at all: an exact 0 counts as missing."""
    confidence: Bool[Tensor, "B h w"]
    """No bin is missing."""
    lowest_cost: Int64[Tensor, "B h w"]
    """The bin that matches best; 0 if fewer than two were observed."""


@torch.no_grad()
def plane_sweep(
    current: Float[Tensor, "B C h w"],
    matching: Float[Tensor, "B F C H W"],
    matching_from_current: Float[Tensor, "B F 4 4"],
    exists: Bool[Tensor, "B F"],
    intrinsics: Float[Tensor, "B 3 3"],
    depths: Float[Tensor, " D"],
    block: int | None = None,
) -> Sweep:
    """Compare `current` with the frames that exist at each of `depths`; without gradient.

    `intrinsics` are in pixels of `current`: the image's divided by its stride, without a shift; the result
    has their dtype. The matching frames may be n times as fine: pixel x of `current` lies at n x of theirs.
    Pixels and samples within EDGE of the border do not count; there is no test for z > 0. A bin is the mean
    over the frames that differ there.
    `block` hypotheses are warped at a time; None: 4 MB of features on a CPU (its cache), 32 MB where it is
    compiled (each block is unrolled), 256 MB on other devices.
    """
    height, width = current.shape[-2:]
    if block is None:
        values = 2**23 if torch.compiler.is_compiling() else 2**20
        values = values if current.device.type == "cpu" else 2**26
        block = max(1, values // (current.numel() * matching.shape[1]))
    stride_ratio = matching.shape[-1] // width
    table = _Table(current, matching, intrinsics.dtype)
    costs = []
    for planes in _homographies(matching_from_current, intrinsics, depths).split(block, 2):
        x, y = _landing(planes, height, width)
        kept = exists[:, :, None, None, None] & (x >= EDGE) & (x <= width - EDGE)
        kept &= (y >= EDGE) & (y <= height - EDGE)
        x, y = (stride_ratio * torch.where(kept, at, EDGE) for at in (x, y))
        found = torch.where(kept, table.difference(x, y), 0)
        costs.append(found.sum(1) / ((found > 0).sum(1) + 1e-7))
    observed = F.pad(torch.cat(costs, 1), (EDGE, EDGE, EDGE, EDGE))
    missing = observed == 0
    volume = torch.where(missing, observed.amax(1, keepdim=True), observed)
    return Sweep(volume, missing, ~missing.any(1), volume.argmin(1))


def grey_patches(images: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B 16 H W"]:
    """The grey values of the 4 x 4 pixels around each (from one before to two after it), beyond the border
    its nearest: what the sweep may compare in place of features. Not in the paper."""
    grey = F.pad(images.mean(1, keepdim=True), (1, 2, 1, 2), mode="replicate")
    return F.unfold(grey, 4).unflatten(2, images.shape[-2:])


def aggregate_cost(sweep: Sweep, window: int) -> Sweep:
    """The same with each cost the mean over `window` x `window` cells (odd): one pair of pixels is often
    alike by chance, so many are not. Not in the paper."""
    volume = sweep.volume
    for size in ((1, window), (window, 1)):
        pad = (size[0] // 2, size[1] // 2)
        volume = F.avg_pool2d(volume, size, 1, pad, count_include_pad=False)
    return replace(sweep, volume=volume, lowest_cost=volume.argmin(1))


def subpixel_argmin(sweep: Sweep, depths: Float[Tensor, " D"]) -> Float[Tensor, "B h w"]:
    """Depth of least cost to a part of a bin: the vertex of the parabola through the least and the two beside
    it, at most half a bin away."""
    at = sweep.lowest_cost.clamp(1, len(depths) - 2)
    before, least, after = (sweep.volume.gather(1, (at + i)[:, None])[:, 0] for i in (-1, 0, 1))
    curvature = before - 2 * least + after
    off = torch.where(curvature > 0, (before - after) / (2 * curvature).clamp(min=1e-9), 0).clamp(-0.5, 0.5)
    off = torch.where(at == sweep.lowest_cost, off, 0)
    beside = (sweep.lowest_cost + torch.where(off > 0, 1, -1)).clamp(0, len(depths) - 1)
    log_depths = depths.log()
    return torch.lerp(log_depths[sweep.lowest_cost], log_depths[beside], off.abs()).exp()


def _homographies(
    matching_from_current: Float[Tensor, "B F 4 4"],
    intrinsics: Float[Tensor, "B 3 3"],
    depths: Float[Tensor, " D"],
) -> Float[Tensor, "B F D 3 3"]:
    """d K R K^-1 + K t (0, 0, 1): takes (x, y, 1) to the matching frame's pixel times z.

    The product is written out, because a matrix product loses precision under autocast.
    """
    projected = (intrinsics[:, None, :, :, None] * matching_from_current[:, :, None, :3]).sum(3)
    k = intrinsics[:, None].expand(-1, projected.shape[1], -1, -1)
    rotated = divide_by_intrinsics(projected[..., :3], k)
    first, second, third = (depths[:, None] * column.unsqueeze(2) for column in rotated.unbind(-1))
    return torch.stack([first, second, third + projected[..., 3].unsqueeze(2)], -1)


def _landing(
    planes: Float[Tensor, "B F n 3 3"], height: int, width: int
) -> tuple[Float[Tensor, "B F n y x"], Float[Tensor, "B F n y x"]]:
    """Where (x, y) of the matching frame lies what each pixel shows, the current map's border left out."""
    columns, rows = (
        torch.arange(EDGE, max(size - EDGE, EDGE), device=planes.device, dtype=planes.dtype)
        for size in (width, height)
    )
    by_column, by_row, constant = planes[..., None, None].unbind(-3)
    x, y, z = (by_column * columns + (by_row * rows[:, None] + constant)).unbind(-3)
    return x / (z + 1e-7), y / (z + 1e-7)


class _Table:
    """The features of `current` and then of `matching`, a row of C for each pixel."""

    def __init__(self, current: Tensor, matching: Tensor, dtype: torch.dtype) -> None:
        self.maps = current, matching
        rows = [maps.movedim(-3, -1).reshape(-1, maps.shape[-3]) for maps in (current, matching)]
        self.rows, self.width = torch.cat(rows).to(dtype), matching.shape[-1]
        places = torch.arange(len(self.rows), device=current.device, dtype=torch.int32)
        own, theirs = places.split([len(rows[0]), len(rows[1])])
        own = own.view(len(current), 1, 1, *current.shape[-2:])
        self.own = own[..., EDGE:-EDGE, EDGE:-EDGE]
        self.first = theirs.view(*matching.shape[:2], 1, *matching.shape[-2:])[..., :1, :1]

    def difference(
        self, x: Float[Tensor, "B F n y x"], y: Float[Tensor, "B F n y x"]
    ) -> Float[Tensor, "B F n y x"]:
        """mean over C of |matching frame at (x, y) - current one|, bilinear, inside the matching frame.

        The four neighbours and, with weight -1, the pixel itself are one weighted sum of rows, which a
        look-up table of embeddings computes 3 times as fast as grid_sample on a CPU.
        """
        if torch.compiler.is_exporting():  # other runtimes have no such table
            current, matching = self.maps
            return _sampled_difference(current.to(x.dtype), matching.to(x.dtype), x, y)
        left, top = x.floor(), y.floor()
        right, below = x - left, y - top
        corner = right * below
        at = (top * self.width + left).int() + self.first
        rows = [at, at + 1, at + self.width, at + self.width + 1, self.own.expand_as(x)]
        weights = [1 - right - below + corner, right - corner, below - corner, corner, -torch.ones_like(x)]
        bags, shares = (torch.stack(each, -1).view(-1, 5) for each in (rows, weights))
        sums = F.embedding_bag(bags, self.rows, mode="sum", per_sample_weights=shares)
        return sums.abs_().mean(1).view_as(x)


def _sampled_difference(
    current: Float[Tensor, "B C h w"],
    matching: Float[Tensor, "B F C H W"],
    x: Float[Tensor, "B F n y x"],
    y: Float[Tensor, "B F n y x"],
) -> Float[Tensor, "B F n y x"]:
    """_Table.difference by grid_sample."""
    pixels = torch.stack([x, y], -1).flatten(0, 1).flatten(1, 2)  # one below the other: B*F n*y x 2
    view = sample(matching.flatten(0, 1), pixels)[0].unflatten(2, x.shape[2:4]).unflatten(0, x.shape[:2])
    own = current[:, None, :, None, EDGE:-EDGE, EDGE:-EDGE]
    return (view - own).abs().mean(2)
