"""Files that are complete or not there, locks between processes, and errors that name file and remedy."""

import errno
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

from mono2many.errors import InputError

Errors = tuple[type[Exception], ...]

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


def write_bytes(path: str | Path, data: bytes | memoryview) -> None:
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
