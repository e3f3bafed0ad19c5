"""PNG pictures to JPEG, as `convert -quality 92 -sampling-factor 2x2,1x1,1x1` of ImageMagick makes them."""

import io
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import parent_process
from pathlib import Path
from typing import TypeVar

import numpy as np
import simplejpeg
from PIL import Image

from mono2many.types import InputError

QUALITY = 92
TOLERANCE = 8
"""Grey levels by which a channel's mean over a block of 8 x 8 pixels may change. JPEG keeps means exactly but
for rounding: street scenes and noise alike have 4 at most."""

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Converted:
    """What a conversion did."""

    count: int = 0
    bytes_before: int = 0
    bytes_after: int = 0


def convert_pngs(
    paths: Iterable[Path], workers: int, progress: Callable[[int, int | None], None] | None = None
) -> Converted:
    """Put a JPEG in the place of every PNG among `paths` or directly in the folders among them. A PNG goes
    when its JPEG has its final name, was read back and shows the same. Grey pictures stay grey.

    InputError, naming them, where some could not be converted; the others are.
    """
    files: list[Path] = []
    for path in paths:
        if path.is_dir():
            for stale in path.glob(".*.jpg.*.part"):  # of a process that was killed
                stale.unlink(missing_ok=True)
        files += sorted(path.glob("[!.]*.png")) if path.is_dir() else [path]
    before = after = 0
    failed: list[str] = []
    for done, result in enumerate(in_processes(_convert, files, workers), 1):
        if isinstance(result, str):
            failed.append(result)
        else:
            before, after = before + result[0], after + result[1]
        if progress is not None:
            progress(done, len(files))
    if failed:
        raise InputError(
            f"{len(failed)} of {len(files)} PNGs were not converted and stay: {', '.join(failed[:5])}"
            f"{' ...' if len(failed) > 5 else ''}; remove or replace them and run the same again"
        )
    return Converted(len(files), before, after)


def in_processes(work: Callable[[Item], Result], items: Sequence[Item], workers: int) -> Iterator[Result]:
    """work(item) of each, in order, by that many processes, which end with this one however it ends."""
    if not items:
        return
    with ProcessPoolExecutor(min(workers, len(items)), initializer=_follow) as pool:
        try:
            yield from pool.map(work, items, chunksize=4)
        except BrokenProcessPool as error:
            raise InputError(
                "a process that reads pictures was ended from outside (too little memory?); give fewer "
                "--workers and run the same again"
            ) from error
        finally:
            pool.shutdown(cancel_futures=True)


def _follow() -> None:
    """Leave Ctrl-C to the parent, and end with it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def wait() -> None:
        parent = parent_process()
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def shows(jpeg: bytes, image: Image.Image) -> bool:
    """Whether JPEG's loss can be all that lies between the two. All of its code is read, but only the blocks'
    means are computed: twice as fast as all pixels. ValueError where the code is damaged."""
    width, height = image.size
    space = "RGB" if image.mode == "RGB" else "GRAY"
    if simplejpeg.decode_jpeg_header(jpeg)[:2] != (height, width):
        return False
    found = simplejpeg.decode_jpeg(jpeg, space, min_height=1, min_width=1, min_factor=1 / 8, strict=True)
    wanted = np.asarray(image.reduce(8), np.int16).reshape(found.shape)
    difference = np.abs(wanted - found)[
        : height // 8, : width // 8
    ]  # a JPEG fills the blocks at the edges up
    return int(difference.max(initial=0)) <= TOLERANCE


def _convert(path: Path) -> tuple[int, int] | str:
    """Bytes before and after, or what is wrong. No torch: its threads do not survive in a forked process."""
    target = path.with_suffix(".jpg")
    temporary = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        before, jpeg = path.stat().st_size, io.BytesIO()
        with Image.open(path) as image:
            if image.format != "PNG" or image.mode not in ("RGB", "L"):
                raise ValueError(f"is {image.format}, {image.mode}; wanted PNG, RGB or grey with 8 bits")
            image.load()  # else `save` copies it
            image.save(jpeg, "JPEG", quality=QUALITY, subsampling="4:2:0")
            with temporary.open("wb") as file:
                file.write(jpeg.getbuffer())
                file.flush()
                os.fsync(file.fileno())  # the PNG goes: its JPEG must outlive a power cut
            written = temporary.read_bytes()
            if written != jpeg.getbuffer() or not shows(written, image):
                raise ValueError("its JPEG, read back, shows something else")
        temporary.replace(target)
        path.unlink(missing_ok=True)
        return before, len(written)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        temporary.unlink(missing_ok=True)
        if target.exists() and not path.exists():  # the last act of a process whose parent was killed
            return 0, 0
        return f"{path} ({getattr(error, 'strerror', None) or str(error)[:80]})"
