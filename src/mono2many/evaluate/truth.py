"""True depth of images with laser scans, read once: a small file for each image in the cache."""

import hashlib
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from mono2many.datasets.kitti.files import (
    Calibration,
    improved_path,
    read_calibration,
    read_velodyne,
    velodyne_path,
)
from mono2many.datasets.kitti.splits import KittiFrame
from mono2many.geometry.lidar import project_lidar
from mono2many.io.depth_files import read_depth_png16
from mono2many.metrics.protocol import Truth
from mono2many.metrics.sparse import SparseTruth, sparse_truth
from mono2many.models.checkpoint import write_atomically
from mono2many.types import InputError

VERSION = 1
ROW = np.dtype([("pixel", "<i4"), ("depth", "<f4")])
"""Of a file: one measured pixel."""


@dataclass(frozen=True)
class TruthSource:
    """What one image's true depth is made of."""

    name: str
    """Of its copy in the cache."""
    key: tuple[Any, ...]
    """All that decides it; empty: dense, too large for a copy."""
    size: tuple[int, int]
    read: Callable[[], Float[Tensor, "H W"]]
    """Metres, NaN where unmeasured."""


def truth_path(root: Path, frame: KittiFrame, kind: Truth) -> Path | None:
    """The file that a truth is made of; None where it is missing."""
    if kind == "improved":
        return improved_path(root, frame)
    path = velodyne_path(root, frame)
    return path if path.exists() else None


def load_truths(
    root: Path,
    frames: Sequence[KittiFrame],
    kind: Truth,
    cache_dir: str | Path | None = None,
    workers: int = 2,
    progress: Callable[[int, int], None] | None = None,
) -> list[SparseTruth]:
    """What is measured of KITTI's frames, at their calibration's picture size; the rest as in read_truths."""
    calibrations = {date: read_calibration(root, date) for date in sorted({frame.date for frame in frames})}
    sources = [kitti_truth(root, frame, kind, calibrations[frame.date]) for frame in frames]
    return read_truths(sources, cache_dir, workers, progress)


def read_truths(
    sources: Sequence[TruthSource],
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
    truths = []
    with ThreadPoolExecutor(max(1, workers)) as pool:
        for truth in pool.map(lambda source: _load(source, cache), sources):
            truths.append(truth)
            if progress is not None:
                progress(len(truths), len(sources))
    return truths


def open_truths(
    sources: Sequence[TruthSource],
    cache_dir: str | Path | None = None,
    workers: int = 2,
    progress: Callable[[int, int], None] | None = None,
) -> Callable[[Sequence[int]], list[SparseTruth]]:
    """From numbers of images to what is measured of them: all read at once, as read_truths does, but dense
    ones when they are asked for, which together would fill the memory."""
    if sources and not sources[0].key:
        return lambda numbers: read_truths([sources[i] for i in numbers], cache_dir, workers)
    kept = read_truths(sources, cache_dir, workers, progress)
    return lambda numbers: [kept[i] for i in numbers]


def kitti_truth(root: Path, frame: KittiFrame, kind: Truth, calibration: Calibration) -> TruthSource:
    """Raises InputError where it is missing."""
    path = truth_path(root, frame, kind)
    if path is None:
        raise InputError(f"{root}: frame {frame} has no true depth; `mono2many prepare kitti` fetches it")
    size = calibration.sizes[frame.eye]
    image_from_velodyne = calibration.image_from_velodyne(frame.eye)
    about = path.stat()
    key = (VERSION, kind, size, image_from_velodyne.tolist(), about.st_size, about.st_mtime_ns)
    name = f"{frame.drive}_{frame.number:010d}_{frame.eye}"
    return TruthSource(name, key, size, partial(_kitti_depth, path, kind, size, image_from_velodyne))


def _load(source: TruthSource, cache: Path) -> SparseTruth:
    if not source.key:
        return sparse_truth(source.read())
    entry = cache / f"{source.name}_{hashlib.sha256(repr(source.key).encode()).hexdigest()[:16]}.npy"
    with suppress(OSError, ValueError):  # not there, or cut short
        rows = np.load(entry)
        if rows.dtype == ROW:
            return SparseTruth(
                source.size, *(torch.from_numpy(rows[column].copy()) for column in ("pixel", "depth"))
            )
    truth = sparse_truth(source.read())
    rows = np.empty(len(truth.pixels), ROW)
    rows["pixel"], rows["depth"] = truth.pixels.numpy(), truth.depth.numpy()

    def write(temporary: Path) -> None:
        with temporary.open("wb") as file:
            np.save(file, rows)

    with suppress(OSError, InputError):
        write_atomically(entry, write)
    return truth


def _kitti_depth(
    path: Path, kind: Truth, size: tuple[int, int], image_from_velodyne: Float[Tensor, "3 4"]
) -> Float[Tensor, "H W"]:
    if kind != "improved":
        forward = kind == "lidar-forward"
        return project_lidar(read_velodyne(path), image_from_velodyne, size, "forward" if forward else "z")
    depth = read_depth_png16(path)
    if tuple(depth.shape) != size:
        raise InputError(
            f"{path}: {depth.shape[1]}x{depth.shape[0]} pixels, the calibration says "
            f"{size[1]}x{size[0]}; unpack data_depth_annotated.zip again"
        )
    return depth
