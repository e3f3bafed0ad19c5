"""Coloured points and meshes in files: PLY and GLB, written by trimesh (extra `three`)."""

from pathlib import Path
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from mono2many.errors import library
from mono2many.files import write_bytes
from mono2many.geometry.camera import Size

LARGEST_JUMP = 0.1
"""Share by which depths of a triangle's corners may differ; beyond, it would bridge two objects."""
NEAR, FAR = 0.05, 12.0
"""What is farther than FAR times this quantile of depth, such as the sky, is no part of a mesh: beside it all
else would be small."""
GRID = 640
"""Pixels across of a mesh made of a depth map, at most: more than networks resolve."""
PATH_COLOUR = (255, 90, 40)
"""Of the camera's path."""
UNLIT = "KHR_materials_unlit"
NO_TRIANGLES = torch.zeros(0, 3, dtype=torch.int64)


class Surface(NamedTuple):
    """Coloured points, and the triangles between them where it is a mesh."""

    points: Float[Tensor, "N 3"]
    """x right, y down, z ahead, as all coordinates here; GLB files have y up."""
    colours: UInt8[Tensor, "N 3"]
    triangles: Int64[Tensor, "M 3"] = NO_TRIANGLES
    """Numbers of points, counterclockwise as seen from the camera in y-up coordinates."""


def write_ply(path: str | Path, surface: Surface, camera_path: Float[Tensor, "N 3"] | None = None) -> None:
    """Points with colours, x right, y down, z ahead, binary; places of the camera are orange points.
    InputError where trimesh is missing or the file cannot be written."""
    trimesh = library("trimesh", "three")
    points, colours = surface.points, surface.colours
    if camera_path is not None:
        points = torch.cat([points, camera_path.to(points)])
        colours = torch.cat(
            [colours, torch.tensor(PATH_COLOUR, dtype=torch.uint8).expand(len(camera_path), 3)]
        )
    cloud = trimesh.PointCloud(points.cpu().numpy(), colours.cpu().numpy())
    write_bytes(path, cloud.export(file_type="ply"))


def write_glb(path: str | Path, surface: Surface, camera_path: Float[Tensor, "N 3"] | None = None) -> None:
    """The mesh, or the points where there are no triangles, and the camera's path as a line; right-handed,
    y up, looking along -z, as glTF has it. InputError as of `write_ply`."""
    trimesh = library("trimesh", "three")
    points, colours = y_up(surface.points).cpu().numpy(), linear(surface.colours).cpu().numpy()
    if len(surface.triangles):
        shape: Any = trimesh.Trimesh(
            points, surface.triangles.cpu().numpy(), vertex_colors=colours, process=False, validate=False
        )
    else:
        shape = trimesh.PointCloud(points, colours)
    scene = trimesh.Scene({"surface": shape})
    if camera_path is not None and len(camera_path) > 1:
        places = y_up(camera_path).cpu().numpy()
        line = trimesh.path.entities.Line(range(len(places)), color=PATH_COLOUR)
        scene.add_geometry(trimesh.path.Path3D([line], places, process=False), geom_name="camera path")
    write_bytes(path, scene.export(file_type="glb", tree_postprocessor=_without_lamps))


def linear(colours: UInt8[Tensor, "N 3"]) -> UInt8[Tensor, "N 3"]:
    """What glTF wants at the points, of sRGB (IEC 61966-2-1)."""
    c = colours.float() / 255
    return (torch.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4) * 255).round().byte()


def _without_lamps(tree: dict[str, Any]) -> None:
    """Show surfaces and points in their own colours, from both sides (KHR_materials_unlit)."""
    tree.setdefault("extensionsUsed", []).append(UNLIT)
    tree.setdefault("materials", []).append({"extensions": {UNLIT: {}}, "doubleSided": True})
    for mesh in tree["meshes"]:
        for primitive in mesh["primitives"]:
            primitive.setdefault("material", len(tree["materials"]) - 1)


def y_up(points: Float[Tensor, "N 3"]) -> Float[Tensor, "N 3"]:
    """From x right, y down, z ahead to x right, y up, z backwards: half a turn about x."""
    return points * points.new_tensor([1, -1, -1])


def grid_stride(size: Size) -> int:
    """Of the pixels that become a mesh's points."""
    return -(-size[1] // GRID)


def grid_triangles(depth: Float[Tensor, "H W"], jump: float = LARGEST_JUMP) -> Int64[Tensor, "M 3"]:
    """Two triangles for each square of four neighbouring pixels, numbered row after row, without those whose
    depths differ by more than `jump` of the smallest, where one object hides another, and without the far."""
    height, width = depth.shape
    number = torch.arange(height * width).view(height, width)
    a, b, c, d = number[:-1, :-1], number[:-1, 1:], number[1:, :-1], number[1:, 1:]
    triangles = torch.stack([torch.stack([a, c, b], -1), torch.stack([b, c, d], -1)]).reshape(-1, 3)
    corners, some = depth.flatten()[triangles], depth.flatten()[:: max(1, depth.numel() // 25_000)]
    far = FAR * some.quantile(NEAR)
    return triangles[(corners.amax(1) <= (1 + jump) * corners.amin(1)) & (corners.amax(1) < far)]


def without_loose_points(surface: Surface) -> Surface:
    """A mesh with the points of its triangles only: viewers fit all points into the window."""
    used, triangles = surface.triangles.unique(return_inverse=True)
    return Surface(surface.points[used], surface.colours[used], triangles)
