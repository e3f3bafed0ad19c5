"""Downloads that go on where they stopped, whatever stopped them."""

import errno
import json
import os
import time
from collections.abc import Callable
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from mono2many.types import InputError


class Absent(InputError):
    """The server answers, and has no such file."""


Progress = Callable[[int, int | None], None]
"""Done, and in all where that is known."""
CHUNK = 1 << 20
PASSING = {408, 416, 429, 500, 502, 503, 504}
"""Answers that another attempt may mend. 416: the file is shorter now, and is fetched from its beginning."""
AGENT = {"User-Agent": "mono2many"}


def fetch(
    url: str,
    path: Path,
    progress: Progress | None = None,
    tries: int = 6,
    wait: float = 1.0,
    timeout: float = 60.0,
) -> None:
    """Download to `path`, which appears when it is whole. Until then the bytes collect in `path`.part, where
    this or another process goes on after a dropped connection or its own end; a server that cannot send a
    part sends all again.

    `wait` (seconds) doubles with each attempt in a row that brings nothing new; after `tries` of them, if the
    file is not there, or the disk is full: InputError.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = _part(path)
    furthest, failures = _size(part), 0
    while True:
        try:
            if _attempt(url, path, progress, timeout):
                break
            reason = "the connection ended early"
        except HTTPError as error:
            if error.code not in PASSING:
                raise Absent(
                    f"{url}: the server answers {error.code} {error.reason}; wanted the file: check the "
                    "address (--url), or fetch it by hand"
                ) from error
            if error.code == 416:
                part.unlink(missing_ok=True)
            reason = f"the server answers {error.code} {error.reason}"
        except (OSError, HTTPException) as error:
            if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise InputError(f"{part}: {error.strerror}; make room and run the same again") from error
            reason = str(getattr(error, "reason", None) or error or type(error).__name__)
        failures = 0 if _size(part) > furthest else failures + 1
        furthest = max(furthest, _size(part))
        if failures >= tries:
            raise InputError(
                f"{url}: {reason}, {tries} times in a row; what has arrived is kept: check the connection "
                "and run the same again"
            )
        time.sleep(min(60.0, wait * 2**failures))
    part.replace(path)
    _note(path).unlink(missing_ok=True)


def discard(path: Path) -> None:
    """A download, whole or begun."""
    for file in (path, _part(path), _note(path)):
        file.unlink(missing_ok=True)


def remote_size(url: str, timeout: float = 15.0) -> int | None:
    """In bytes; None where the server does not say."""
    try:
        with urlopen(Request(url, headers=AGENT, method="HEAD"), timeout=timeout) as answer:
            return int(answer.headers["Content-Length"])
    except (OSError, HTTPException, TypeError, ValueError):
        return None


def _attempt(url: str, path: Path, progress: Progress | None, timeout: float) -> bool:
    """One connection; whether the file is whole then."""
    part, note = _part(path), _note(path)
    try:
        known = json.loads(note.read_text())
    except (OSError, ValueError):
        known = {}
    have, headers = _size(part) if known else 0, dict(AGENT)
    if have:  # from the last byte on, so that a finished part has something to ask for
        headers["Range"] = f"bytes={have - 1}-"
        if known["tag"]:
            headers["If-Range"] = known["tag"]
    with urlopen(Request(url, headers=headers), timeout=timeout) as answer:
        size = _whole_size(answer)
        about = {"size": size, "tag": _tag(answer)}
        begin = have - 1 if answer.status == 206 else 0
        if answer.status == 206 and (
            about != known or not answer.headers.get("Content-Range", "").startswith(f"bytes {begin}-")
        ):
            part.unlink(missing_ok=True)  # another file now, or another part than asked for
            return False
        with part.open("r+b" if begin else "wb") as file:
            if not begin:
                _write(note, json.dumps(about))
            file.seek(begin)
            while file.tell() != size and (chunk := answer.read1(CHUNK)):
                file.write(chunk)
                if progress is not None:
                    progress(file.tell(), size)
            file.flush()
            os.fsync(file.fileno())
            return size is None or size == file.tell()


def _whole_size(answer: HTTPResponse) -> int | None:
    length = answer.headers.get("Content-Length")
    if answer.status == 206:
        length = answer.headers.get("Content-Range", "").rpartition("/")[2]
    return int(length) if length and length.isdigit() else None


def _tag(answer: HTTPResponse) -> str:
    """What tells one state of the file from another; weak tags do not promise equal bytes."""
    tag = str(answer.headers.get("ETag", ""))
    return "" if tag.startswith("W/") else tag


def _write(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.part")
    temporary.write_text(text)
    temporary.replace(path)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _part(path: Path) -> Path:
    return path.with_name(f"{path.name}.part")


def _note(path: Path) -> Path:
    """Size and tag of what is being fetched."""
    return path.with_name(f"{path.name}.json")
