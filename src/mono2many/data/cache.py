"""Frames decoded once into files that every later run maps into memory.

An entry is a folder named after all that decides its frames. It holds one .npy file per quantity, a row per
frame, and `index.json` with sizes and checksums of these files: an opening compares the sizes,
`mono2many cache --check` the checksums. It is built under another name and renamed when
it is whole and on the disk: who is killed half way leaves nothing that looks finished.
"""

import hashlib
import json
import os
import shutil
import uuid
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from mono2many.types import Frame, FrameSequence, InputError, Reader

VERSION = 1
BLOCK = 2**24
"""Bytes of a file that share a checksum."""
SPARE = 2**24
"""Bytes that shall stay free on the disk."""
FIELDS = ("image", "intrinsics", "depth", "moving", "world_from_camera", "valid_mask")
"""Of a Frame; each that the frames have is a file."""

Place = tuple[int, int]
"""(clip, index)"""
Say = Callable[[str], None]
Progressed = Callable[[int, int], None]


class CachedReader:
    """The frames of an entry, as a Reader. They are copied out of the files, which nothing can write into.
    Cheap to pickle."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        about = json.loads((folder / "index.json").read_text())["index"]
        self.clips: Sequence[FrameSequence] = [
            FrameSequence(**{key: tuple(v) if isinstance(v, list) else v for key, v in clip.items()})  # type: ignore[arg-type]
            for clip in about["clips"]
        ]
        self.first_row: list[int] = np.cumsum([0, *(clip.frames for clip in self.clips)]).tolist()
        """Of each clip; its other frames follow."""
        self._fingerprint: str = about["fingerprint"]
        self._files = {
            name: np.asarray(np.load(_file(folder, name), mmap_mode="r")) for name in about["fields"]
        }

    def frame(self, clip: int, index: int) -> Frame:
        assert 0 <= index < self.clips[clip].frames, f"clip {clip} has no frame {index}"
        row = self.first_row[clip] + index
        return Frame(**{name: torch.from_numpy(file[row].copy()) for name, file in self._files.items()})

    def rows(self, field: str, rows: Int64[Tensor, "*shape"]) -> Tensor | None:
        """A field of many frames at once, given their rows; None where frames do not have it."""
        return torch.from_numpy(self._files[field][rows.numpy()]) if field in self._files else None

    def fingerprint(self) -> str:
        return self._fingerprint

    def __reduce__(self) -> tuple[type["CachedReader"], tuple[Path]]:
        return CachedReader, (self.folder,)


def cache_root(folder: str | Path | None = None) -> Path:
    """`folder`, by default $MONO2MANY_CACHE, else ~/.cache/mono2many."""
    return Path(folder or os.environ.get("MONO2MANY_CACHE") or "~/.cache/mono2many").expanduser()


def cached(
    reader: Reader,
    cache_dir: str | Path | None = None,
    workers: int = 0,
    progress: Progressed | None = None,
    say: Say | None = None,
) -> CachedReader:
    """The same frames out of the cache, which is built by `workers` processes (0: this one) where it is
    missing, damaged or of other inputs.

    cache_dir: by default $MONO2MANY_CACHE, else ~/.cache/mono2many. progress(frames done, frames in all)
    is called while building; say(line) where there is something to tell.
    InputError where a frame cannot be read or the disk is too small.
    """
    say = say or (lambda line: None)
    root = cache_root(cache_dir)
    clips = [asdict(clip) for clip in reader.clips]
    about = {"version": VERSION, "fingerprint": reader.fingerprint(), "clips": clips}
    folder = root / hashlib.sha256(json.dumps(about).encode()).hexdigest()[:20]
    if folder.exists() and _is_whole(folder, say):
        with suppress(OSError):  # when it was last used
            os.utime(folder)
        return CachedReader(folder)
    part = root / f"{folder.name}.{uuid.uuid4().hex[:8]}.part"
    try:
        root.mkdir(parents=True, exist_ok=True)
        with _locked(root / f"{folder.name}.lock", say) as alone:
            if folder.exists() and _is_whole(folder):  # another process built it meanwhile
                return CachedReader(folder)
            for left_over in root.glob(f"{folder.name}.*.part") if alone else ():
                shutil.rmtree(left_over, ignore_errors=True)
            if folder.exists():
                folder.rename(part)
                shutil.rmtree(part)
            part.mkdir()
            _build(reader, part, about, workers, progress)
            try:
                part.rename(folder)
            except OSError:  # where files cannot be locked, another process may have been faster
                if not _is_whole(folder):
                    raise
            _to_disk(root)
    except OSError as error:
        raise InputError(
            f"{root}: the cache of frames cannot be written ({error.strerror or error}); free some space, "
            "give another folder with --cache-dir, or do without: --cache off"
        ) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return CachedReader(folder)


def _build(
    reader: Reader, folder: Path, about: dict[str, Any], workers: int, progress: Progressed | None
) -> None:
    places = [(c, i) for c, clip in enumerate(reader.clips) for i in range(clip.frames)]
    first = next(iter(_in_order(reader, places[:1])))
    arrays = {name: value.numpy() for name in FIELDS if (value := getattr(first, name)) is not None}
    needed = len(places) * sum(array.nbytes for array in arrays.values())
    free = shutil.disk_usage(folder).free
    if needed + SPARE > free:
        raise InputError(
            f"{folder.parent}: the cache of {len(places)} frames needs {needed / 1e9:.2f} GB, "
            f"{free / 1e9:.2f} GB are free; give another folder with --cache-dir, or do without: --cache off"
        )
    for name, array in arrays.items():
        np.lib.format.open_memmap(_file(folder, name), "w+", array.dtype, (len(places), *array.shape))
    done = 0
    for result in DataLoader(_Writer(reader, places, folder, arrays), batch_size=None, num_workers=workers):
        if isinstance(result, Exception):
            raise result
        done += 1
        if progress is not None:
            progress(done, len(places))
    assert done == len(places), f"{done} of {len(places)} frames were written"
    for name in arrays:
        _to_disk(_file(folder, name))
    index = {**about, "fields": list(arrays), "checksums": _checksums(folder, arrays)}
    (folder / "index.json").write_text(json.dumps({"crc32": _index_crc(index), "index": index}))
    _to_disk(folder / "index.json")
    _to_disk(folder)


@dataclass
class _Writer(IterableDataset[Exception | None]):
    """Writes a worker's share of the frames, a run of consecutive ones. It gives None for each, or the
    mistake: a loader would wrap a raised one into a page of text.

    Plain writes, not a map: on a full disk these fail, where a map would kill the process."""

    reader: Reader
    places: list[Place]
    folder: Path
    arrays: dict[str, np.ndarray]
    """The first frame's, for their shapes."""

    def __iter__(self) -> Iterator[Exception | None]:
        info = get_worker_info()
        rank, world = (info.id, info.num_workers) if info else (0, 1)
        start, stop = (len(self.places) * r // world for r in (rank, rank + 1))
        try:
            with ExitStack() as stack:
                files = {name: stack.enter_context(self._opened(name, start)) for name in self.arrays}
                for frame in _in_order(self.reader, self.places[start:stop]):
                    for name, file in files.items():
                        array = getattr(frame, name).contiguous().numpy()
                        assert array.shape == self.arrays[name].shape, f"{name}: not all frames have one size"
                        file.write(array)
                    yield None
        except (InputError, OSError) as mistake:
            yield mistake

    def _opened(self, name: str, row: int) -> BinaryIO:
        file = _file(self.folder, name).open("r+b")
        header = file.seek(0, os.SEEK_END) - len(self.places) * self.arrays[name].nbytes
        file.seek(header + row * self.arrays[name].nbytes)
        return file


def _in_order(reader: Reader, places: Sequence[Place]) -> Iterable[Frame]:
    """The frames at these places; a reader of films has a way of its own to run through them."""
    stream = getattr(reader, "stream", None)
    return stream(places) if stream is not None else (reader.frame(*place) for place in places)


def _is_whole(folder: Path, say: Say = lambda line: None) -> bool:
    """Whether every file is there and as long as it was written. Its bytes are looked at by `damage` only:
    that reads the whole entry."""
    try:
        index = _index(folder)
        sizes = {name: _file(folder, name).stat().st_size for name in index["fields"]}
        wrong = [name for name in sizes if sizes[name] != index["checksums"][name][-1]]
        if wrong:
            raise ValueError(
                f"{', '.join(_file(folder, name).name for name in wrong)}: not as long as written"
            )
    except UNREADABLE as error:
        say(f"cache {folder} is damaged ({_reason(error)}): building it again")
        return False
    return True


def damage(folder: Path) -> str | None:
    """What is wrong with an entry of the cache, byte for byte; None: nothing."""
    try:
        index = _index(folder)
        found = _checksums(folder, index["fields"])
        wrong = [_file(folder, name).name for name in found if found[name] != index["checksums"][name]]
    except UNREADABLE as error:
        return _reason(error)
    return f"{', '.join(wrong)}: not as written" if wrong else None


UNREADABLE = (OSError, ValueError, KeyError, TypeError)


def _index(folder: Path) -> dict[str, Any]:
    stored = json.loads((folder / "index.json").read_text())
    index: dict[str, Any] = stored["index"]
    if stored["crc32"] != _index_crc(index):
        raise ValueError("index.json was changed")
    return index


def _reason(error: Exception) -> str:
    return f"{error.strerror}: {Path(error.filename).name}" if isinstance(error, OSError) else str(error)


def _checksums(folder: Path, fields: Iterable[str]) -> dict[str, list[int]]:
    """CRC-32 of every block of every file, and the file's size at the end."""

    def crc(name: str, start: int) -> int:
        with _file(folder, name).open("rb") as file:
            file.seek(start)
            return zlib.crc32(file.read(BLOCK))

    sizes = {name: _file(folder, name).stat().st_size for name in fields}
    blocks = [(name, start) for name, size in sizes.items() for start in range(0, size, BLOCK)]
    found: dict[str, list[int]] = {name: [] for name in sizes}
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # reading and zlib let other threads run
        for (name, _), value in zip(blocks, pool.map(lambda block: crc(*block), blocks), strict=True):
            found[name].append(value)
    return {name: [*values, sizes[name]] for name, values in found.items()}


def _index_crc(index: dict[str, Any]) -> int:
    return zlib.crc32(json.dumps(index).encode())


@contextmanager
def _locked(path: Path, say: Say) -> Iterator[bool]:
    """One process at a time; gives False where files cannot be locked. The lock ends with its process: it is
    POSIX's kind, which processes forked by the holder do not keep."""
    with path.open("a") as file:
        try:
            import fcntl

            try:
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except (BlockingIOError, PermissionError):
                say(f"another process is building the cache {path.with_suffix('')}: waiting for it")
                fcntl.lockf(file, fcntl.LOCK_EX)
            locked = True
        except (ImportError, OSError):
            locked = False
        yield locked


def _to_disk(path: Path) -> None:
    with suppress(PermissionError):  # folders cannot be opened everywhere
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _file(folder: Path, field: str) -> Path:
    return folder / f"{field}.npy"
