"""KITTI raw: from its public archives to a tree that the reader opens.

The tree itself says how far it is prepared. An archive is downloaded to ROOT/.archives and removed when all
that is wanted of it is unpacked: one that lies there is work still to do, and a file that exists is complete.
"""

import errno
import os
import shlex
import shutil
import stat
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path, PurePosixPath
from typing import NamedTuple, NoReturn

from rich.console import Console
from rich.progress import DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

from mono2many.data.marker import marked_synthetic
from mono2many.datasets.kitti.command import BUCKET, PrepareKittiConfig
from mono2many.datasets.kitti.fetch import fetch, remote_size
from mono2many.datasets.kitti.files import image_path, improved_path, velodyne_path
from mono2many.datasets.kitti.jpeg import convert_pngs, in_threads, png_to_jpeg
from mono2many.datasets.kitti.splits import TEST_SPLITS, KittiFrame, read_split_file, split_frames
from mono2many.errors import InputError
from mono2many.files import MALFORMED, atomic_write, explained, file_lock, reason, remove_partial

IMPROVED, BENCHMARK = "data_depth_annotated", "kitti_eigen_benchmark"
READ = ("image_02", "image_03", "velodyne_points", "oxts")
"""Of a drive's archive. The grey cameras are left packed."""
CALIBRATION = ("calib_cam_to_cam.txt", "calib_velo_to_cam.txt", "calib_imu_to_velo.txt")
SIZE_WITH_JPEG, SIZE_WITH_PNG = 0.7, 1.1
"""On the disk, as a share of the archive's: of drive 0002 0.65 and 1.07."""
LARGEST_MEMBER = 2**30
"""Bytes of a file in an archive, at most."""


class Needs(NamedTuple):
    """What splits read of a tree."""

    asked: tuple[str, ...]
    """The flags that name them."""
    images: frozenset[KittiFrame]
    """Those listed. Their neighbours in time come with the same archives, where they were recorded."""
    scans: frozenset[KittiFrame] = frozenset()
    improved: frozenset[KittiFrame] = frozenset()

    def command(self, root: Path, *flags: str) -> str:
        return shlex.join(["mono2many", "prepare", "kitti", *self.asked, "--data", str(root), *flags])


class NeededFile(NamedTuple):
    """A file that splits read, there or not: its archive, its frame (None: calibration)."""

    archive: str
    path: Path
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
    improved = split_frames(BENCHMARK, "test") if BENCHMARK in splits else ()
    asked = ["--splits", *splits] if splits else []
    asked += ["--split-files", *split_files] if split_files else []
    return Needs(tuple(asked), frozenset(trained | tested), frozenset(tested), frozenset(improved))


def archives(needs: Needs, base: str = BUCKET) -> dict[str, str]:
    """Name and address of what is needed of the bucket: calibration, drives, improved depth."""
    dates = sorted({frame.date for frame in needs.images})
    found = {f"{date}_calib.zip": f"{base}/raw_data/{date}_calib.zip" for date in dates}
    for drive in sorted({frame.drive for frame in needs.images}):
        found[f"{drive}.zip"] = f"{base}/raw_data/{drive.removesuffix('_sync')}/{drive}.zip"
    if needs.improved:
        found[f"{IMPROVED}.zip"] = f"{base}/{IMPROVED}.zip"
    return found


def needed_files(root: Path, needs: Needs) -> list[NeededFile]:
    """Every file that the splits read."""
    found = [NeededFile(f"{f.drive}.zip", image_path(root, f), f) for f in sorted(needs.images)]
    found += [NeededFile(f"{f.drive}.zip", velodyne_path(root, f), f) for f in sorted(needs.scans)]
    found += [NeededFile(f"{IMPROVED}.zip", improved_path(root, f), f) for f in sorted(needs.improved)]
    for date in sorted({frame.date for frame in needs.images}):
        found += [NeededFile(f"{date}_calib.zip", root / date / name, None) for name in CALIBRATION]
    return found


def _lacking(root: Path, needs: Needs) -> set[str]:
    """The archives with needed files that are not there."""
    return {file.archive for file in needed_files(root, needs) if not file.path.exists()}


def prepare_kitti(needs: Needs, config: PrepareKittiConfig, console: Console) -> None:
    """Fetch and unpack what is needed and is not there; images become JPEGs on the way.

    Can be killed at any moment and run again. Archives that lie in ROOT are used and stay, and PNGs that are
    there stay, unless `convert_own`. InputError: see `fetch`, `unpack`, `convert_pngs`; a tree of the street.
    """
    root = Path(config.data)
    refuse_street(root)
    with explained(f"{root}: cannot be written", "choose another --data"):
        root.mkdir(parents=True, exist_ok=True)

    def busy() -> NoReturn:
        raise InputError(f"{root}: another process prepares it; wait until it is done")

    drives = sorted({frame.drive for frame in needs.images})
    with file_lock(root / ".prepare.lock", busy):
        if config.convert_own and not config.png:
            folders = [folder for drive in drives for folder in _image_folders(root, drive)]
            console.out(f"{root}: {convert_pngs(folders, config.workers, console)} PNGs are JPEGs now")
        _fetch_and_unpack(root, needs, config, console)
    if lacking := sorted(_lacking(root, needs)):
        names = ", ".join(lacking[:5]) + (" ..." if len(lacking) > 5 else "")
        raise InputError(
            f"{root}: lacks files that should be in {names}; wanted KITTI's own archives: check --url"
        )
    with_png = sum(_has_png(root, drive) for drive in drives)
    if with_png and not config.png:
        console.out(f"{with_png} drives had PNG images, which stay; to make JPEGs of them: --convert-own")
    console.out(f"{root}: all that is needed is there; to look through every file:")
    console.out(f"  {needs.command(root, '--check')}")


def refuse_street(root: Path) -> None:
    """InputError where real data would mix with the procedural street."""
    if marked_synthetic(root):
        raise InputError(
            f"{root}: holds the procedural street in KITTI's layout, which real data must not mix with; "
            "delete it, or name another folder with --data"
        )


def _image_folders(root: Path, drive: str) -> list[Path]:
    return list((root / drive[:10] / drive).glob("image_0?/data"))


def _has_png(root: Path, drive: str) -> bool:
    """Whether the user unpacked a drive, or asked for PNG: what it lacks comes as PNG then."""
    return any(any(folder.glob("*.png")) for folder in _image_folders(root, drive))


def _fetch_and_unpack(root: Path, needs: Needs, config: PrepareKittiConfig, console: Console) -> None:
    """Archives that lie there, in ROOT if the user put them there, come first, which makes room."""
    urls, lacking, fetched = archives(needs, config.url), _lacking(root, needs), root / ".archives"
    places = {name: root / name if (root / name).is_file() else fetched / name for name in urls}
    there = [name for name in urls if places[name].exists()]
    to_fetch = [name for name in urls if name in lacking and name not in there]
    console.out(f"{root}: {len(urls) - len(to_fetch)} of {len(urls)} archives are unpacked or downloaded")
    if to_fetch:
        _print_space(root, [urls[name] for name in to_fetch], config, console)
    for name in there + to_fetch:
        _download(urls[name], places[name], console)
        unpack(places[name], root, config, console)
        (fetched / name).unlink(missing_ok=True)
    with suppress(OSError):  # those of other splits
        fetched.rmdir()


def _print_space(root: Path, urls: Sequence[str], config: PrepareKittiConfig, console: Console) -> None:
    """How much is to be fetched, and what it needs on the disk."""
    sizes = in_threads(remote_size, urls, 8, console, "sizes of archives")
    needed = sum(sizes) * (SIZE_WITH_PNG if config.png else SIZE_WITH_JPEG) + max(sizes)
    free = shutil.disk_usage(root).free
    disk = f"about {needed / 1e9:.1f} GB needed, {free / 1e9:.1f} GB free"
    warning = ": too little" if needed > free else ""
    console.out(f"to fetch: {len(urls)} archives, {sum(sizes) / 1e9:.1f} GB; disk: {disk}{warning}")


def _download(url: str, path: Path, console: Console) -> None:
    name, bar_column = Progress.get_default_columns()[:2]
    columns = (name, bar_column, DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(path.name, total=None)
        fetch(url, path, lambda done, total: bar.update(task, completed=done, total=total))


def unpack(path: Path, root: Path, config: PrepareKittiConfig, console: Console) -> None:
    """What we read of an archive, below ROOT. Files that are there, also as JPEG, stay.

    InputError, and nothing written, where a member would land outside ROOT, or nothing we read is in it.
    InputError where the archive is damaged; if we fetched it, it is removed.
    """
    fetched = path.parent.name == ".archives"
    remedy = f"{'it was removed' if fetched else 'remove it'}, then run the same again"
    try:
        with explained(f"{path}: damaged", remedy, MALFORMED), _damage(), zipfile.ZipFile(path) as file:
            members = _members(file, path, root)
            for folder in {target.parent for _, target in members}:
                folder.mkdir(parents=True, exist_ok=True)
                remove_partial(folder)
            jpeg = not config.png and not _has_png(root, path.stem)
            work = partial(_extract, file, jpeg)
            in_threads(work, members, config.workers, console, f"{path.name}: unpacking")
    except InputError as error:
        if fetched and isinstance(error.__cause__, MALFORMED):
            path.unlink()
        raise
    if hasattr(os, "sync"):  # the archive may go now: what was unpacked must outlive a power failure
        os.sync()


@contextmanager
def _damage() -> Iterator[None]:
    """A seek to a place before the file, and what BZip2 says, are damage; errors of the disk are not."""
    try:
        yield
    except OSError as error:
        if error.errno not in (None, errno.EINVAL):
            raise
        raise zipfile.BadZipFile(reason(error)) from error


def _members(file: zipfile.ZipFile, path: Path, root: Path) -> list[tuple[zipfile.ZipInfo, Path]]:
    """What is wanted of an archive, and where it goes."""
    members = []
    for info in file.infolist():
        name, said = PurePosixPath(info.filename), " ".join(info.filename.split())
        climbs = (
            not name.parts or ".." in name.parts or name.is_absolute() or set(info.filename) & {"\\", ":"}
        )
        if climbs or stat.S_ISLNK(info.external_attr >> 16):
            raise InputError(
                f"{path}: its member '{said}' would land outside {root}; nothing of it was unpacked: "
                "remove it and fetch KITTI's own"
            )
        if info.file_size > LARGEST_MEMBER:
            raise InputError(
                f"{path}: its member {said} is of {info.file_size / 1e9:.1f} GB; nothing of it was "
                "unpacked: remove it and fetch KITTI's own"
            )
        if not info.is_dir() and _is_read(path.stem, name):
            members.append((info, (root / IMPROVED if path.stem == IMPROVED else root) / name))
    if not members:
        raise InputError(f"{path}: holds nothing that it should; remove it and fetch KITTI's own")
    return members


def _is_read(archive: str, member: PurePosixPath) -> bool:
    """Whether a member of improved depth, calibration or a drive is wanted."""
    parts = member.parts
    if archive == IMPROVED:
        return {"groundtruth", "image_02"} <= {*parts}
    if archive.endswith("_calib"):
        return parts[:1] == (archive[:10],) and member.name in CALIBRATION
    return parts[:2] == (archive[:10], archive) and len(parts) > 3 and parts[2] in READ


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
