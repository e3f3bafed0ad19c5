"""Views of a static scene to one surface, view after view: what several agree on, averaged."""

from collections import deque
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from mono2many.errors import library
from mono2many.geometry.consistency import agreeing_depth
from mono2many.geometry.pose import invert, transform
from mono2many.geometry.warp import backproject
from mono2many.io.surfaces import Surface

OFFSETS = (-6, -3, 3, 6)
"""Views that a view is compared with: far enough apart that what moves has moved."""
AGREEING = 2
"""Of these, so many must agree."""
TOLERANCE = 0.06
"""Share by which depths that agree may differ."""
TRUNCATION = 8.0
"""Distance from the surface, in cells, up to which a signed distance is kept: with less, roads, seen at small
angles, have holes."""
VIEWS = 2.0
"""So many views must show a place of a mesh."""
BLOCK, BLOCKS = 16, 1024
"""Cells along a block's side; blocks for which there is room at first."""


class PosedView(NamedTuple):
    """A frame with its depth and place."""

    image: UInt8[Tensor, "3 H W"]
    depth: Float[Tensor, "H W"]
    intrinsics: Float[Tensor, "3 3"]
    world_from_camera: Float[Tensor, "4 4"]
    used: Bool[Tensor, "H W"]
    """Pixels that show the static scene."""


def agreeing(views: Iterable[PosedView], far: float) -> Iterator[PosedView]:
    """The views, with depth averaged over those around that agree (see OFFSETS), used where at least AGREEING
    do, or all where there are fewer, and no farther than `far`. Keeps as many views as OFFSETS span."""
    reach = max(OFFSETS)
    window: deque[tuple[int, PosedView]] = deque(maxlen=2 * reach + 1)
    number = -1
    for number, view in enumerate(views):
        window.append((number, view))
        if number >= reach:
            yield _agreeing(number - reach, window, far)
    for rest in range(max(0, number + 1 - reach), number + 1):
        yield _agreeing(rest, window, far)


def _agreeing(number: int, window: Iterable[tuple[int, PosedView]], far: float) -> PosedView:
    around = dict(window)
    view = around.pop(number)
    others = [around[number + offset] for offset in OFFSETS if number + offset in around]
    others = others or list(around.values())
    if not others:
        return view._replace(used=view.used & (view.depth < far))
    world_from_other = torch.stack([other.world_from_camera for other in others])
    other_from_view = (invert(world_from_other) @ view.world_from_camera).float()
    depths = torch.stack([other.depth for other in others])
    depth, count = agreeing_depth(view.depth, depths, other_from_view, view.intrinsics, TOLERANCE)
    used = view.used & (count >= min(AGREEING, len(others))) & (depth < far)
    return view._replace(depth=depth, used=used)


class VoxelAverage:
    """Points averaged in cubes of side `side`, nearer ones with more weight (1 / z^2)."""

    def __init__(self, side: float) -> None:
        self.side = side
        self.cells, self.sums = torch.zeros(0, 3, dtype=torch.int64), torch.zeros(0, 7, dtype=torch.float64)
        self.waiting: list[Tensor] = []

    def add(self, view: PosedView) -> None:
        used = view.used.flatten()
        own = backproject(view.depth[None], view.intrinsics[None])[0][:, used].double()
        points = transform(view.world_from_camera.double(), own).T
        colours = view.image.flatten(1)[:, used].T.double()
        ones = torch.ones_like(points[:, :1])
        self.waiting.append(torch.cat([ones, points, colours], 1) / own[2].square()[:, None])
        if sum(map(len, self.waiting)) > max(1_000_000, len(self.cells)):
            self._merge()

    def _merge(self) -> None:
        rows = torch.cat([self.sums, *self.waiting])
        cells = (rows[:, 1:4] / rows[:, :1] / self.side).floor().long()
        self.cells, at = torch.unique(cells, dim=0, return_inverse=True)
        self.sums = rows.new_zeros(len(self.cells), 7).index_add_(0, at, rows)
        self.waiting = []

    def surface(self) -> Surface:
        self._merge()
        means = self.sums[:, 1:] / self.sums[:, :1]
        return Surface(means[:, :3].float(), means[:, 3:].round().to(torch.uint8))


class SignedDistance:
    """Open3D's voxel blocks of truncated signed distance (Curless and Levoy 1996), which give a mesh."""

    def __init__(self, side: float) -> None:
        self.o3d = library("open3d", "fusion")
        number = self.o3d.core.float32
        attributes = {"tsdf": 1, "weight": 1, "color": 3}
        self.empty = True
        self.grid = self.o3d.t.geometry.VoxelBlockGrid(
            tuple(attributes), (number,) * 3, tuple(attributes.values()), side, BLOCK, BLOCKS
        )

    def add(self, view: PosedView) -> None:
        image, tensor = self.o3d.t.geometry.Image, self.o3d.core.Tensor
        depth = image(torch.where(view.used, view.depth, 0).float().contiguous().numpy())
        colours = image((view.image.movedim(0, 2).float() / 255).contiguous().numpy())
        k = tensor(view.intrinsics.double().numpy())
        camera_from_world = tensor(invert(view.world_from_camera.double()).contiguous().numpy())
        limits = 1.0, float(view.depth.max()) + 1, TRUNCATION  # depth's unit, the largest, in cells
        if not bool(view.used.any()):
            return
        self.empty = False
        blocks = self.grid.compute_unique_block_coordinates(depth, k, camera_from_world, *limits)
        self.grid.integrate(blocks, depth, colours, k, k, camera_from_world, *limits)

    def surface(self) -> Surface:
        if self.empty:  # which it cannot say
            return Surface(torch.zeros(0, 3), torch.zeros(0, 3, dtype=torch.uint8))
        mesh = self.grid.extract_triangle_mesh(weight_threshold=VIEWS)
        points, colours, triangles = (
            torch.from_numpy(one.numpy().copy())
            for one in (mesh.vertex.positions, mesh.vertex.colors, mesh.triangle.indices)
        )
        return Surface(points, colours.mul(255).round().clamp(0, 255).to(torch.uint8), triangles.long())
