"""Downloads that continue where they stopped, whatever stopped them."""

import errno
import re
import time
from collections.abc import Callable
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from mono2many.errors import InputError
from mono2many.files import reason

CHUNK = 1 << 20
TIMEOUT = 60.0
"""Seconds without an answer."""
RETRIED = {408, 416, 429, 500, 502, 503, 504}
"""HTTP statuses after which another attempt may succeed. 416: the server's file is shorter than our part."""
AGENT = {"User-Agent": "mono2many"}


def fetch(
    url: str,
    path: Path,
    progress: Callable[[int, int], None] = lambda done, total: None,
    tries: int = 6,
    wait: float = 1.0,
) -> None:
    """Download to `path`, which appears when it is complete; until then its bytes are in PATH.part, where
    this or another process continues. A server that cannot send a part sends the whole file again. No more
    is read than the length that the server names; whether it is the right file a ZIP's checksums tell.

    `wait` (seconds) doubles with each attempt in a row that brings nothing new. InputError: after `tries` of
    them, and at once where the file does not exist, its length is not told or the disk is full.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part, failures, length = partial_path(path), 0, None
    longest = _size(part)
    while not path.exists():
        try:
            with _open(url, _size(part)) as answer:
                start, total = _range(url, answer, _size(part))
                if length not in (None, total) or start > total:
                    part.unlink(missing_ok=True)
                    raise OSError("the length of the server's file has changed")
                length = total
                _receive(answer, part, start, total, progress)
            part.replace(path)
        except (OSError, HTTPException) as error:
            status = error.code if isinstance(error, HTTPError) else None
            if status == 416:
                part.unlink(missing_ok=True)
            failures = 0 if _size(part) > longest else failures + 1
            longest = max(longest, _size(part))
            full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
            if failures >= tries or full or status not in (None, *RETRIED):
                raise InputError(
                    f"{url}: {reason(error)} (attempts without progress: {failures}); what has arrived is "
                    "kept: check address (--url), connection and disk, and run the same again"
                ) from error
            time.sleep(min(60.0, wait * 2**failures))


def partial_path(path: Path) -> Path:
    """Of the bytes that have come so far."""
    return path.with_name(f"{path.name}.part")


def remote_size(url: str) -> int:
    """In bytes; 0 where the server does not say."""
    try:
        with urlopen(Request(url, headers=AGENT, method="HEAD"), timeout=TIMEOUT / 4) as answer:
            return int(answer.headers.get("Content-Length", 0))
    except (OSError, HTTPException, ValueError):
        return 0


def _open(url: str, have: int) -> HTTPResponse:
    """From the last byte on: also of a complete part there is then a byte to ask for."""
    part = {"Range": f"bytes={have - 1}-"} if have else {}
    return urlopen(Request(url, headers=AGENT | part), timeout=TIMEOUT)


def _range(url: str, answer: HTTPResponse, have: int) -> tuple[int, int]:
    """Where the answer begins in the file, and how long the file is."""
    if answer.status == 206:
        found = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", answer.headers.get("Content-Range", ""))
        if found is None or int(found[1]) != have - 1:
            raise OSError("the server sends another part than it was asked for")
        return int(found[1]), int(found[2])
    length = answer.headers.get("Content-Length", "")
    if not length.isdigit():
        raise InputError(f"{url}: the server does not tell the file's length; fetch it by hand")
    return 0, int(length)


def _receive(
    answer: HTTPResponse, part: Path, start: int, total: int, progress: Callable[[int, int], None]
) -> None:
    """No byte more than `total`. OSError where the connection ends before."""
    with part.open("r+b" if start else "wb") as file:
        file.seek(start)
        while file.tell() < total and (chunk := answer.read1(min(CHUNK, total - file.tell()))):
            file.write(chunk)
            progress(file.tell(), total)
        if file.tell() < total:
            raise OSError("the connection ended early")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
