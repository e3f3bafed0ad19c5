"""KITTI raw: from its public archives to a tree that the reader opens.

The tree itself says how far it is prepared. An archive is downloaded to ROOT/.archives and removed when all
that is wanted of it is unpacked: one that lies there is work still to do, and a file that exists is complete.
"""

import os
import shlex
import shutil
import stat
import struct
import zipfile
import zlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple

from rich.console import Console
from rich.progress import DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

from mono2many.data.marker import MARKER
from mono2many.datasets.kitti.fetch import Absent, discard, fetch, remote_size
from mono2many.datasets.kitti.files import CAMERAS, drive_folder, improved_path, velodyne_path
from mono2many.datasets.kitti.jpeg import convert_pngs, in_threads, png_to_jpeg
from mono2many.datasets.kitti.reader import images_of
from mono2many.datasets.kitti.splits import TEST_SPLITS, KittiFrame, read_split_file, split_frames
from mono2many.errors import InputError
from mono2many.files import atomic_write, remove_partial

BUCKET = "https://s3.eu-central-1.amazonaws.com/avg-kitti"
IMPROVED, BENCHMARK = "data_depth_annotated", "kitti_eigen_benchmark"
READ = ("image_02", "image_03", "velodyne_points", "oxts")
"""Of a drive's archive. The grey cameras are left packed."""
CALIBRATION = ("calib_cam_to_cam.txt", "calib_velo_to_cam.txt", "calib_imu_to_velo.txt")
SIZE_WITH_JPEG, SIZE_WITH_PNG = 0.7, 1.3
"""On the disk, as a share of the archive's: of drive 0002 0.65 and 1.07, and 1.25 with its grey images."""


@dataclass(frozen=True)
class PrepareSettings:
    """How a tree is prepared: flags of `mono2many prepare kitti`."""

    workers: int
    url: str = BUCKET
    png: bool = False
    whole: bool = False
    keep_archives: bool = False
    convert_own: bool = False


@dataclass(frozen=True)
class Needs:
    """What splits read of a tree."""

    asked: tuple[str, ...]
    """The flags that name them."""
    images: frozenset[KittiFrame]
    """Those listed. Their neighbours in time come with the same archives, where they were recorded."""
    scans: frozenset[KittiFrame] = frozenset()
    improved: frozenset[KittiFrame] = frozenset()

    @property
    def drives(self) -> list[str]:
        return sorted({frame.drive for frame in self.images})

    @property
    def dates(self) -> list[str]:
        return sorted({frame.date for frame in self.images})

    def command(self, root: Path, *flags: str) -> str:
        return shlex.join(["mono2many", "prepare", "kitti", *self.asked, "--data", str(root), *flags])


class NeededFile(NamedTuple):
    """A file that splits read: its archive, where it is (None: missing), its frame (None: calibration)."""

    archive: str
    path: Path | None
    frame: KittiFrame | None


def needs_of(splits: Sequence[str], split_files: Sequence[str] = ()) -> Needs:
    """Of lists by name, and of one's own. Raises InputError for files that are no lists."""
    trained = set[KittiFrame]()
    tested = {frame for path in split_files for frame in read_split_file(path)}
    for name in splits:
        if name in TEST_SPLITS:
            tested.update(split_frames(name, "test"))
        else:
            trained.update(split_frames(name, "train") + split_frames(name, "val"))
    improved = split_frames(BENCHMARK, "test") if BENCHMARK in splits else []
    asked = ["--splits", *splits] if splits else []
    asked += ["--split-files", *split_files] if split_files else []
    return Needs(tuple(asked), frozenset(trained | tested), frozenset(tested), frozenset(improved))


def archives(needs: Needs, base: str = BUCKET) -> dict[str, str]:
    """Name and address of what is needed of the bucket: calibration, drives, improved depth."""
    found = {f"{date}_calib.zip": f"{base}/raw_data/{date}_calib.zip" for date in needs.dates}
    for drive in needs.drives:
        found[f"{drive}.zip"] = f"{base}/raw_data/{drive.removesuffix('_sync')}/{drive}.zip"
    if needs.improved:
        found[f"{IMPROVED}.zip"] = f"{base}/{IMPROVED}.zip"
    return found


def needed_files(root: Path, needs: Needs) -> list[NeededFile]:
    """Every file that the splits read."""
    names = {camera: images_of(root, *camera) for camera in {(f.drive, f.eye) for f in needs.images}}
    found = []
    for frame in sorted(needs.images):
        name = names[frame.drive, frame.eye].get(frame.number)
        image = drive_folder(root, frame) / CAMERAS[frame.eye] / "data" / name if name else None
        found.append(NeededFile(f"{frame.drive}.zip", image, frame))
    for frame in sorted(needs.scans):
        found.append(NeededFile(f"{frame.drive}.zip", _existing(velodyne_path(root, frame)), frame))
    for frame in sorted(needs.improved):
        found.append(NeededFile(f"{IMPROVED}.zip", improved_path(root, frame), frame))
    for date in needs.dates:
        found += [NeededFile(f"{date}_calib.zip", _existing(root / date / n), None) for n in CALIBRATION]
    return found


def _existing(path: Path) -> Path | None:
    return path if path.exists() else None


def prepare_kitti(root: Path, needs: Needs, settings: PrepareSettings, console: Console) -> None:
    """Fetch and unpack what is needed and is not there; images become JPEGs on the way.

    Can be killed at any moment and run again. Archives that lie in ROOT are used and stay, and PNGs that are
    there stay, unless `convert_own`. InputError: see `fetch`, `unpack`, `convert_pngs`; a tree of the street.
    """
    refuse_street(root)
    with _lock(root):
        if settings.convert_own and not settings.png:
            folders = [f for drive in needs.drives for f in _drive(root, drive).glob("image_0?/data")]
            done = convert_pngs(folders, settings.workers, console)
            sizes = f"{done.bytes_before / 1e6:.0f} MB are JPEGs of {done.bytes_after / 1e6:.0f} MB"
            console.out(f"{root}: {done.count} PNGs of {sizes}")
        _fetch_and_unpack(root, needs, settings, console)
    if lacking := sorted({file.archive for file in needed_files(root, needs) if file.path is None}):
        names = ", ".join(lacking[:5]) + (" ..." if len(lacking) > 5 else "")
        raise InputError(
            f"{root}: lacks files that should be in {names}; wanted KITTI's own archives: check --url"
        )
    with_png = sum(_has_png(root, drive) for drive in needs.drives)
    if with_png and not settings.png:
        console.out(f"{with_png} drives had PNG images, which stay; to make JPEGs of them: --convert-own")
    console.out(f"{root}: all that is needed is there; to look through every file:")
    console.out(f"  {needs.command(root, '--check')}")


def refuse_street(root: Path) -> None:
    """InputError where real data would mix with the embedded street."""
    if (root / MARKER).exists():
        raise InputError(
            f"{root}: holds the embedded street in KITTI's layout, which real data must not mix with; delete "
            "it, or name another folder with --data"
        )


def _lock(root: Path) -> IO[str]:
    """One process prepares a tree at a time. The lock ends when the file is closed, or with its process."""
    try:
        (root / ".prepared").mkdir(parents=True, exist_ok=True)
        file = (root / ".prepared" / "lock").open("a")
    except OSError as error:
        raise InputError(f"{root}: cannot be written ({error.strerror}); choose another --data") from error
    try:
        import fcntl

        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError) as error:
        raise InputError(f"{root}: another process prepares it; wait until it is done") from error
    except (ImportError, OSError):
        pass  # no locks on this system or disk
    return file


def _drive(root: Path, drive: str) -> Path:
    return root / drive[:10] / drive


def _has_png(root: Path, drive: str) -> bool:
    """Whether the user unpacked a drive, or asked for PNG: what it lacks comes as PNG then."""
    return any(_drive(root, drive).glob("image_0?/data/*.png"))


def _fetch_and_unpack(root: Path, needs: Needs, settings: PrepareSettings, console: Console) -> None:
    """Archives that lie there come first, which makes room."""
    urls = archives(needs, settings.url)
    lacking = {file.archive for file in needed_files(root, needs) if file.path is None}
    if settings.whole:
        read_only = [d for d in needs.drives if not (_drive(root, d) / "image_00").exists()]
        lacking |= {f"{drive}.zip" for drive in read_only}
        if not any((root / IMPROVED).glob("*/*/proj_depth/velodyne_raw")):
            lacking.add(f"{IMPROVED}.zip")
    there = [name for name in urls if _local(root, name).exists()]
    to_fetch = [name for name in urls if name in lacking and name not in there]
    console.out(f"{root}: {len(urls) - len(to_fetch)} of {len(urls)} archives are unpacked or downloaded")
    _print_space(root, [urls[name] for name in to_fetch], settings, console)
    absent: list[Absent] = []
    for name in there + to_fetch:
        path = _local(root, name)
        try:
            if name in to_fetch:
                _download(urls[name], path, console)
        except Absent as error:
            absent.append(error)
            continue
        unpack(path, root, settings, console)
        if not settings.keep_archives:
            discard(root / ".archives" / name)
    with suppress(OSError):  # kept archives, or those of other splits
        (root / ".archives").rmdir()
    if absent:
        more = f" (and {len(absent) - 1} more like it)" if len(absent) > 1 else ""
        raise InputError(f"{absent[0]}{more}; the others are there")


def _local(root: Path, name: str) -> Path:
    """Where an archive lies, in ROOT if the user put it there, or shall lie."""
    return root / name if (root / name).is_file() else root / ".archives" / name


def _print_space(root: Path, urls: Sequence[str], settings: PrepareSettings, console: Console) -> None:
    """How much is to be fetched, and what it needs on the disk."""
    sizes = in_threads(remote_size, urls, 8, console, "sizes of archives")
    known, free = [size for size in sizes if size is not None], shutil.disk_usage(root).free
    if known:
        unpacked = sum(known) * (SIZE_WITH_PNG if settings.png else SIZE_WITH_JPEG)
        needed = unpacked + (sum(known) if settings.keep_archives else max(known))
        amount = f"{len(known)} archives, {sum(known) / 1e9:.1f} GB; disk: about {needed / 1e9:.1f} GB needed"
        console.out(f"to fetch: {amount}, {free / 1e9:.1f} GB free{': too little' if needed > free else ''}")
    if unknown := len(sizes) - len(known):
        console.out(f"to fetch: {unknown} archives of unknown size; {free / 1e9:.1f} GB free")


def _download(url: str, path: Path, console: Console) -> None:
    name, bar_column = Progress.get_default_columns()[:2]
    columns = (name, bar_column, DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(path.name, total=None)
        fetch(url, path, lambda done, total: bar.update(task, completed=done, total=total))


def unpack(path: Path, root: Path, settings: PrepareSettings, console: Console) -> None:
    """What we read of an archive, or all of it, below ROOT. Files that are there, also as JPEG, stay.

    InputError, and nothing written, where a member would land outside ROOT, or nothing we read is in it.
    InputError where the archive is damaged; if we fetched it, it is removed.
    """
    try:
        with zipfile.ZipFile(path) as file:
            members = _members(file, path, root, settings.whole)
            for folder in {target.parent for _, target in members}:
                folder.mkdir(parents=True, exist_ok=True)
                remove_partial(folder)
            jpeg = not settings.png and not _has_png(root, path.stem)
            extract = partial(_extract, file, jpeg)
            in_threads(extract, members, settings.workers, console, f"{path.name}: unpacking")
    except InputError:
        raise
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ValueError, struct.error) as error:
        fetched = path.parent.name == ".archives"
        if fetched:
            path.unlink()
        remedy = f"{'it was removed' if fetched else 'remove it'}, then run the same again"
        raise InputError(f"{path}: damaged ({str(error)[:80]}); {remedy}") from error
    if hasattr(os, "sync"):  # the archive may go now: what was unpacked must outlive a power failure
        os.sync()


def _members(
    file: zipfile.ZipFile, path: Path, root: Path, whole: bool
) -> list[tuple[zipfile.ZipInfo, Path]]:
    """What is wanted of an archive, and where it goes."""
    members = []
    for info in file.infolist():
        name = PurePosixPath(info.filename)
        climbs = ".." in name.parts or name.is_absolute() or set(info.filename) & {"\\", ":"}
        if climbs or stat.S_ISLNK(info.external_attr >> 16):
            raise InputError(
                f"{path}: its member {info.filename} would land outside {root}; nothing of it was unpacked: "
                "remove it and fetch KITTI's own"
            )
        place = _place(path.stem, name, whole)
        if place and not info.is_dir():
            members.append((info, root / place))
    if not members:
        raise InputError(f"{path}: holds nothing that it should; remove it and fetch KITTI's own")
    return members


def _place(archive: str, member: PurePosixPath, whole: bool) -> PurePosixPath | None:
    """Where a member of improved depth, calibration or a drive goes; None if it is not wanted."""
    parts = member.parts
    if archive == IMPROVED:
        return PurePosixPath(IMPROVED) / member if whole or {"groundtruth", "image_02"} <= {*parts} else None
    if archive.endswith("_calib"):
        return member if parts[0] == archive[:10] and member.name in CALIBRATION else None
    inside = parts[:2] == (archive[:10], archive) and len(parts) > 3
    return member if inside and (whole or parts[2] in READ) else None


def _extract(file: zipfile.ZipFile, jpeg: bool, member: tuple[zipfile.ZipInfo, Path]) -> None:
    """Write a member, unless it is there; `jpeg`: a camera's image as JPEG."""
    info, target = member
    is_image = target.suffix == ".png" and target.parent.name == "data"
    as_jpeg = target.with_suffix(".jpg")
    if target.exists() and target.stat().st_size == info.file_size:
        return
    if is_image and as_jpeg.exists() and as_jpeg.stat().st_size:  # it is empty after a power failure
        return
    data = file.read(info)  # checks the CRC
    with atomic_write(as_jpeg if is_image and jpeg else target, sync=False) as temporary:
        temporary.write_bytes(png_to_jpeg(data) if is_image and jpeg else data)
