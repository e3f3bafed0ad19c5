"""Masks of what is fixed to the camera: PNG files, black on what is left out."""

from pathlib import Path

from jaxtyping import Bool
from torch import Tensor
from torch.nn import functional as F

from mono2many.geometry.camera import Size
from mono2many.io.camera_file import Camera
from mono2many.io.images import read_image
from mono2many.io.undistort import Undistortion
from mono2many.types import InputError

MOST_HIDDEN = 0.9
"""Share of an image beyond which a mask is probably the wrong way round."""
WHOLE = 0.999
"""Share of a pixel that is used, from which on it is."""


def read_mask(path: Path, size: Size, remedy: str) -> Bool[Tensor, "H W"]:
    """False where the PNG is black, at this height and width. InputError where it is no PNG, of another
    shape, or hides nearly all."""
    if path.suffix.lower() != ".png" or not path.is_file():
        raise InputError(f"{path}: no such mask, or no PNG; {remedy}")
    mask = read_image(path).amax(0) > 0
    height, width = mask.shape
    if abs(height - size[0] * width / size[1]) > 1:
        raise InputError(
            f"{path}: the mask is {width}x{height}, the video {size[1]}x{size[0]}; wanted that size, or its "
            f"shape: {remedy}"
        )
    if (hidden := 1 - float(mask.float().mean())) > MOST_HIDDEN:
        raise InputError(
            f"{path}: hides {hidden:.0%} of the image; wanted black on what is fixed to the camera and white "
            "elsewhere: turn it round"
        )
    return F.interpolate(mask[None, None].float(), size, mode="nearest-exact")[0, 0] > 0


def undistort_mask(mask: Bool[Tensor, "H W"], camera: Camera) -> Bool[Tensor, "H W"]:
    """The mask of the frames without lens distortion."""
    return Undistortion(camera)(mask[None].float())[0] > WHOLE if camera.is_distorted else mask
