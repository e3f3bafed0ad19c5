"""Depth maps in files: NumPy arrays (exact) and 16-bit PNGs (small, readable everywhere)."""

import io
import math
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from torch import Tensor

from mono2many.files import UNREADABLE, explained, write_bytes
from mono2many.types import InputError, Scale

FACTOR_KEY, SCALE_KEY = "mono2many:factor", "mono2many:scale"
KITTI_FACTOR = 256.0
LARGEST = 65535
NO_MAP = "cannot be read as a depth map"


def write_depth_npy(path: str | Path, depth: Float[Tensor, "H W"]) -> None:
    """Depth as a float32 array (H, W) for numpy.load, in depth's own unit; NaN where unknown. InputError
    where the file cannot be written."""
    file = io.BytesIO()
    np.save(file, depth.detach().cpu().float().numpy())
    write_bytes(path, file.getvalue())


def write_depth_png16(
    path: str | Path,
    depth: Float[Tensor, "H W"],
    factor: float | None = KITTI_FACTOR,
    scale: Scale = "metres",
) -> float:
    """Depth as a 16-bit PNG of round(depth * factor), KITTI's format at factor 256; 0 = unknown.

    Known values are kept in 1 .. 65535 (at factor 256 that is 4 mm to 256 m); NaN, infinite and non-positive
    depths are unknown. `factor` None picks the power of two that uses the range best, which suits depth "up
    to scale". Returns the factor; it is also written in the file's text, with the scale. InputError where the
    file cannot be written."""
    depth = depth.detach().cpu().double()
    known = depth.isfinite() & (depth > 0)
    if factor is None:  # the largest power of two with which the largest depth fits into 16 bits
        largest = float(depth[known].max()) if bool(known.any()) else LARGEST / KITTI_FACTOR
        factor = 2.0 ** math.floor(math.log2(LARGEST / largest))
    assert factor > 0, f"the factor must be positive, got {factor}"
    values = torch.where(known, (depth * factor).round().clamp(1, LARGEST), 0)
    text = PngInfo()
    text.add_text(FACTOR_KEY, repr(float(factor)))
    text.add_text(SCALE_KEY, scale)
    file = io.BytesIO()
    Image.fromarray(values.numpy().astype(np.uint16)).save(file, format="PNG", pnginfo=text)
    write_bytes(path, file.getvalue())
    return float(factor)


def read_depth(path: Path, factor: float) -> Float[Tensor, "H W"]:
    """A depth map in metres, NaN where unknown: of a .npy file as it is, of a 16-bit PNG divided by `factor`
    (or by that in its text). Raises InputError as read_depth_png16, and where an array is no map."""
    if path.suffix != ".npy":
        return read_depth_png16(path, factor)
    with explained(f"{path}: {NO_MAP}", "write it again", UNREADABLE):
        depth = torch.from_numpy(np.load(path, allow_pickle=False).astype(np.float32))
    if depth.dim() != 2:
        raise InputError(f"{path}: is of shape {tuple(depth.shape)}, wanted H W; write it again")
    return torch.where(depth.isfinite() & (depth > 0), depth, torch.nan)


def read_depth_png16(path: str | Path, factor: float | None = None) -> Float[Tensor, "H W"]:
    """Depth from a 16-bit PNG, divided by the factor in its text (else by `factor`; 256 where there is none,
    as KITTI's own); NaN where unknown. InputError where the file is missing, broken or not 16-bit grey."""
    with explained(f"{path}: {NO_MAP}", "write it again", (*UNREADABLE, Image.DecompressionBombError)):
        with Image.open(path) as image:
            values = np.asarray(image).astype(np.float32)
        factor = float(image.info.get(FACTOR_KEY, factor or KITTI_FACTOR))
        if not 0 < factor < math.inf:
            raise ValueError(f"its text says {factor:g} units per metre")
    if not image.mode.startswith("I"):
        raise InputError(f"{path}: its pixels are of mode {image.mode}, wanted a depth map of 16-bit grey")
    depth = torch.from_numpy(values) / factor
    return torch.where(depth > 0, depth, torch.nan)
