"""PNG images to JPEG, as ImageMagick's `convert -quality 92 -sampling-factor 2x2,1x1,1x1` makes them."""

import io
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import numpy as np
import simplejpeg
from PIL import Image
from rich.console import Console

from mono2many.errors import InputError
from mono2many.files import atomic_write, reason, remove_partial
from mono2many.io.images import NO_IMAGE
from mono2many.terminal import track

QUALITY = 92
TOLERANCE = 8
"""Grey levels by which a channel's mean over a block of 8 x 8 pixels may change. JPEG keeps means exactly but
for rounding: street scenes and noise alike have 4 at most."""

Item = TypeVar("Item")
Result = TypeVar("Result")


def png_to_jpeg(png: bytes) -> bytes:
    """The same image as JPEG; grey images stay grey. It is decoded again and compared. ValueError where that
    fails or the PNG is damaged or not of 8 bits, RGB or grey."""
    try:
        with Image.open(io.BytesIO(png)) as image:
            image.load()
            if image.format != "PNG" or image.mode not in ("RGB", "L"):
                raise ValueError(f"is {image.format}, {image.mode}; wanted PNG, RGB or grey with 8 bits")
            jpeg = io.BytesIO()
            image.save(jpeg, "JPEG", quality=QUALITY, subsampling="4:2:0")
            if not shows(jpeg.getvalue(), image):
                raise ValueError("its JPEG, read back, shows something else")
            return jpeg.getvalue()
    except NO_IMAGE as error:
        raise ValueError(str(error)) from error


def shows(jpeg: bytes, image: Image.Image) -> bool:
    """Whether JPEG's loss can be all that lies between the two. All of its code is read, but only the blocks'
    means are computed: twice as fast as all pixels. ValueError where the code is damaged."""
    width, height = image.size
    space = "RGB" if image.mode == "RGB" else "GRAY"
    if simplejpeg.decode_jpeg_header(jpeg)[:2] != (height, width):
        return False
    found = simplejpeg.decode_jpeg(jpeg, space, min_height=1, min_width=1, min_factor=1 / 8, strict=True)
    wanted = np.asarray(image.reduce(8), np.int16).reshape(found.shape)
    whole = np.s_[: height // 8, : width // 8]  # a JPEG pads the blocks at the edges
    return int(np.abs(wanted - found)[whole].max(initial=0)) <= TOLERANCE


def convert_pngs(folders: Iterable[Path], workers: int, console: Console | None = None) -> int:
    """Replace the PNGs in folders by JPEGs; how many. A PNG is removed when its JPEG was compared with it and
    is on the disk.

    InputError, naming them, where some could not be converted; the others are.
    """
    files: list[Path] = []
    for folder in folders:
        remove_partial(folder)
        files += sorted(folder.glob("[!.]*.png"))
    results = in_threads(_replace_png, files, workers, console, "PNG to JPEG")
    if failed := [result for result in results if result]:
        raise InputError(
            f"{len(failed)} of {len(files)} PNGs were not converted and stay: {', '.join(failed[:5])}"
            f"{' ...' if len(failed) > 5 else ''}; remove or replace them and run the same again"
        )
    return len(files)


def _replace_png(path: Path) -> str:
    """What is wrong, if anything."""
    try:
        jpeg = png_to_jpeg(path.read_bytes())
        with atomic_write(path.with_suffix(".jpg")) as temporary:
            temporary.write_bytes(jpeg)
        path.unlink()
    except (OSError, ValueError) as error:
        return f"{path} ({reason(error)[:80]})"
    return ""


def in_threads(
    work: Callable[[Item], Result], items: Sequence[Item], workers: int, console: Console | None, title: str
) -> list[Result]:
    """work(item) of each, in order, with a progress bar if the console is a terminal. Threads are enough:
    Pillow and simplejpeg release Python's lock while they decode."""
    hidden = console is None or not console.is_terminal
    with ThreadPoolExecutor(workers) as pool:
        results = pool.map(work, items)
        return list(track(results, title, len(items), console=console, hidden=hidden))
