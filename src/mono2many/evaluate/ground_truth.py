"""Measured depth of the frames to score: laser scans are read once and kept as small files in the cache."""

import hashlib
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch

from mono2many.evaluate.frames import EvalFrame, GroundTruthSource
from mono2many.files import atomic_write
from mono2many.metrics.sparse import SparseTruth
from mono2many.types import InputError

VERSION = 1
ROW = np.dtype([("pixel", "<i4"), ("depth", "<f4")])
"""Of a file: one measured pixel."""
GroundTruth = Callable[[Sequence[EvalFrame]], list[SparseTruth]]


def read_ground_truth(
    sources: Sequence[GroundTruthSource],
    cache_dir: str | Path | None = None,
    workers: int = 2,
    progress: Callable[[int, int], None] | None = None,
) -> list[SparseTruth]:
    """What is measured of each image, by `workers` threads.

    cache_dir: by default $MONO2MANY_CACHE, else ~/.cache/mono2many; entries of changed files are made again.
    progress(frames done, frames in all). Raises InputError for files that are missing, damaged or of another
    size than the calibration says.
    """
    cache = (
        Path(cache_dir or os.environ.get("MONO2MANY_CACHE") or "~/.cache/mono2many").expanduser() / "truth"
    )
    with suppress(OSError):  # what cannot be kept is read again
        cache.mkdir(parents=True, exist_ok=True)
    found = []
    with ThreadPoolExecutor(max(1, workers)) as pool:
        for truth in pool.map(lambda source: _read(source, cache), sources):
            found.append(truth)
            if progress is not None:
                progress(len(found), len(sources))
    return found


def open_ground_truth(
    frames: Sequence[EvalFrame],
    cache_dir: str | Path | None = None,
    workers: int = 2,
    progress: Callable[[int, int], None] | None = None,
) -> GroundTruth:
    """For any of these frames: all is read at once, as read_ground_truth does, but dense depth when it is
    asked for: together it would fill the memory."""
    if frames and not frames[0].ground_truth.key:
        return lambda some: read_ground_truth([f.ground_truth for f in some], cache_dir, workers)
    truths = read_ground_truth([f.ground_truth for f in frames], cache_dir, workers, progress)
    by_position = {frame.position: truth for frame, truth in zip(frames, truths, strict=True)}
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
