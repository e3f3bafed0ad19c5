"""KITTI raw: from its public archives to a tree that the reader opens."""

import shlex
import shutil
import stat
import struct
import time
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from rich.console import Console
from rich.progress import (
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from mono2many.data.fetch import Absent, discard, fetch, remote_size
from mono2many.data.fetch import Progress as Show
from mono2many.data.jpeg import convert_pngs
from mono2many.data.kitti import images_of
from mono2many.data.kitti_files import CAMERAS, MARKER, drive_folder, improved_path, velodyne_path
from mono2many.data.kitti_splits import TEST_SPLITS, KittiFrame, read_split_file, split_frames
from mono2many.types import InputError

BUCKET = "https://s3.eu-central-1.amazonaws.com/avg-kitti"
IMPROVED, BENCHMARK = "data_depth_annotated", "kitti_eigen_benchmark"
OWN = "own, "
READ = ("image_02", "image_03", "velodyne_points", "oxts")
"""Of a drive's archive. The grey cameras are left packed."""
CALIBRATION = ("calib_cam_to_cam.txt", "calib_velo_to_cam.txt", "calib_imu_to_velo.txt")
KEPT = {True: 0.7, False: 1.3}
"""Size on the disk as a share of the archive's, with JPEGs and with PNGs: of drive 0002 0.65 and 1.07, and
1.25 with its grey images."""


@dataclass(frozen=True)
class Archive:
    """One file of the bucket."""

    name: str
    url: str
    drive: str | None = None
    """None of a date's calibration and of the improved depth."""


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

    def command(self, root: Path, flags: str = "") -> str:
        return f"mono2many prepare kitti {' '.join(self.asked)} --data {shlex.quote(str(root))}{flags}"


def needs_of(splits: Sequence[str], split_files: Sequence[str] = ()) -> Needs:
    """Of lists by name, and of one's own. Raises InputError for files that are no lists."""
    own = {frame for path in split_files for frame in read_split_file(path)}
    listed = {name: frozenset(_listed(name)) for name in splits}
    tested = frozenset[KittiFrame]().union(*(f for name, f in listed.items() if name in TEST_SPLITS), own)
    asked = ("--splits", *splits) if splits else ()
    asked += ("--split-files", *map(shlex.quote, split_files)) if split_files else ()
    return Needs(asked, tested.union(*listed.values()), tested, listed.get(BENCHMARK, frozenset()))


def _listed(split: str) -> list[KittiFrame]:
    if split in TEST_SPLITS:
        return split_frames(split, "test")
    return split_frames(split, "train") + split_frames(split, "val")


def archives(needs: Needs, base: str = BUCKET) -> list[Archive]:
    """What is needed of the bucket: calibration, drives, improved depth."""
    found = [Archive(f"{date}_calib.zip", f"{base}/raw_data/{date}_calib.zip") for date in needs.dates]
    for drive in needs.drives:
        folder = drive.removesuffix("_sync")
        found.append(Archive(f"{drive}.zip", f"{base}/raw_data/{folder}/{drive}.zip", drive))
    if needs.improved:
        found.append(Archive(f"{IMPROVED}.zip", f"{base}/{IMPROVED}.zip"))
    return found


def _images(root: Path, frames: Iterable[KittiFrame]) -> dict[KittiFrame, Path]:
    """Those that are there."""
    frames = list(frames)
    here = {camera: images_of(root, *camera) for camera in {(f.drive, f.eye) for f in frames}}
    return {
        f: drive_folder(root, f) / CAMERAS[f.eye] / "data" / here[f.drive, f.eye][f.number]
        for f in frames
        if f.number in here[f.drive, f.eye]
    }


def needed_files(root: Path, needs: Needs) -> list[tuple[str, KittiFrame | None, Path | None]]:
    """Every file that the splits read: the archive that has it, of which frame, where it is if it is."""
    images = _images(root, needs.images)
    found: list[tuple[str, KittiFrame | None, Path | None]] = [
        (f"{frame.drive}.zip", frame, images.get(frame)) for frame in sorted(needs.images)
    ]
    for frame in sorted(needs.scans):
        scan = velodyne_path(root, frame)
        found.append((f"{frame.drive}.zip", frame, scan if scan.exists() else None))
    for frame in sorted(needs.improved):
        found.append((f"{IMPROVED}.zip", frame, improved_path(root, frame)))
    for path in (root / date / name for date in needs.dates for name in CALIBRATION):
        found.append((f"{path.parent.name}_calib.zip", None, path if path.exists() else None))
    return found


def prepare_kitti(
    root: Path,
    needs: Needs,
    base: str = BUCKET,
    jpeg: bool = True,
    *,
    workers: int,
    keep_archives: bool = False,
    whole: bool = False,
    convert_own: bool = False,
    console: Console,
) -> None:
    """Fetch and unpack what is needed and is not there; put JPEGs in the place of PNGs.

    Can be killed at any moment and run again. ROOT/.prepared notes what was unpacked; drives of which someone
    else unpacked a part keep their PNGs (unless `convert_own`), and archives that lie in ROOT are used and
    stay. InputError: see `fetch`, `unpack`, `convert_pngs`; a tree of the embedded street.
    """
    say = plainly(console)
    refuse_street(root)
    flags = (
        ("" if jpeg else " --png")
        + (" --whole" if whole else "")
        + (" --keep-archives" if keep_archives else "")
        + (" --convert-own" if convert_own else "")
        + (f" --url {shlex.quote(base)}" if base != BUCKET else "")
    )
    ledger, packed = root / ".prepared", root / ".archives"
    try:
        ledger.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{root}: cannot be written ({error.strerror}); choose another --data") from error
    with _alone(ledger):
        everything = archives(needs, base)
        states = {archive: _state(ledger, archive) for archive in everything}
        lacking = {name for name, _, path in needed_files(root, needs) if path is None}
        enough = ("", "unpacked whole") if whole else ("", "unpacked", "unpacked whole")
        wanted = [a for a in everything if a.name in lacking or states[a].removeprefix(OWN) not in enough]
        say(f"{root}: {len(everything) - len(wanted)} of {len(everything)} archives are unpacked")
        _tell_space(root, [a for a in wanted if not _local(root, a).exists()], jpeg, say)
        absent: list[Absent] = []
        for archive in sorted(everything, key=lambda a: not _local(root, a).exists()):  # what is there first
            if archive in wanted:
                path = _local(root, archive)
                if not path.exists():
                    try:
                        with progress_bar(console, archive.name, True) as show:
                            fetch(archive.url, path, show)
                    except Absent as error:
                        absent.append(error)
                        continue
                begun = states[archive].startswith(OWN) or (not states[archive] and _begun(root, archive))
                own = OWN if begun else ""
                _set_state(ledger, archive, f"{own}unpacking")
                with progress_bar(console, f"{archive.name}: unpacking") as show:
                    _unpack_or_remove(path, root, archive, whole, needs.command(root, flags), show)
                states[archive] = f"{own}unpacked{' whole' if whole else ''}"
                _set_state(ledger, archive, states[archive])
            ours = bool(states[archive]) and not states[archive].startswith(OWN)
            if jpeg and archive.drive and (ours or convert_own):
                folders = (root / archive.drive[:10] / archive.drive).glob("image_0?/data")
                with progress_bar(console, f"{archive.name}: JPEG") as show:
                    done = convert_pngs(sorted(folders), workers, show)
                if done.count:
                    sizes = f"{done.bytes_before / 1e6:.0f} MB are JPEGs of {done.bytes_after / 1e6:.0f} MB"
                    say(f"{archive.drive}: {done.count} PNGs of {sizes}")
            if not keep_archives:
                discard(packed / archive.name)
        with suppress(OSError):  # kept archives, or those of other splits
            packed.rmdir()
    if absent:
        more = f" (and {len(absent) - 1} more like it)" if len(absent) > 1 else ""
        raise InputError(f"{absent[0]}{more}; the others are there")
    lacking = {name for name, _, path in needed_files(root, needs) if path is None}
    if lacking:
        raise InputError(
            f"{root}: files are missing that should be in {', '.join(sorted(lacking)[:5])}"
            f"{' ...' if len(lacking) > 5 else ''}; wanted KITTI's own archives: check the address (--url)"
        )
    by_hand = sum(a.drive is not None and (not states[a] or states[a].startswith(OWN)) for a in everything)
    if by_hand and not convert_own:
        more = "; JPEGs of their PNGs: --convert-own" if jpeg else ""
        say(f"{by_hand} drives were unpacked by someone else and their pictures are left as they are{more}")
    say(f"{root}: all that is needed is there; to look through every file:")
    say(f"  {needs.command(root)} --check")


def refuse_street(root: Path) -> None:
    """InputError where real data would mix with the embedded street."""
    if (root / MARKER).exists():
        raise InputError(
            f"{root}: holds the embedded street in KITTI's layout, which real data must not mix with; delete "
            "it, or name another folder with --data"
        )


def _begun(root: Path, archive: Archive) -> bool:
    """Whether pictures of a drive lie there that we did not unpack."""
    return archive.drive is not None and any(
        (root / archive.drive[:10] / archive.drive).glob("image_0?/data/*")
    )


def _local(root: Path, archive: Archive) -> Path:
    """Where its file lies or shall lie."""
    own = root / archive.name
    return own if own.is_file() else root / ".archives" / archive.name


def _unpack_or_remove(
    path: Path, root: Path, archive: Archive, whole: bool, command: str, show: Show
) -> None:
    """`unpack`, with its mistakes as an InputError; an archive that we fetched and that is damaged goes."""
    try:
        unpack(path, root, archive, whole, show)
    except InputError:
        raise
    except OSError as error:
        raise InputError(
            f"{path}: cannot be unpacked ({error.strerror or error}); make room, or mend what is named, and "
            "run the same again"
        ) from error
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ValueError, struct.error) as error:
        ours = path.parent.name == ".archives"
        if ours:
            path.unlink()
        raise InputError(
            f"{path}: damaged ({str(error)[:80]}); {'it was removed' if ours else 'remove it'}, then run "
            f"again: {command}"
        ) from error


def unpack(path: Path, root: Path, archive: Archive, whole: bool, progress: Show) -> None:
    """What we read of an archive, or all of it, below ROOT. A file appears under its name when it is whole;
    those that are there, also as JPEG, stay.

    InputError, and nothing written, where a member would land outside ROOT, or nothing we read is in it.
    """
    with zipfile.ZipFile(path) as file:
        for info in file.infolist():
            link = stat.S_ISLNK(info.external_attr >> 16)
            climbs = ".." in PurePosixPath(info.filename).parts or set(info.filename) & {"\\", ":"}
            if link or climbs or info.filename.startswith("/"):
                raise InputError(
                    f"{path}: its member {info.filename} would land outside {root}; nothing of it was "
                    "unpacked: remove it and fetch KITTI's own"
                )
        members = [
            (info, root / place)
            for info in file.infolist()
            if not info.is_dir() and (place := _place(archive, PurePosixPath(info.filename), whole))
        ]
        if not members:
            raise InputError(
                f"{path}: holds nothing that {archive.name} should; remove it and fetch KITTI's own"
            )
        for done, (info, target) in enumerate(members, 1):
            jpeg = target.with_suffix(".jpg")
            there = target.exists() and target.stat().st_size == info.file_size
            if not there and not (target.suffix == ".png" and jpeg.exists()):
                target.parent.mkdir(parents=True, exist_ok=True)
                temporary = target.with_name(f".{target.name}.part")
                with file.open(info) as source, temporary.open("wb") as copy:
                    shutil.copyfileobj(source, copy, 1 << 20)  # checks the CRC at the end
                temporary.replace(target)
            progress(done, len(members))


def _place(archive: Archive, member: PurePosixPath, whole: bool) -> PurePosixPath | None:
    """Where a member goes; None if it is not wanted."""
    parts = member.parts
    if archive.drive:
        inside = parts[:2] == (archive.drive[:10], archive.drive) and len(parts) > 3
        return member if inside and (whole or parts[2] in READ) else None
    if archive.name == f"{IMPROVED}.zip":
        return PurePosixPath(IMPROVED) / member if whole or {"groundtruth", "image_02"} <= {*parts} else None
    return member if parts[0] == archive.name[:10] and member.name in CALIBRATION else None


def _state(ledger: Path, archive: Archive) -> str:
    """unpacking, unpacked or unpacked whole, after OWN where another had begun; empty: not touched by us."""
    path = ledger / archive.name
    return path.read_text().strip() if path.exists() else ""


def _set_state(ledger: Path, archive: Archive, state: str) -> None:
    temporary = ledger / f".{archive.name}.part"
    temporary.write_text(f"{state}\n")
    temporary.replace(ledger / archive.name)


@contextmanager
def _alone(ledger: Path) -> Iterator[None]:
    """One preparing process per tree; the lock ends with its process."""
    with (ledger / "lock").open("a") as file:
        try:
            import fcntl

            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError) as error:
            raise InputError(
                f"{ledger.parent}: another process prepares it; wait until it is done"
            ) from error
        except (ImportError, OSError):
            pass  # no locks on this system or disk
        yield


def _tell_space(root: Path, wanted: Sequence[Archive], jpeg: bool, say: Callable[[str], None]) -> None:
    """Of what must be fetched."""
    with ThreadPoolExecutor(8) as pool:
        sizes = list(pool.map(lambda archive: remote_size(archive.url), wanted))
    known = [size for size in sizes if size is not None]
    free, unknown = shutil.disk_usage(root).free, len(sizes) - len(known)
    if known:
        # the largest lies there twice for a while: packed, and unpacked as PNG
        needed = KEPT[jpeg] * sum(known) + 2 * max(known)
        say(
            f"to fetch: {len(known)} archives, {sum(known) / 1e9:.1f} GB; disk: about {needed / 1e9:.1f} GB "
            f"needed, {free / 1e9:.1f} GB free{': too little' if needed > free else ''}"
        )
    if unknown:
        say(f"to fetch: {unknown} archives whose size the server does not say; {free / 1e9:.1f} GB free")


def plainly(console: Console) -> Callable[[str], None]:
    """Lines that are not broken, in which brackets mean themselves."""
    return lambda line: console.print(line, soft_wrap=True, markup=False, highlight=False)


@contextmanager
def progress_bar(console: Console, name: str, download: bool = False) -> Iterator[Show]:
    """A line that shows how far something is. It is drawn in this thread: pictures are read in forked
    processes, which must not start while another thread draws."""
    columns = (DownloadColumn(), TransferSpeedColumn()) if download else (MofNCompleteColumn(),)
    columns = (*Progress.get_default_columns()[:2], *columns, TimeRemainingColumn())
    quiet = not console.is_terminal
    with Progress(*columns, console=console, auto_refresh=False, transient=True, disable=quiet) as bar:
        task, drawn = bar.add_task(name, total=None), 0.0

        def show(done: int, total: int | None) -> None:
            nonlocal drawn
            bar.update(task, completed=done, total=total)
            if time.monotonic() - drawn > 0.1:
                bar.refresh()
                drawn = time.monotonic()

        yield show
