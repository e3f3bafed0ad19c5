"""A download goes on where it stopped, whatever stopped it, and is the served file in the end."""

import itertools
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from mono2many.datasets.kitti.fetch import fetch, partial_path, remote_size
from mono2many.types import InputError

DATA = random.Random(1).randbytes(3_000_000)
COUNT = itertools.count(10)


def serve(files: Any, name: str = "a.zip", data: bytes = DATA) -> str:
    (files.folder / name).write_bytes(data)
    return f"{files.url}/{name}"


def test_after_dropped_connections_and_503_the_bytes_agree_and_none_was_sent_twice(
    files: Any, tmp_path: Path
) -> None:
    url, path, seen = serve(files), tmp_path / "to" / "a.zip", [0]
    files.cut, files.busy = 0.8, 0.3
    fetch(url, path, lambda done, total: seen.append(done if total == len(DATA) else -1), wait=0.0)
    assert path.read_bytes() == DATA
    resumed = [line for line in files.asked if "bytes=" in line]
    assert len(resumed) >= 4
    assert files.sent <= len(DATA) + len(resumed)  # each goes on from the last byte that had come
    assert seen == sorted(seen)
    assert seen[-1] == len(DATA)
    assert list(path.parent.iterdir()) == [path]


def test_a_server_that_cannot_send_parts_sends_all_again(files: Any, tmp_path: Path) -> None:
    url, path = serve(files), tmp_path / "a.zip"
    files.ranges, files.cut = False, 0.8
    fetch(url, path, tries=50, wait=0.0)
    assert path.read_bytes() == DATA
    assert files.sent > len(DATA)


def begin(path: Path, data: bytes) -> None:
    """What a killed download leaves."""
    partial_path(path).write_bytes(data)


def test_another_process_goes_on_where_the_first_was_killed(files: Any, tmp_path: Path) -> None:
    url, path = serve(files), tmp_path / "a.zip"
    begin(path, DATA[:2_000_000])
    fetch(url, path)
    assert path.read_bytes() == DATA
    assert files.asked == ["/a.zip bytes=1999999-"]
    assert files.sent == 1_000_001


def test_what_was_whole_but_had_not_its_name_yet_costs_one_byte(files: Any, tmp_path: Path) -> None:
    url, path = serve(files), tmp_path / "a.zip"
    begin(path, DATA)
    fetch(url, path)
    assert path.read_bytes() == DATA
    assert files.sent == 1


def test_more_than_the_whole_file_is_not_continued(files: Any, tmp_path: Path) -> None:
    url, path = serve(files), tmp_path / "a.zip"
    begin(path, b"x" * 4_000_000)
    fetch(url, path, wait=0.0)
    assert path.read_bytes() == DATA


Answer = Callable[[int], tuple[int, dict[str, str], bytes]]
"""From the first byte that is asked for to status, headers and bytes."""


@contextmanager
def serving(answer: Answer) -> Iterator[str]:
    """The address of a file on a server that answers so."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *words: object) -> None:
            pass

        def do_GET(self) -> None:
            status, headers, data = answer(int(self.headers.get("Range", "bytes=0-")[6:-1]))
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            with suppress(OSError):  # the other side has heard enough
                self.wfile.write(data)

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/x"
        server.shutdown()


def endless(start: int) -> tuple[int, dict[str, str], bytes]:
    if start == 0:
        return 200, {"Content-Length": "10"}, b"x" * 5
    return 206, {"Content-Range": f"bytes {start}-9/10"}, b"y" * (3 << 20)


def test_no_more_is_read_than_was_promised(tmp_path: Path) -> None:
    with serving(endless) as url:
        fetch(url, tmp_path / "x", wait=0.0)
    assert (tmp_path / "x").read_bytes() == b"xxxxyyyyyy"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (
            lambda start: (206, {"Content-Range": f"bytes {start}-{start + 2}/{start + 3}"}, b"xx"),
            "another part",
        ),
        (
            lambda start: (200, {"Content-Length": str(next(COUNT))}, b"xx"),
            "length .* has changed .*progress: 3",
        ),
        (lambda start: (200, {"Content-Length": "10"}, b""), "connection ended early .*progress: 3"),
        (lambda start: (200, {}, b"x" * 10), "does not tell the file's length"),
        (lambda start: (302, {"Location": "/x"}, b""), "HTTP Error 302"),
    ],
)
def test_a_server_that_lies_is_left_with_one_line(answer: Answer, said: str, tmp_path: Path) -> None:
    with serving(answer) as url, pytest.raises(InputError, match=said) as told:
        fetch(url, tmp_path / "x", tries=3, wait=0.0)
    assert "\n" not in str(told.value)
    assert not (tmp_path / "x").exists()


def test_it_gives_up_with_one_line_and_keeps_what_has_come(files: Any, tmp_path: Path) -> None:
    url, path = serve(files), tmp_path / "a.zip"
    begin(path, DATA[:1_000])
    files.busy = 1.0
    with pytest.raises(InputError, match=r"HTTP Error 503.* progress: 3\); what has arrived is kept"):
        fetch(url, path, tries=3, wait=0.0)
    assert len(files.asked) == 3
    assert partial_path(path).read_bytes() == DATA[:1_000]


def test_a_file_that_is_not_there_is_asked_for_once(files: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="HTTP Error 404"):
        fetch(f"{files.url}/none.zip", tmp_path / "a.zip")
    assert len(files.asked) == 1
    assert remote_size(f"{files.url}/none.zip") == 0
    assert remote_size("http://127.0.0.1:9/none.zip") == 0
    assert remote_size(serve(files)) == len(DATA)
    assert files.sent == 0
