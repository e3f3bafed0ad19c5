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


@contextmanager
def atomic_write(path: Path, sync: bool = True) -> Iterator[Path]:
    """Gives a temporary path beside `path`; at the end of the block what was written there takes its place. A
    reader sees the old file or the complete new one, with `sync` also after a power failure. InputError where
    the disk is full; `path` is then what it was before."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield temporary
        if sync:
            sync_to_disk(temporary)
        temporary.replace(path)
        if sync:
            with suppress(OSError):
                sync_to_disk(path.parent)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise InputError(
            f"{path}: the disk is full, it could not be saved; what was saved before is kept: free some "
            "space and run the same again (a training run: with --resume)"
        ) from error
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: str | Path, text: str) -> None:
    """`atomic_write` of a text file; makes its folder where needed."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(Path(path)) as temporary:
        temporary.write_text(text, encoding="utf-8")


def remove_partial(folder: Path) -> None:
    """Remove the temporary files of an `atomic_write` whose process was killed."""
    for path in folder.glob(".*.part"):
        path.unlink(missing_ok=True)


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
def writing(path: str | Path, errors: Errors = (OSError,)) -> Iterator[None]:
    """A block that writes to `path`, whose folder is made. InputError where that fails."""
    with explained(f"{path}: cannot write", "check the folder and its free space", errors):
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        yield


def reason(error: BaseException) -> str:
    """What an error says, in one line, without the file's name where the system says it apart."""
    return " ".join((getattr(error, "strerror", None) or str(error) or type(error).__name__).split())
