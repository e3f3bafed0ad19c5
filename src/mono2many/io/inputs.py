"""Which files are images and videos, and what a name on the command line stands for. Without torch."""

import os
from collections.abc import Sequence
from glob import glob
from pathlib import Path

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
OTHER_IMAGES = (
    *(".heic", ".heif", ".avif", ".jp2", ".j2k", ".jxl", ".jfif", ".jpe", ".mpo"),
    *(".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".rw2", ".raf", ".raw", ".gpr"),
    *(".tga", ".exr", ".hdr", ".psd", ".pbm", ".pnm", ".gif"),
)
"""Of images that are not read: of several in a folder, those that are read do not follow each other."""
VIDEO_SUFFIXES = (
    *(
        ".mp4",
        ".mov",
        ".m4v",
        ".mkv",
        ".webm",
        ".avi",
        ".mpg",
        ".mpeg",
        ".ts",
        ".mts",
        ".m2ts",
        ".m2v",
        ".wmv",
    ),
    *(".asf", ".gif", ".3gp", ".3g2", ".flv", ".f4v", ".ogv", ".vob", ".y4m", ".mxf", ".nut", ".ivf", ".dv"),
    *(".h264", ".hevc"),
)
"""Files with other endings are read too, where FFmpeg finds a video in them."""


def expand(names: Sequence[str]) -> tuple[str, ...]:
    """The names, with a pattern (`"trips/*.mp4"`, `**` for sub-folders too) replaced by what it matches, and
    a folder that holds videos and no images by its videos, both in alphabetical order. `~` is the home
    folder. What stands for nothing stays as it is, for its reader to name."""
    found: list[str] = []
    for name in names:
        given = os.path.expanduser(name)
        matches = [given] if os.path.lexists(given) else sorted(glob(given, recursive=True))
        for match in matches or [given]:
            found += _videos(match) or [match]
    return tuple(found)


def name_of(path: str | Path) -> str:
    """What the outputs of an input are called: a folder's name, a file's without its suffix."""
    path = Path(path)
    return path.resolve().name if path.is_dir() else path.stem


def _videos(folder: str) -> list[str]:
    """Of a folder without images; none of anything else."""
    if not os.path.isdir(folder):
        return []
    videos: list[str] = []
    for path in Path(folder).glob("[!.]*"):
        suffix = path.suffix.lower()
        if suffix in VIDEO_SUFFIXES and path.is_file():
            videos.append(str(path))
        elif suffix in (*IMAGE_SUFFIXES, *OTHER_IMAGES):
            return []
    return sorted(videos)
