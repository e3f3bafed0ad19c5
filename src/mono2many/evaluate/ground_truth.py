"""Measured depth of the frames to score: laser scans are read once and kept as small files in the cache."""

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.progress import track

from mono2many.evaluate.frames import EvalFrame, GroundTruthSource
from mono2many.files import atomic_write
from mono2many.metrics.sparse import SparseTruth
from mono2many.types import InputError

VERSION = 1
ROW = np.dtype([("pixel", "<i4"), ("depth", "<f4")])
"""Of a file: one measured pixel."""
GroundTruth = Callable[[Sequence[EvalFrame]], list[SparseTruth]]


def read_ground_truth(
    sources: Sequence[GroundTruthSource], cache_dir: str | Path | None = None, workers: int = 2
) -> Iterator[SparseTruth]:
    """What is measured of each image, by `workers` threads.

    cache_dir: by default $MONO2MANY_CACHE, else ~/.cache/mono2many; entries of changed files are made again.
    Raises InputError for files that are missing, damaged or of another size than the calibration says.
    """
    root = Path(cache_dir or os.environ.get("MONO2MANY_CACHE") or "~/.cache/mono2many").expanduser()
    with suppress(OSError):  # what cannot be kept is read again
        (root / "truth").mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(max(1, workers)) as pool:
        yield from pool.map(lambda source: _read(source, root / "truth"), sources)


def open_ground_truth(
    frames: Sequence[EvalFrame],
    cache_dir: str | Path | None = None,
    workers: int = 2,
    console: Console | None = None,
) -> GroundTruth:
    """For any of these frames: all is read at once, but dense depth when it is asked for: together it would
    fill the memory."""

    def read(some: Sequence[EvalFrame]) -> Iterator[SparseTruth]:
        return read_ground_truth([frame.ground_truth for frame in some], cache_dir, workers)

    if frames and not frames[0].ground_truth.key:
        return lambda some: list(read(some))
    shown = track(read(frames), "measured depth", len(frames), console=console, transient=True)
    by_position = {frame.position: truth for frame, truth in zip(frames, shown, strict=True)}
    return lambda some: [by_position[frame.position] for frame in some]


def _read(source: GroundTruthSource, cache: Path) -> SparseTruth:
    if not source.key:
        return source.read()
    key = repr((VERSION, *source.key))
    entry = cache / f"{source.name}_{hashlib.sha256(key.encode()).hexdigest()[:16]}.npy"
    with suppress(OSError, ValueError):  # not there, or cut short
        rows = np.load(entry)
        if rows.dtype == ROW:
            pixels, depth = (torch.from_numpy(rows[column].copy()) for column in ("pixel", "depth"))
            return SparseTruth(source.size, pixels, depth)
    truth = source.read()
    rows = np.empty(len(truth.pixels), ROW)
    rows["pixel"], rows["depth"] = truth.pixels.numpy(), truth.depth.numpy()
    with suppress(OSError, InputError), atomic_write(entry) as temporary, temporary.open("wb") as file:
        np.save(file, rows)
    return truth
