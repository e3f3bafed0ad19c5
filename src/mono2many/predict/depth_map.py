"""What a model predicts of one image, and what can be made of it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from jaxtyping import Float, UInt8
from numpy import ndarray
from torch import Tensor

from mono2many.geometry.warp import backproject
from mono2many.io.colour import colour_disparity
from mono2many.io.depth_files import write_depth_npy, write_depth_png16
from mono2many.io.images import IMAGE_SUFFIXES, write_image
from mono2many.types import InputError, Scale

Kind = Literal["npy", "png16", "colour"]


@dataclass(frozen=True)
class DepthMap:
    """What a model predicts of one image."""

    depth: Float[Tensor, "H W"]
    """Along the optical axis, at the image's own size, in the unit that `scale` names."""
    disparity: Float[Tensor, "H W"]
    """1 / depth."""
    scale: Scale = "up to scale"
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

    def save(self, path: str | Path, kind: Kind | None = None) -> Path:
        """Write a file; missing folders are made. Returns its path.

        kind: npy (depth, float32), png16 (depth, 16 bit: 256 values a metre, or the factor in the file's text
        that suits depth up to scale) or colour (disparity, any image format). Default, by the suffix: npy of
        .npy, png16 of .png, colour of other images. InputError where it fits none or cannot be written."""
        path = Path(path).expanduser()
        suffix = path.suffix.lower()
        if kind is None:
            kind = "npy" if suffix == ".npy" else "png16" if suffix == ".png" else "colour"
        wanted = {"npy": (".npy",), "png16": (".png",), "colour": IMAGE_SUFFIXES}
        if kind not in wanted or suffix not in wanted[kind]:
            fitting = ", ".join(wanted.get(kind, wanted))
            raise InputError(f"{path}: a depth map is saved as {kind} in files that end in {fitting}")
        if kind == "npy":
            write_depth_npy(path, self.depth)
        elif kind == "png16":
            factor = 256.0 if self.scale == "metres" else None
            write_depth_png16(path, self.depth, factor, self.scale)
        else:
            write_image(path, self.colour())
        return path
