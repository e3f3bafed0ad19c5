"""`mono2many prepare kitti`."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mono2many.commands.flags import parse
from mono2many.datasets.base import ROOT, at_least
from mono2many.errors import InputError
from mono2many.terminal import text_console

BUCKET = "https://s3.eu-central-1.amazonaws.com/avg-kitti"
SplitName = Literal[
    "kitti_eigen_zhou", "kitti_eigen_full", "kitti_benchmark", "kitti_eigen", "kitti_eigen_benchmark"
]


@dataclass(frozen=True)
class PrepareKittiConfig:
    """Download what splits of KITTI raw need, unpack it, convert PNG to JPEG; or check that all is there."""

    data: str = ROOT
    """Folder of KITTI raw."""
    splits: tuple[SplitName, ...] = ("kitti_eigen_zhou", "kitti_eigen", "kitti_eigen_benchmark")
    """The splits whose frames are downloaded."""
    split_files: tuple[str, ...] = ()
    """Your own lists instead, with their LiDAR scans."""
    list: bool = False
    """Print the archives' addresses and stop."""
    check: bool = False
    """Check the files that are there (missing, truncated, of another size) and download nothing."""
    png: bool = False
    """Keep the PNGs; else they become JPEGs (quality 92, 4:2:0), a quarter of the size, as in the papers."""
    convert_own: bool = False
    """Also convert PNGs that you unpacked yourself or downloaded with --png."""
    url: str = BUCKET
    """Where to fetch from: KITTI's public bucket, or a mirror with the same paths."""
    workers: int = 2
    """Threads that convert or check images."""

    def __post_init__(self) -> None:
        at_least("--workers", self.workers, 1)
        if not self.splits:
            raise InputError("--splits: name one list or more")
        if not self.url.startswith(("http://", "https://")):
            raise InputError(f"--url {self.url}: wanted an address that begins with http:// or https://")
        if self.list and self.check:
            raise InputError("--list and --check: one of them")


def prepare(arguments: list[str]) -> None:
    config = parse(PrepareKittiConfig, "mono2many prepare kitti", arguments)

    from mono2many.datasets.kitti.check import check_kitti
    from mono2many.datasets.kitti.prepare import archives, needs_of, prepare_kitti

    console, root = text_console(), Path(config.data)
    needs = needs_of(() if config.split_files else config.splits, config.split_files)
    if config.list:
        print("\n".join(archives(needs, config.url).values()))
    elif config.check:
        if not check_kitti(root, needs, console, config.workers):
            sys.exit(1)
    else:
        prepare_kitti(needs, config, console)
