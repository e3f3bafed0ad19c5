"""Files that are complete or not there, whatever stops the process that writes them."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mono2many.errors import InputError


@contextmanager
def atomic_write(path: Path, sync: bool = True) -> Iterator[Path]:
    """Gives a temporary path beside `path`; at the end of the block what was written there takes its place. A
    reader sees the old file or the complete new one, with `sync` also after a power failure.

    InputError where the disk is full; `path` is then what it was before.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield temporary
        if sync:
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
        temporary.replace(path)
        if sync:
            _sync_folder(path.parent)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise InputError(
            f"{path}: the disk is full, it could not be saved; what was saved before is kept: free some "
            "space and run the same again (a training run: with --resume)"
        ) from error
    finally:
        temporary.unlink(missing_ok=True)


def remove_partial(folder: Path) -> None:
    """Remove the temporary files of an `atomic_write` whose process was killed."""
    for path in folder.glob(".*.part"):
        path.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    with suppress(OSError):  # folders cannot be opened everywhere
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
