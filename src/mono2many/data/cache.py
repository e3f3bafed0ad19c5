"""Frames decoded once into files that every later run maps into memory.

An entry is a folder named by a hash of all that determines its frames. It holds one .npy file per quantity, a
row per frame, and `index.json` with sizes and digests of these files: an opening compares the sizes,
`mono2many cache --check` the digests. It is built under another name and renamed when it is complete and on
the disk: a process that is killed half way leaves nothing that looks finished.
"""

import hashlib
import json
import os
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from mono2many.files import UNREADABLE, explained, file_lock, read_json, reason, sync_to_disk, user_path
from mono2many.types import Frame, FrameSequence, InputError, Reader

VERSION = 2
SPARE = 2**24
"""Bytes that stay free on the disk."""
SAID = 2**27
"""Bytes of an entry whose size is said before it is built."""
REMEDY = "give another folder with --cache-dir, or do without: --cache off"
FIELDS = ("image", "intrinsics", "depth", "moving", "world_from_camera", "valid_mask", "co_moving")
"""Of a Frame; each that the frames have is a file."""

Place = tuple[int, int]
"""(clip, index)"""
Say = Callable[[str], None]
Progress = Callable[[int, int], None]


class CachedReader:
    """The frames of an entry, as a Reader. They are copied out of the files, which nothing can write into.
    Cheap to pickle."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        index = read_index(folder)
        self.clips: Sequence[FrameSequence] = [
            FrameSequence(**{key: tuple(v) if isinstance(v, list) else v for key, v in clip.items()})  # type: ignore[arg-type]
            for clip in index["clips"]
        ]
        self._first_row: list[int] = np.cumsum([0, *(clip.frames for clip in self.clips)]).tolist()
        """Of each clip; its other frames follow."""
        self._fingerprint: str = index["fingerprint"]
        self._files = {
            name: np.asarray(np.load(folder / f"{name}.npy", mmap_mode="r")) for name in index["files"]
        }

    def frame(self, clip: int, index: int) -> Frame:
        assert 0 <= index < self.clips[clip].frames, f"clip {clip} has no frame {index}"
        row = self._first_row[clip] + index
        return Frame(**{name: torch.from_numpy(file[row].copy()) for name, file in self._files.items()})

    def stack(self, field: str, places: Sequence[Place]) -> Tensor | None:
        """A field of many frames at once; None where frames do not have it."""
        rows = [self._first_row[clip] + index for clip, index in places]
        return torch.from_numpy(self._files[field][rows]) if field in self._files else None

    def fingerprint(self) -> str:
        return self._fingerprint

    def __reduce__(self) -> tuple[type["CachedReader"], tuple[Path]]:
        return CachedReader, (self.folder,)


def cache_root(folder: str | Path | None = None) -> Path:
    """`folder`, by default $MONO2MANY_CACHE, else ~/.cache/mono2many; where there is no home folder that can
    be written, a folder of the system's for temporary files."""
    named = folder or os.environ.get("MONO2MANY_CACHE")
    if named:
        return user_path(named)
    with suppress(RuntimeError):  # no HOME, and no entry in the list of users
        root = Path.home() / ".cache" / "mono2many"
        if os.access(next(place for place in (root, *root.parents) if place.exists()), os.W_OK):
            return root
    return Path(tempfile.gettempdir()) / f"mono2many-{getattr(os, 'getuid', int)()}"


def cached(
    reader: Reader,
    cache_dir: str | Path | None = None,
    workers: int = 0,
    progress: Progress = lambda done, total: None,
    say: Say = lambda line: None,
) -> CachedReader:
    """The same frames out of the cache, which is built by `workers` processes (0: this one) where it is
    missing, damaged or of other inputs.

    cache_dir: by default $MONO2MANY_CACHE, else ~/.cache/mono2many. progress(frames done, frames in all)
    is called while building; say(line) where there is something to report.
    InputError where a frame cannot be read or the disk is too small."""
    root = cache_root(cache_dir)
    clips = [asdict(clip) for clip in reader.clips]
    about = {"version": VERSION, "fingerprint": reader.fingerprint(), "clips": clips}
    folder = root / name_of(about)
    if folder.exists():
        damaged = damage(folder, every_byte=False)
        if damaged is None:
            with suppress(OSError):  # when it was last used
                os.utime(folder)
            return CachedReader(folder)
        say(f"cache {folder} is damaged ({damaged}): building it again")
    with explained(f"{root}: the cache of frames cannot be written", f"free some space, {REMEDY}"):
        root.mkdir(parents=True, exist_ok=True)
        busy = partial(say, f"another process is building the cache {folder}: waiting for it")
        with file_lock(root / f"{folder.name}.lock", busy) as alone:
            if damage(folder, every_byte=False) is not None:  # else another process built it meanwhile
                with _complete_or_absent(folder, alone) as part:
                    _build(reader, about, workers, progress, say, part)
    return CachedReader(folder)


@contextmanager
def _complete_or_absent(folder: Path, alone: bool) -> Iterator[Path]:
    """A new folder that is called `folder` after the block. `alone`: no other process builds the same."""
    part = folder.with_name(f"{folder.name}.{uuid.uuid4().hex[:8]}.part")
    left_over = folder.parent.glob(f"{folder.name}.*.part") if alone else ()
    for damaged in (folder, *left_over):
        shutil.rmtree(damaged, ignore_errors=True)
    part.mkdir()
    try:
        yield part
        try:
            part.rename(folder)
        except OSError:  # where files cannot be locked, another process may have been faster
            if damage(folder, every_byte=False) is not None:
                raise
        sync_to_disk(folder.parent)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _build(
    reader: Reader, about: dict[str, Any], workers: int, progress: Progress, say: Say, folder: Path
) -> None:
    places = [(c, i) for c, clip in enumerate(reader.clips) for i in range(clip.frames)]
    first = next(iter(in_order(reader, places[:1])))
    arrays = {name: value.numpy() for name in FIELDS if (value := getattr(first, name)) is not None}
    needed = len(places) * sum(array.nbytes for array in arrays.values())
    free = shutil.disk_usage(folder).free
    if needed + SPARE > free:
        raise InputError(
            f"{folder.parent}: the cache of {len(places)} frames needs {needed / 1e9:.2f} GB, "
            f"{free / 1e9:.2f} GB are free; {REMEDY}"
        )
    if needed > SAID:
        say(f"decoding {len(places)} frames once, into {needed / 1e9:.2f} GB of cache in {folder.parent}")
    files = {name: folder / f"{name}.npy" for name in arrays}
    for name, array in arrays.items():
        np.lib.format.open_memmap(files[name], "w+", array.dtype, (len(places), *array.shape))
    done = 0
    writer = _Writer(reader, places, files, arrays)
    for done, error in enumerate(DataLoader(writer, batch_size=None, num_workers=workers), 1):
        if error is not None:
            raise error
        progress(done, len(places))
    assert done == len(places), f"{done} of {len(places)} frames were written"
    sizes = {name: (file.stat().st_size, _digest(file)) for name, file in files.items()}
    (folder / "index.json").write_text(json.dumps({**about, "files": sizes}))
    for path in (*folder.iterdir(), folder):
        sync_to_disk(path)


@dataclass
class _Writer(IterableDataset[Exception | None]):
    """Writes a worker's share of the frames, a run of consecutive ones. Yields None for each, or the error: a
    loader would wrap a raised one into a page of text. Plain writes, not a memory map: on a full disk these
    fail, where a map would kill the process."""

    reader: Reader
    places: list[Place]
    files: dict[str, Path]
    arrays: dict[str, np.ndarray]
    """The first frame's, for their shapes."""

    def __iter__(self) -> Iterator[Exception | None]:
        info = get_worker_info()
        rank, world = (info.id, info.num_workers) if info else (0, 1)
        start, stop = (len(self.places) * r // world for r in (rank, rank + 1))
        try:
            with ExitStack() as stack:
                files = {name: stack.enter_context(self._opened(name, start)) for name in self.arrays}
                for frame in in_order(self.reader, self.places[start:stop]):
                    for name, file in files.items():
                        array = getattr(frame, name).contiguous().numpy()
                        assert array.shape == self.arrays[name].shape, f"{name}: not all frames have one size"
                        file.write(array)
                    yield None
        except (InputError, OSError) as error:
            yield error

    def _opened(self, name: str, row: int) -> BinaryIO:
        """At this row, counted back from the file's end."""
        file = self.files[name].open("r+b")
        file.seek((row - len(self.places)) * self.arrays[name].nbytes, os.SEEK_END)
        return file


def in_order(reader: Reader, places: Sequence[Place]) -> Iterable[Frame]:
    """The frames at these places; a reader of videos has a method of its own that decodes them once."""
    stream = getattr(reader, "stream", None)
    return stream(places) if stream is not None else (reader.frame(*place) for place in places)


def damage(folder: Path, every_byte: bool = True) -> str | None:
    """What is wrong with an entry of the cache; None: nothing. `every_byte` reads all of it; else the files'
    sizes are compared."""
    try:
        for name, (size, digest) in read_index(folder)["files"].items():
            file = folder / f"{name}.npy"
            if file.stat().st_size != size or (every_byte and _digest(file) != digest):
                return f"{file.name}: not as written"
            np.load(file, mmap_mode="r")
    except UNREADABLE as error:
        return reason(error)
    return None


def read_index(folder: Path) -> dict[str, Any]:
    """What an entry holds. Its folder's name is the hash of what decides about the frames."""
    index = read_json(folder / "index.json", "the entry is built again")
    if name_of(index) != folder.name:
        raise ValueError("index.json was changed")
    return index


def name_of(about: dict[str, Any]) -> str:
    decisive = {key: about[key] for key in ("version", "fingerprint", "clips")}
    return hashlib.sha256(json.dumps(decisive).encode()).hexdigest()[:20]


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "blake2b").hexdigest()
