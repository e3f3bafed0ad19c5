"""Files that are complete or not there, locks between processes, and errors that name file and remedy."""

import errno
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from mono2many.errors import InputError

Errors = tuple[type[Exception], ...]


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


def read_json(path: str | Path, remedy: str) -> dict[str, Any]:
    """The object in a JSON file. InputError, naming the file and `remedy`, where there is none."""
    with explained(f"{path}: cannot be read as JSON", remedy, (OSError, ValueError)):
        found = json.loads(Path(path).read_text(encoding="utf-8"))
        if not isinstance(found, dict):
            raise ValueError(f"it holds a {type(found).__name__}, wanted an object")
        return found


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
    """What an error says, in a line of at most 300 characters, without the file's name where the system says
    it apart."""
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(text[:300].split())
