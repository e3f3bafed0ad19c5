"""A file server that behaves as badly as it is told to."""

import random
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest


@dataclass
class FileServer:
    """Serves `folder` over HTTP."""

    folder: Path
    url: str = ""
    cut: float = 0.0
    """Probability that the connection drops somewhere in the answer."""
    busy: float = 0.0
    """Probability of a 503."""
    ranges: bool = True
    """Whether parts can be asked for."""
    sent: int = 0
    """Bytes of files."""
    asked: list[str] = field(default_factory=list)
    """GET requests: path and range."""
    chance: random.Random = field(default_factory=lambda: random.Random(0))


@pytest.fixture
def files(tmp_path: Path) -> Iterator[FileServer]:
    state = FileServer(tmp_path / "served")
    state.folder.mkdir()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *words: object) -> None:
            pass

        def do_HEAD(self) -> None:
            self.do_GET(head=True)

        def do_GET(self, head: bool = False) -> None:
            path, asked = state.folder / self.path[1:], self.headers.get("Range")
            if not head:
                state.asked.append(f"{self.path} {asked or ''}".strip())
            if not path.is_file():
                return self.send_error(404)
            if state.chance.random() < state.busy:
                return self.send_error(503)
            data = path.read_bytes()
            tag, start = f'"{hash(data)}"', 0
            if asked and state.ranges and self.headers.get("If-Range") in (None, tag):
                start = int(asked.removeprefix("bytes=").rstrip("-"))
                if start >= len(data):
                    return self.send_error(416)
                self.send_response(206)
                self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
            else:
                self.send_response(200)
            self.send_header("Content-Length", str(len(data) - start))
            self.send_header("ETag", tag)
            self.end_headers()
            if not head:
                if state.chance.random() < state.cut:
                    data = data[: state.chance.randint(start, len(data) - 1)]
                state.sent += len(data) - start
                self.wfile.write(data[start:])

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        state.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield state
        server.shutdown()
        thread.join()
