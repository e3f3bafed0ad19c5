"""A user's visit to the web page, and small uploads."""

import io
import mimetypes
import socket
from dataclasses import dataclass, field
from typing import Any

from PIL import Image
from playwright.sync_api import Page, TimeoutError

from mono2many.serve.limits import Limits
from small_models import FILM

LIMITS = Limits(max_seconds=60.0, max_megabytes=1.0)
ANSWER = ".m2m-result, .m2m-error, .toast-body"


@dataclass
class Visit:
    """A page, and what the browser says of it."""

    page: Page
    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def upload(self, name: str, data: bytes) -> str:
        """What the page answers."""
        self.begin(name, data)
        return self.answer()

    def begin(self, name: str, data: bytes) -> None:
        kind = mimetypes.guess_type(name)[0] or ""
        self.page.set_input_files("input[type=file]", {"name": name, "mimeType": kind, "buffer": data})

    def wait_for_scene(self) -> None:
        """Gradio 6.31 may lose a scene that comes while its viewer is still loading, but not the next."""
        canvas = self.page.locator("canvas")
        try:
            canvas.wait_for(timeout=90_000)
        except TimeoutError:
            self.page.get_by_role("button", name="Predict", exact=True).click()
            canvas.wait_for()

    def answer(self) -> str:
        return self.page.locator(ANSWER).first.inner_text()


def open_page(context: Any, address: str) -> Visit:
    visit = Visit(context.new_page())
    visit.page.set_default_timeout(300_000)  # of slow machines
    visit.page.on("console", lambda said: said.type == "error" and visit.errors.append(said.text))
    visit.page.on("pageerror", lambda error: visit.errors.append(str(error)))
    visit.page.on("request", lambda request: visit.requests.append(request.url))
    visit.page.goto(address)
    visit.page.wait_for_selector("input[type=file]", state="attached")
    return visit


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def jpeg(index: int = 0) -> bytes:
    file = io.BytesIO()
    Image.fromarray(FILM[index].permute(1, 2, 0).numpy()).save(file, "JPEG")
    return file.getvalue()


def black_png(width: int, height: int) -> bytes:
    file = io.BytesIO()
    Image.new("1", (width, height)).save(file, "PNG")
    return file.getvalue()
