"""What a model predicts of one image, and what can be made of it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from jaxtyping import Float, UInt8
from numpy import ndarray
from torch import Tensor

from mono2many.errors import warn
from mono2many.geometry.warp import backproject
from mono2many.io.camera_file import FOV_GUESS, camera_from_fov
from mono2many.io.colour import colour_disparity
from mono2many.io.depth_files import write_depth_npy, write_depth_png16
from mono2many.io.images import IMAGE_SUFFIXES, write_image
from mono2many.io.surfaces import (
    NO_TRIANGLES,
    Surface,
    grid_stride,
    grid_triangles,
    without_loose_points,
    write_glb,
    write_ply,
)
from mono2many.types import InputError, Scale

Kind = Literal["npy", "png16", "colour", "ply", "glb"]


@dataclass(frozen=True)
class DepthMap:
    """What a model predicts of one image."""

    depth: Float[Tensor, "H W"]
    """Along the optical axis, at the image's own size, in the unit that `scale` names."""
    disparity: Float[Tensor, "H W"]
    """1 / depth."""
    scale: Scale = "up to scale"
    image: UInt8[Tensor, "3 H W"] | None = None
    """Of which it was predicted; None: not kept."""
    intrinsics: Float[Tensor, "3 3"] | None = None
    """K in pixels of this map, where the camera is known: given, or learnt by the model."""
    std: Float[Tensor, "H W"] | None = None
    """Standard deviation of log depth: 0.1 is 10 % of depth. None: not asked for."""

    def colour(self) -> UInt8[Tensor, "3 H W"]:
        """Disparity as an RGB image: near is bright, far is dark."""
        return colour_disparity(self.disparity)

    def points(self, intrinsics: ndarray | Tensor) -> Float[Tensor, "H W 3"]:
        """x (right), y (down), z (ahead) of each pixel in the camera's frame, in the unit of depth.

        intrinsics: K, 3x3, in pixels of this map. InputError for another shape."""
        k = torch.as_tensor(intrinsics).to(self.depth)
        if k.shape != (3, 3):
            raise InputError(f"the camera matrix has the shape {tuple(k.shape)}, wanted 3x3, in pixels")
        return backproject(self.depth[None], k[None])[0].T.unflatten(0, self.depth.shape)

    def surface(self, intrinsics: ndarray | Tensor | None = None, mesh: bool = False) -> Surface:
        """The points in the image's colours (of a map alone: the disparity's). mesh: of at most GRID
        points across, with triangles, cut where depth jumps, without what is far away.

        intrinsics: as of `points`; by default this map's own, else those of a phone, with a warning."""
        height, width = self.depth.shape
        if intrinsics is None:
            intrinsics = self.intrinsics
        if intrinsics is None:
            intrinsics = assumed_intrinsics(height, width)
        every = grid_stride((height, width)) if mesh else 1
        at = slice(every // 2, None, every), slice(every // 2, None, every)
        points = self.points(intrinsics)[at].reshape(-1, 3)
        colours = (self.colour() if self.image is None else self.image).movedim(0, 2)[at].reshape(-1, 3)
        triangles = grid_triangles(self.depth[at]) if mesh else NO_TRIANGLES
        surface = Surface(points, colours, triangles)
        return without_loose_points(surface) if len(triangles) else surface

    def save(
        self, path: str | Path, kind: Kind | None = None, intrinsics: ndarray | Tensor | None = None
    ) -> Path:
        """Write a file; missing folders are made. Returns its path.

        kind: npy (depth, float32), png16 (depth, 16 bit: 256 values a metre, or the factor in the file's text
        that suits depth up to scale), colour (disparity, any image format), ply (coloured points) or glb (a
        mesh, y up). Default, by the suffix: that of .npy, .ply and .glb, png16 of .png, colour of other
        images. intrinsics: of ply and glb, see `surface`. InputError where it fits none or cannot be written,
        and for ply and glb without trimesh."""
        path = Path(path).expanduser()
        suffix = path.suffix.lower()
        if kind is None:
            own: dict[str, Kind] = {".npy": "npy", ".png": "png16", ".ply": "ply", ".glb": "glb"}
            kind = own.get(suffix, "colour")
        wanted = {
            "npy": (".npy",),
            "png16": (".png",),
            "colour": IMAGE_SUFFIXES,
            "ply": (".ply",),
            "glb": (".glb",),
        }
        if kind not in wanted or suffix not in wanted[kind]:
            fitting = ", ".join(wanted.get(kind, wanted))
            raise InputError(f"{path}: a depth map is saved as {kind} in files that end in {fitting}")
        if kind == "npy":
            write_depth_npy(path, self.depth)
        elif kind == "png16":
            factor = 256.0 if self.scale == "metres" else None
            write_depth_png16(path, self.depth, factor, self.scale)
        elif kind == "ply":
            write_ply(path, self.surface(intrinsics))
        elif kind == "glb":
            write_glb(path, self.surface(intrinsics, mesh=True))
        else:
            write_image(path, self.colour())
        return path


def assumed_intrinsics(height: int, width: int) -> Float[Tensor, "3 3"]:
    """K of a phone's camera, where nothing is known; a warning says so."""
    warn(
        f"no camera is known: a field of view of {FOV_GUESS:g} degrees along the longer side is assumed, and "
        "with another one shapes are wrong: give --camera FILE.json or --fov DEGREES (in Python: intrinsics)"
    )
    return camera_from_fov(None, width, height).intrinsics
