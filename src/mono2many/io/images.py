"""Images in and out: files to uint8 tensors (RGB, 3 H W) and back, and their resizing."""

import io
import re
from contextlib import suppress
from pathlib import Path
from typing import Literal

import numpy as np
import simplejpeg
import torch
from jaxtyping import UInt8
from PIL import Image, ImageOps
from torch import Tensor
from torch.nn import functional as F

from mono2many.files import UNREADABLE, Errors, explained, writing
from mono2many.types import InputError

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
VIDEO_SUFFIXES = (".mp4", ".mov", ".m4v", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".mts", ".wmv")

NOT_READ = "cannot be read as an image"
REPLACE = f"wanted one of {', '.join(IMAGE_SUFFIXES)}: replace or remove the file"
NO_IMAGE: Errors = (*UNREADABLE, Image.DecompressionBombError)
"""What decoders raise for a file that is missing, cut short or no image."""
ORIENTATION = 0x0112
"""EXIF tag: how the camera was held."""


def read_image(path: str | Path) -> UInt8[Tensor, "3 H W"]:
    """RGB, 0 to 255, turned upright as EXIF says. Grey and palette images become RGB, transparency is
    dropped, 16-bit values are divided by 257. InputError, naming the file, where it is missing, cut short or
    no image."""
    with explained(f"{path}: {NOT_READ}", REPLACE, NO_IMAGE):
        pixels = _decode(Path(path).read_bytes())
    return torch.from_numpy(pixels).permute(2, 0, 1).contiguous()


def image_size(path: str | Path) -> tuple[int, int]:
    """(height, width) of the image that `read_image` would return, from the file's header alone. InputError
    where it is missing or no image."""
    with explained(f"{path}: {NOT_READ}", REPLACE, NO_IMAGE), Image.open(path) as image:
        width, height = image.size
        sideways = image.getexif().get(ORIENTATION, 1) in (5, 6, 7, 8)
    return (width, height) if sideways else (height, width)


def list_images(folder: str | Path) -> list[Path]:
    """The folder's images in natural order: frame2 before frame10, without sub-folders and hidden files.
    InputError where the folder is missing or holds no image."""
    found = Path(folder).glob("[!.]*")
    images = [path for path in found if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file()]
    if not images:
        raise InputError(
            f"{folder}: no images found; wanted a folder with files that end in {', '.join(IMAGE_SUFFIXES)} "
            "directly in it: check the path"
        )
    return sorted(images, key=_natural)


def kept_rows(height: int, crop_bottom: float) -> int:
    """How many of `height` rows are left when that share is cut off below."""
    return max(1, round(height * (1 - crop_bottom)))


def resize_image(
    image: UInt8[Tensor, "*batch 3 H W"],
    size: tuple[int, int],
    filter: Literal["bilinear", "lanczos"] = "bilinear",
) -> UInt8[Tensor, "*batch 3 {size[0]} {size[1]}"]:
    """The image at `size` (height, width), antialiased when it shrinks, half-pixel centres.

    bilinear: torch's own uint8 path, at most one grey level from the rounded float result. lanczos: Pillow's,
    on the CPU, as the reference program resizes its input."""
    if tuple(image.shape[-2:]) == tuple(size):
        return image
    stack = image.reshape(-1, *image.shape[-3:])
    if filter == "lanczos":
        images = [Image.fromarray(i.numpy()) for i in stack.cpu().permute(0, 2, 3, 1).contiguous()]
        shrunk = [np.array(i.resize(size[::-1], Image.Resampling.LANCZOS)) for i in images]
        resized = torch.from_numpy(np.stack(shrunk)).permute(0, 3, 1, 2)
    else:  # channels last is three times as fast here, and what decoders deliver anyway
        stack = stack.contiguous(memory_format=torch.channels_last)
        resized = F.interpolate(stack, size=size, mode="bilinear", align_corners=False, antialias=True)
    return resized.contiguous(memory_format=torch.contiguous_format).reshape(*image.shape[:-2], *size)


def write_image(path: str | Path, image: UInt8[Tensor, "3 H W"]) -> None:
    """Writes RGB as the file's suffix says (PNG, JPEG, ...); makes the folder where needed. InputError where
    the suffix is unknown or the file cannot be written."""
    path = Path(path)
    if path.suffix.lower() not in IMAGE_SUFFIXES:
        raise InputError(f"{path}: unknown suffix of an image; wanted one of {', '.join(IMAGE_SUFFIXES)}")
    pixels = image.detach().cpu().permute(1, 2, 0).contiguous().numpy()
    with writing(path):
        Image.fromarray(pixels).save(path, quality=92)  # PNG ignores it


def _decode(data: bytes) -> np.ndarray:
    """H W 3, uint8."""
    image: Image.Image = Image.open(io.BytesIO(data))  # reads the header only
    upright = image.getexif().get(ORIENTATION, 1) == 1
    if upright and image.format == "JPEG" and image.mode in ("L", "RGB"):
        # Pillow, below, is more patient with harmless oddities, and also refuses what is cut short.
        with suppress(ValueError):
            return simplejpeg.decode_jpeg(data, "RGB", strict=True)
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):
        grey = (np.asarray(image).astype(np.int64) + 128) // 257
        return np.repeat(grey.clip(0, 255).astype(np.uint8)[..., None], 3, axis=-1)
    if image.mode == "F":
        raise ValueError("its pixels are floating point numbers, not 8 or 16 bits")
    if image.mode in ("P", "PA", "LA", "La", "RGBa"):
        image = image.convert("RGBA")
    return np.array(image.convert("RGB"))


def _natural(path: Path) -> list[tuple[int, int, str]]:
    """Sort key that compares runs of digits as numbers."""
    parts = re.split(r"(\d+)", path.name)
    return [(1, int(part), part) if part.isdigit() else (0, 0, part) for part in parts if part]
