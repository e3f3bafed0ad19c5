"""Downloads that continue where they stopped, whatever stopped them."""

import errno
import json
import time
from collections.abc import Callable
from contextlib import suppress
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from mono2many.errors import InputError

ShowProgress = Callable[[int, int | None], None]
"""Called with what is done so far, and with the total where it is known."""
CHUNK = 1 << 20
TIMEOUT = 60.0
"""Seconds without an answer."""
RETRIED = {408, 416, 429, 500, 502, 503, 504}
"""HTTP statuses after which another attempt may succeed. 416: the server's file is shorter than our part."""
AGENT = {"User-Agent": "mono2many"}


class Absent(InputError):
    """The server answers, and has no such file."""


def fetch(
    url: str, path: Path, progress: ShowProgress = lambda done, total: None, tries: int = 6, wait: float = 1.0
) -> None:
    """Download to `path`, which appears when it is complete. Until then its bytes are in PATH.part, and size
    and tag of the server's file in PATH.json: this or another process continues there. A server that cannot
    send a part sends the whole file again.

    `wait` (seconds) doubles with each attempt in a row that brings nothing new; after `tries` of them, if the
    file does not exist, or if the disk is full: InputError.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part, note = _partial(path)
    longest, failures = _size(part), 0
    while not path.exists():
        try:
            _transfer(url, part, note, progress)
            part.replace(path)
        except (OSError, HTTPException) as error:
            reason = _reason(url, part, error)
            failures = 0 if _size(part) > longest else failures + 1
            longest = max(longest, _size(part))
            if failures >= tries:
                raise InputError(
                    f"{url}: {reason}, {tries} times in a row; what has arrived is kept: check the "
                    "connection and run the same again"
                ) from error
            time.sleep(min(60.0, wait * 2**failures))
    note.unlink(missing_ok=True)


def discard(path: Path) -> None:
    """Remove a download, complete or not."""
    for file in (path, *_partial(path)):
        file.unlink(missing_ok=True)


def remote_size(url: str) -> int | None:
    """In bytes; None where the server does not say."""
    try:
        with urlopen(Request(url, headers=AGENT, method="HEAD"), timeout=TIMEOUT / 4) as answer:
            return _whole_size(answer)
    except (OSError, HTTPException):
        return None


def _transfer(url: str, part: Path, note: Path, progress: ShowProgress) -> None:
    """One connection, which completes `part`; OSError where it does not."""
    begun, headers = {}, dict(AGENT)
    with suppress(OSError, ValueError):  # no note, or one that was cut short: from the beginning
        begun = json.loads(note.read_text())
    have = _size(part) if begun else 0
    if have:  # from the last byte on: also of a complete part there is then a byte to ask for
        headers["Range"] = f"bytes={have - 1}-"
        if begun["tag"]:
            headers["If-Range"] = begun["tag"]
    with urlopen(Request(url, headers=headers), timeout=TIMEOUT) as answer:
        continues, size, tag = answer.status == 206, _whole_size(answer), answer.headers.get("ETag", "")
        served = {"size": size, "tag": "" if tag.startswith("W/") else tag}  # weak tags: not equal bytes
        if continues and served != begun:
            part.unlink()
            raise OSError("the server's file has changed")
        with part.open("r+b" if continues else "wb") as file:
            if continues:
                file.seek(have - 1)
            else:
                note.write_text(json.dumps(served))
            while file.tell() != size and (chunk := answer.read1(CHUNK)):
                file.write(chunk)
                progress(file.tell(), size)
            if size not in (None, file.tell()):
                raise OSError("the connection ended early")


def _reason(url: str, part: Path, error: OSError | HTTPException) -> str:
    """Why another attempt is needed; InputError if none can help."""
    if isinstance(error, HTTPError):
        reason = f"the server answers {error.code} {error.reason}"
        if error.code not in RETRIED:
            remedy = "wanted the file: check the address (--url), or fetch it by hand"
            raise Absent(f"{url}: {reason}; {remedy}") from error
        if error.code == 416:
            part.unlink(missing_ok=True)
        return reason
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        raise InputError(f"{part}: {error.strerror}; make room and run the same again") from error
    return str(getattr(error, "reason", error)) or type(error).__name__


def _whole_size(answer: HTTPResponse) -> int | None:
    """Of the server's file; None where it does not say."""
    length = answer.headers.get("Content-Length", "")
    if answer.status == 206:
        length = answer.headers.get("Content-Range", "").rpartition("/")[2]
    return int(length) if length.isdigit() else None


def _partial(path: Path) -> tuple[Path, Path]:
    """The bytes that have come, and a note of the size and tag of the server's file."""
    return path.with_name(f"{path.name}.part"), path.with_name(f"{path.name}.json")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
