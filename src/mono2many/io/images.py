"""Images in and out: files to uint8 tensors (RGB, 3 H W) and back, and their resizing."""

import io
import re
import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from fractions import Fraction
from itertools import groupby
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import simplejpeg
import torch
from jaxtyping import UInt8
from PIL import Image, ImageOps
from torch import Tensor
from torch.nn import functional as F

from mono2many.errors import warn
from mono2many.files import UNREADABLE, Errors, explained, write_bytes
from mono2many.geometry.camera import Display
from mono2many.io.inputs import IMAGE_SUFFIXES, OTHER_IMAGES, VIDEO_SUFFIXES
from mono2many.types import InputError

NOT_READ = "cannot be read as an image"
REPLACE = f"wanted one of {', '.join(IMAGE_SUFFIXES)}: replace or remove the file"
NO_IMAGE: Errors = (*UNREADABLE, Image.DecompressionBombError)
"""What decoders raise for a file that is missing, cut short or no image."""
NUMBER = r"((?<![^\W_])(?<!\d\.)\d+\.\d+(?!\d|\.\d)|\d+)"
"""In a file's name."""
ORIENTATION = 0x0112
"""EXIF tag: how the camera was held."""
LEVELS = 65535
"""Of an image of 16 bits; less than a third of them is fewer than 86 grey levels of 256."""
LOOKED_AT = 16
"""Images of a folder whose levels are counted."""


class ImageFolder(NamedTuple):
    """The images directly in a folder, in natural order."""

    images: list[Path]
    places: list[int]
    """Of each among all images and videos in the folder: where some cannot be read, numbers are missing."""
    left_out: list[Path]
    """Images of other kinds, and videos, that have no image of the same stem beside them."""

    @property
    def runs(self) -> list[range]:
        """Of the images, those that follow each other."""
        runs = groupby(range(len(self.images)), lambda i: self.places[i] - i)
        return [range((found := list(run))[0], found[-1] + 1) for _, run in runs]


def read_image(path: str | Path) -> UInt8[Tensor, "3 H W"]:
    """RGB, 0 to 255, turned upright as EXIF says. Grey and palette images become RGB, transparency is
    dropped, 16-bit values are divided by 257. InputError, naming the file, where it is missing, cut short or
    no image."""
    with _reading(path):
        pixels = _decode(Path(path).read_bytes())
    return torch.from_numpy(pixels).permute(2, 0, 1).contiguous()


def image_size(path: str | Path) -> tuple[int, int]:
    """(height, width) of the image that `read_image` would return, from the file's header alone. InputError
    where it is missing or no image."""
    with _reading(path), Image.open(path) as image:
        width, height = image.size
        sideways = image.format != "TIFF" and image.getexif().get(ORIENTATION, 1) in (5, 6, 7, 8)
    return (width, height) if sideways else (height, width)


def image_display(path: str | Path) -> Display:
    """How far `read_image` turns this image. Mirrored ones count as not turned: no camera takes them."""
    with explained(f"{path}: {NOT_READ}", REPLACE, NO_IMAGE), Image.open(path) as image:
        return Display({3: 2, 6: 3, 8: 1}.get(image.getexif().get(ORIENTATION, 1), 0))


def list_images(folder: str | Path) -> list[Path]:
    """The folder's images in natural order: frame2 before frame10, without sub-folders and hidden files.
    InputError where the folder is missing or holds no image."""
    return image_folder(folder).images


def image_folder(folder: str | Path) -> ImageFolder:
    """`list_images` with what the folder holds beside them, of which it warns. InputError as there."""
    known = (*IMAGE_SUFFIXES, *OTHER_IMAGES, *VIDEO_SUFFIXES)
    found = [p for p in Path(folder).glob("[!.]*") if p.suffix.lower() in known and p.is_file()]
    found.sort(key=_natural)
    images = [path for path in found if path.suffix.lower() in IMAGE_SUFFIXES]
    stems = {path.stem for path in images}
    others = {
        path.stem: path for path in found if path.stem not in stems
    }  # of HEIC and MOV of one photo: one
    left_out, names = list(others.values()), ", ".join(path.name for path in list(others.values())[:3])
    named = f"{len(left_out)} of other kinds ({names}{' ...' if len(left_out) > 3 else ''})"
    convert = "convert images to JPEG or PNG (magick mogrify -format jpg FILES), name videos by themselves"
    if not images:
        raise InputError(
            f"{folder}: no images found; wanted a folder with files that end in {', '.join(IMAGE_SUFFIXES)} "
            f"directly in it: {f'there are {named}: {convert}' if left_out else 'check the path'}"
        )
    if left_out:
        warn(f"{folder}: {len(images)} images are read, and {named} left out, which end a clip: {convert}")
    there = {*images, *left_out}
    places = {path: place for place, path in enumerate(path for path in found if path in there)}
    return ImageFolder(images, [places[path] for path in images], left_out)


def warn_of_few_levels(name: str | Path, images: Sequence[Path]) -> None:
    """Warns where images of 16 bits use so few levels that little is left of them in 8 bits, as those of
    thermal and machine cameras do, and says how to stretch all of them by one factor. What cannot be read is
    left to its reader."""
    low, high = LEVELS, 0
    for path in images[:: -(-len(images) // LOOKED_AT)]:
        with suppress(*NO_IMAGE), Image.open(path) as image:
            if not image.mode.startswith("I;16"):
                return
            values = np.asarray(image)
            if int(values.max()) - int(values.min()) > LEVELS / 3:  # perhaps of a few hot pixels
                values = np.percentile(values, (0.1, 99.9), method="nearest")
            low, high = min(low, int(values.min())), max(high, int(values.max()))
    if 0 <= high - low < LEVELS / 3:
        files = shlex.quote(str(name)) + (f"/*{images[0].suffix}" if len(images) > 1 else "")
        warn(
            f"{name}: images of 16 bits that use {high - low} of {LEVELS} levels ({low} to {high}): "
            f"{(high - low) // 257 + 1} grey levels of 256; stretch all of them alike: "
            f"mkdir stretched && magick mogrify -level {low},{high} -path stretched {files}"
        )


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
    kind = Image.registered_extensions()[path.suffix.lower()]
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, quality=92)  # PNG ignores it
    write_bytes(path, file.getvalue())


@contextmanager
def _reading(path: str | Path) -> Iterator[None]:
    """InputError where a block cannot read the image."""
    shrink = "shrink it and all of its folder (ImageMagick: magick mogrify -resize 25% FILES)"
    too_large = explained(f"{path}: the image is too large", shrink, (Image.DecompressionBombError,))
    with explained(f"{path}: {NOT_READ}", REPLACE, NO_IMAGE), too_large:
        yield


def _decode(data: bytes) -> np.ndarray:
    """H W 3, uint8."""
    image: Image.Image = Image.open(io.BytesIO(data))  # reads the header only
    upright = image.getexif().get(ORIENTATION, 1) == 1
    if upright and image.format == "JPEG" and image.mode in ("L", "RGB"):
        # Pillow, below, is more patient with harmless oddities, and also refuses what is cut short.
        with suppress(ValueError):
            return simplejpeg.decode_jpeg(data, "RGB", strict=True)
    if image.format != "TIFF":  # which Pillow turns while it is loaded
        image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):
        grey = (np.asarray(image).astype(np.int64) + 128) // 257
        return np.repeat(grey.clip(0, 255).astype(np.uint8)[..., None], 3, axis=-1)
    if image.mode == "F":
        raise ValueError("its pixels are floating point numbers, not 8 or 16 bits")
    if image.mode in ("P", "PA", "LA", "La", "RGBa"):
        image = image.convert("RGBA")
    return np.array(image.convert("RGB"))


def _natural(path: Path) -> list[tuple[int, Fraction | int, str]]:
    """Sort key that compares numbers by their value: runs of digits, and times with decimals such as 12.5.png
    or t_12.5.png (not take1.10.png, whose number stands behind a letter, nor 2026.11.28.png)."""
    parts = re.split(NUMBER, path.name)
    return [(1, Fraction(part), part) if part[:1].isdecimal() else (0, 0, part) for part in parts if part]
