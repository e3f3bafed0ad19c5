"""Frames decoded once into files that every later run maps into memory.

An entry is a folder named by a hash of all that determines its frames. It holds one .npy file per quantity, a
row per frame, and `index.json` with sizes and checksums of these files: an opening compares the sizes,
`mono2many cache --check` the checksums. It is built under another name and renamed when it is complete and on
the disk: a process that is killed half way leaves nothing that looks finished.
"""

import hashlib
import json
import os
import shutil
import uuid
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from mono2many.files import explained, file_lock, read_json, reason, sync_to_disk
from mono2many.types import Frame, FrameSequence, InputError, Reader

VERSION = 1
BLOCK = 2**24
"""Bytes of a file that share a checksum."""
SPARE = 2**24
"""Bytes that stay free on the disk."""
REMEDY = "give another folder with --cache-dir, or do without: --cache off"
FIELDS = ("image", "intrinsics", "depth", "moving", "world_from_camera", "valid_mask")
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
        about = _index(folder)
        self.clips: Sequence[FrameSequence] = [
            FrameSequence(**{key: tuple(v) if isinstance(v, list) else v for key, v in clip.items()})  # type: ignore[arg-type]
            for clip in about["clips"]
        ]
        self._first_row: list[int] = np.cumsum([0, *(clip.frames for clip in self.clips)]).tolist()
        """Of each clip; its other frames follow."""
        self._fingerprint: str = about["fingerprint"]
        self._files = {
            name: np.asarray(np.load(folder / f"{name}.npy", mmap_mode="r")) for name in about["fields"]
        }

    def frame(self, clip: int, index: int) -> Frame:
        assert 0 <= index < self.clips[clip].frames, f"clip {clip} has no frame {index}"
        row = self.row(clip, index)
        return Frame(**{name: torch.from_numpy(file[row].copy()) for name, file in self._files.items()})

    def row(self, clip: int, index: int) -> int:
        return self._first_row[clip] + index

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
    progress: Progress | None = None,
    say: Say = lambda line: None,
) -> CachedReader:
    """The same frames out of the cache, which is built by `workers` processes (0: this one) where it is
    missing, damaged or of other inputs.

    cache_dir: by default $MONO2MANY_CACHE, else ~/.cache/mono2many. progress(frames done, frames in all)
    is called while building; say(line) where there is something to report.
    InputError where a frame cannot be read or the disk is too small.
    """
    root = cache_root(cache_dir)
    clips = [asdict(clip) for clip in reader.clips]
    about = {"version": VERSION, "fingerprint": reader.fingerprint(), "clips": clips}
    folder = root / hashlib.sha256(json.dumps(about).encode()).hexdigest()[:20]
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
                _replace(folder, alone, partial(_build, reader, about, workers, progress))
    return CachedReader(folder)


def _replace(folder: Path, alone: bool, build: Callable[[Path], None]) -> None:
    """Build an entry under another name, then rename it. `alone`: no other process builds it."""
    part = folder.with_name(f"{folder.name}.{uuid.uuid4().hex[:8]}.part")
    for left_over in folder.parent.glob(f"{folder.name}.*.part") if alone else ():
        shutil.rmtree(left_over, ignore_errors=True)
    try:
        if folder.exists():
            folder.rename(part)
            shutil.rmtree(part)
        part.mkdir()
        build(part)
        try:
            part.rename(folder)
        except OSError:  # where files cannot be locked, another process may have been faster
            if damage(folder, every_byte=False) is not None:
                raise
        sync_to_disk(folder.parent)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _build(
    reader: Reader, about: dict[str, Any], workers: int, progress: Progress | None, folder: Path
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
    for name, array in arrays.items():
        np.lib.format.open_memmap(folder / f"{name}.npy", "w+", array.dtype, (len(places), *array.shape))
    done = 0
    for done, error in enumerate(
        DataLoader(_Writer(reader, places, folder, arrays), batch_size=None, num_workers=workers), 1
    ):
        if error is not None:
            raise error
        if progress is not None:
            progress(done, len(places))
    assert done == len(places), f"{done} of {len(places)} frames were written"
    index = {**about, "fields": list(arrays), "checksums": _checksums(folder, arrays)}
    (folder / "index.json").write_text(json.dumps({"crc32": _index_crc(index), "index": index}))
    for path in (*folder.iterdir(), folder):
        sync_to_disk(path)


@dataclass
class _Writer(IterableDataset[Exception | None]):
    """Writes a worker's share of the frames, a run of consecutive ones. Yields None for each, or the error: a
    loader would wrap a raised one into a page of text.

    Plain writes, not a memory map: on a full disk these fail, where a map would kill the process."""

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
                for frame in in_order(self.reader, self.places[start:stop]):
                    for name, file in files.items():
                        array = getattr(frame, name).contiguous().numpy()
                        assert array.shape == self.arrays[name].shape, f"{name}: not all frames have one size"
                        file.write(array)
                    yield None
        except (InputError, OSError) as error:
            yield error

    def _opened(self, name: str, row: int) -> BinaryIO:
        file = (self.folder / f"{name}.npy").open("r+b")
        header = file.seek(0, os.SEEK_END) - len(self.places) * self.arrays[name].nbytes
        file.seek(header + row * self.arrays[name].nbytes)
        return file


def in_order(reader: Reader, places: Sequence[Place]) -> Iterable[Frame]:
    """The frames at these places; a reader of videos has a method of its own that decodes them once."""
    stream = getattr(reader, "stream", None)
    return stream(places) if stream is not None else (reader.frame(*place) for place in places)


def damage(folder: Path, every_byte: bool = True) -> str | None:
    """What is wrong with an entry of the cache; None: nothing. `every_byte` reads all of it; else the files'
    sizes are compared."""
    try:
        index = _index(folder)
        sizes = {name: (folder / f"{name}.npy").stat().st_size for name in index["fields"]}
        expected = index["checksums"]
        wrong = [name for name in sizes if sizes[name] != expected[name][-1]]
        if every_byte and not wrong:
            found = _checksums(folder, sizes)
            wrong = [name for name in sizes if found[name] != expected[name]]
    except OSError as error:
        return f"{reason(error)}: {Path(error.filename).name}"
    except (ValueError, KeyError, TypeError) as error:
        return str(error)
    return f"{', '.join(f'{name}.npy' for name in wrong)}: not as written" if wrong else None


def _index(folder: Path) -> dict[str, Any]:
    stored = read_json(folder / "index.json", "the entry is built again")
    index: dict[str, Any] = stored["index"]
    if stored["crc32"] != _index_crc(index):
        raise ValueError("index.json was changed")
    return index


def _checksums(folder: Path, fields: Iterable[str]) -> dict[str, list[int]]:
    """CRC-32 of every block of every file, and the file's size at the end."""

    def crc(block: tuple[str, int]) -> int:
        name, start = block
        with (folder / f"{name}.npy").open("rb") as file:
            file.seek(start)
            return zlib.crc32(file.read(BLOCK))

    sizes = {name: (folder / f"{name}.npy").stat().st_size for name in fields}
    blocks = [(name, start) for name, size in sizes.items() for start in range(0, size, BLOCK)]
    found: dict[str, list[int]] = {name: [] for name in sizes}
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # reading and zlib let other threads run
        for (name, _), value in zip(blocks, pool.map(crc, blocks), strict=True):
            found[name].append(value)
    return {name: [*values, sizes[name]] for name, values in found.items()}


def _index_crc(index: dict[str, Any]) -> int:
    return zlib.crc32(json.dumps(index).encode())
