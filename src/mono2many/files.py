"""Files that are complete or not there, locks between processes, and errors that name file and remedy."""

import errno
import json
import lzma
import math
import os
import struct
import tokenize
import types
import typing
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any, Literal

from mono2many.errors import InputError

Errors = tuple[type[Exception], ...]
MALFORMED: Errors = (
    *(ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RuntimeError, SyntaxError),
    *(EOFError, MemoryError, struct.error, zipfile.BadZipFile, zlib.error, lzma.LZMAError),
    tokenize.TokenError,  # by NumPy
)
"""What decoders raise for a file whose content is not as it should be."""
UNREADABLE: Errors = (OSError, *MALFORMED)
"""The same, and what the operating system refuses."""
LARGEST = 2**28
"""Bytes of a text file or a laser scan; what is larger is something else."""
DEEPEST = 50
"""Objects and lists inside each other in a JSON file."""

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""No space, no quota, a larger file than the file system takes."""
STREAMS = ("/dev/std", "/dev/fd/", "/proc/")
PART = ".mono2many.part"
"""How the names of incomplete files end."""


@contextmanager
def atomic_write(path: Path, sync: bool = True) -> Iterator[Path]:
    """Gives a temporary path beside `path`; at the end of the block what was written there takes its place. A
    reader sees the old file or the complete new one, with `sync` also after a power failure. A symbolic link
    stays one; what is no file (a pipe, /dev/stdout) is written as it is. InputError where the disk is full;
    `path` is then what it was before."""
    if str(path).startswith(STREAMS) or (path.exists() and not path.is_file()):
        yield path
        return
    path = path.resolve() if path.is_symlink() else path
    if path.exists() and not os.access(path, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
    _tidy_once(path.parent)
    short = os.fsdecode(os.fsencode(path.name)[:200])  # file systems limit a name's length
    temporary = path.with_name(f".{short}.{os.getpid()}{PART}")
    try:
        with _in_use(temporary):
            yield temporary
            if sync:
                sync_to_disk(temporary)
            temporary.replace(path)
        if sync:
            with suppress(OSError):
                sync_to_disk(path.parent)
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise InputError(
            f"{path}: the disk is full ({reason(error)}), it could not be saved; what was saved before is "
            "kept: free some space and run the same again (a training run: with --resume)"
        ) from error
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: str | Path, text: str) -> None:
    """A text file, on the disk when this returns: see `writing`."""
    with writing(path, sync=True) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")  # of names in no UTF-8


def remove_partial(folder: Path) -> None:
    """Remove the temporary files of an `atomic_write` whose process was killed."""
    for path in folder.glob(f".*{PART}"):
        with suppress(OSError), _in_use(path):
            path.unlink(missing_ok=True)


@cache
def _tidy_once(folder: Path) -> None:
    remove_partial(folder)


@contextmanager
def _in_use(path: Path) -> Iterator[None]:
    """Locks a file, which is made, as long as its process lives. BlockingIOError where another does so."""
    try:
        import fcntl
    except ImportError:  # where an open file cannot be renamed either
        yield
        return
    with path.open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise
        except OSError:  # a file system without locks
            pass
        yield


def sync_to_disk(path: Path) -> None:
    """Return when a file, or a folder's list of files, is on the disk."""
    with suppress(PermissionError):  # folders cannot be opened everywhere
        descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextmanager
def file_lock(path: Path, when_busy: Callable[[], None]) -> Iterator[bool]:
    """One process at a time. If another holds the lock, `when_busy` is called: it raises, or the lock is
    waited for. Gives False where files cannot be locked. The lock ends with its process: it is POSIX's kind,
    which processes forked by the holder do not keep."""
    with path.open("a") as file:
        locked = False
        with suppress(ImportError, OSError):
            import fcntl

            try:
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except (BlockingIOError, PermissionError):
                when_busy()
                fcntl.lockf(file, fcntl.LOCK_EX)
            locked = True
        yield locked


def read_text(path: str | Path) -> str:
    """A text file in UTF-8. Raises OSError, and ValueError for what is no such text or too large."""
    with Path(path).open("rb") as file:
        data = file.read(LARGEST + 1)
    if len(data) > LARGEST:
        raise ValueError(f"it is larger than {LARGEST >> 20} MiB")
    return data.decode("utf-8-sig")


def read_json(path: str | Path, remedy: str) -> dict[str, Any]:
    """The object in a JSON file, in which every number is finite, every key occurs once and lists and objects
    are at most DEEPEST deep. InputError, naming the file and `remedy`, where there is none."""
    with explained(f"{path}: cannot be read as JSON", remedy, UNREADABLE):
        try:
            found = json.loads(read_text(path), parse_int=_whole, object_pairs_hook=_object)
        except RecursionError:
            raise ValueError("it is nested too deeply") from None
        level = [found]
        for _ in range(DEEPEST):
            inner = [x for v in level for x in (v.values() if isinstance(v, dict) else v)]
            level = [x for x in inner if isinstance(x, dict | list)]
        if level:
            raise ValueError("it is nested too deeply")
        if not isinstance(found, dict):
            raise ValueError(f"it holds a {type(found).__name__}, wanted an object")
        return found


def _whole(digits: str) -> int | float:
    return int(digits) if len(digits) < 20 else float(digits)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"key {next(k for k in keys if keys.count(k) > 1)[:60]!r} occurs twice")
    for key, value in pairs:
        if not _is_finite(value):
            raise ValueError(f"key {key[:60]!r} is {brief(value)}, wanted finite numbers")
    return found


def _is_finite(value: Any) -> bool:
    """Of a number, or of all numbers in a list."""
    if isinstance(value, list):
        return all(map(_is_finite, value))
    return not isinstance(value, float) or math.isfinite(value)


KINDS = {float: "a number", int: "a whole number", str: "text", list: "a list", dict: "an object"}


def entry(
    values: Any, key: str | int, kind: type, low: int | float = -math.inf, high: int | float = math.inf
) -> Any:
    """values[key] out of JSON: a value of this kind (float, int, str, list or dict), a number from `low` to
    `high`. ValueError naming the key, what was found and what was wanted."""
    inside = isinstance(values, dict) and key in values
    inside |= isinstance(values, list) and isinstance(key, int) and key < len(values)
    found: Any = values[key] if inside else None
    number = isinstance(found, int | float) and not isinstance(found, bool)
    if kind is int and isinstance(found, float) and found.is_integer():
        found = int(found)
    if kind in (int, float):
        good = number and low <= found <= high and isinstance(found, (int, kind))
    else:
        good = isinstance(found, kind)
    if not good:
        limits = [f"{word} {x:g}" for word, x in (("from", low), ("to", high)) if math.isfinite(x)]
        said = f"is {brief(found)}" if inside else "is missing"
        raise ValueError(f"key {key!r} {said}, wanted {' '.join([KINDS[kind], *limits])}")
    return kind(found) if number else found


def entries(
    values: Any, key: str | int, kind: type, low: int | float = -math.inf, high: int | float = math.inf
) -> list[Any]:
    """The list values[key], each of its items as `entry`."""
    items = entry(values, key, list)
    try:
        return [entry(items, i, kind, low, high) for i in range(len(items))]
    except ValueError as error:
        raise ValueError(f"key {key!r}: item {str(error).removeprefix('key ')}") from None


def as_annotated(hint: Any, value: Any, where: str) -> Any:
    """A value out of JSON as its annotated type: numbers, text, Literal, tuples, or None where that may be.
    ValueError that begins with `where`."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):  # the latter of `Literal | None`
        return None if value is None else as_annotated(arguments[0], value, where)
    if origin is Literal and isinstance(value, str | int | float) and value in arguments:
        return value
    if origin is tuple and isinstance(value, list):
        kinds = [arguments[0]] * len(value) if arguments[-1] is ... else arguments
        if len(kinds) == len(value):
            return tuple(as_annotated(kind, v, where) for kind, v in zip(kinds, value, strict=True))
    if hint is float and type(value) in (int, float):
        return float(value)
    if hint in (int, str, bool) and type(value) is hint:
        return value
    wanted = " | ".join(map(str, arguments)) if origin is Literal else getattr(hint, "__name__", str(hint))
    raise ValueError(f"{where} must be {wanted}, got {brief(value)}")


def brief(value: object) -> str:
    """As Python writes it, cut after 60 characters."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


@contextmanager
def explained(problem: str, remedy: str, errors: Errors = (OSError,)) -> Iterator[None]:
    """Turns these errors into InputError("PROBLEM (reason); REMEDY")."""
    try:
        yield
    except InputError:
        raise
    except errors as error:
        raise InputError(f"{problem} ({reason(error)}); {remedy}") from error


@contextmanager
def telling_progress(how_far: Callable[[], str]) -> Iterator[None]:
    """What ends the block early, an InputError or Ctrl-C, also says how far it came, if that is anything."""
    try:
        yield
    except InputError as error:
        if not (said := how_far()):
            raise
        raise InputError(f"{error}; {said}") from error
    except KeyboardInterrupt as stop:
        raise type(stop)(how_far()) from stop


@contextmanager
def writing(path: str | Path, sync: bool = False) -> Iterator[Path]:
    """As `atomic_write`; the folder is made. InputError where that fails."""
    with explained(f"{path}: cannot write", "check the folder and its free space"):
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(Path(path), sync) as temporary:
            yield temporary


def write_bytes(path: str | Path, data: bytes) -> None:
    """As `writing`. Libraries that write a file themselves often do not say why they cannot."""
    with writing(path) as temporary:
        temporary.write_bytes(data)


def user_path(name: str | Path) -> Path:
    """The path that a user names: ~ is the home folder, where there is one and no file of that name."""
    path = Path(name)
    with suppress(RuntimeError):
        return path if path.exists() else path.expanduser()
    return path


def reason(error: BaseException) -> str:
    """What an error says, in a line of at most 300 characters, without the file's name where the system says
    it apart."""
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(text[:300].split())
