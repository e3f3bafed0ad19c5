"""The page of a reconstruction, in a real Chromium (Debian's package)."""

import base64
from pathlib import Path

import numpy as np
import pytest
import torch
from playwright.sync_api import Browser, Page

from mono2many.io.surfaces import Surface
from mono2many.io.videos import VideoWriter
from mono2many.reconstruct import page as pages
from mono2many.reconstruct.page import Reconstruction, packed, write_page

FRAMES = 10


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A red wall five metres beside the path of a camera that goes a metre a frame."""
    folder = tmp_path_factory.mktemp("page")
    with VideoWriter(folder / "film.mp4", 10.0) as film:
        for number in range(FRAMES):
            film.write(torch.full((3, 64, 96), 20 * number, dtype=torch.uint8))
    y, z = torch.meshgrid(torch.arange(-3, 1, 0.1), torch.arange(0, 12, 0.1), indexing="ij")
    points = torch.stack([torch.full_like(y, 5.0), y, z], -1).reshape(-1, 3)
    poses = torch.eye(4, dtype=torch.float64).repeat(FRAMES, 1, 1)
    poses[:, 2, 3] = torch.arange(FRAMES)
    wall = Surface(points, torch.tensor([[230, 10, 10]], dtype=torch.uint8).expand(len(points), 3))
    times = [number / 10 for number in range(FRAMES)]
    found = Reconstruction("a </script> <b>", wall, 0.1, poses, times, (0.8, 0.5), True)
    write_page(folder / "scene.html", found, (folder / "film.mp4").read_bytes())
    return folder / "scene.html"


def opened(browser: Browser, path: Path, width: int) -> tuple[Page, list[str]]:
    page, said = browser.new_page(viewport={"width": width, "height": 800}), list[str]()
    page.set_default_timeout(300_000)  # of slow machines
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: said.append(request.url[:60]) if "http" in request.url[:4] else None)
    page.goto(path.as_uri())
    page.wait_for_function("film.readyState >= 2")
    return page, said


RED = """(() => {
const { width, height } = canvas, p = new Uint8Array(4 * width * height), found = [0, 0];
gl.readPixels(0, 0, width, height, gl.RGBA, gl.UNSIGNED_BYTE, p);
for (let i = 0; i < p.length; i += 4)
  if (p[i] > 200 && p[i + 1] < 40) found[i / 4 % width < width / 2 ? 0 : 1]++;
return found; })()"""
"""How many pixels of the wall are drawn in the left and in the right half."""


@pytest.mark.parametrize("width", [1280, 390])
def test_chromium_shows_film_path_and_points_and_has_nothing_to_say(
    browser: Browser, path: Path, width: int
) -> None:
    page, said = opened(browser, path, width)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert page.evaluate("[film.videoWidth, film.videoHeight]") == [96, 64]
    assert page.evaluate("film.duration") == pytest.approx(FRAMES / 10, abs=0.01)
    assert page.inner_text("h1") == "a </script> <b>"
    page.evaluate("film.currentTime = 0.55")
    page.wait_for_function("frame === 5")  # the dot follows
    page.click("#play")
    page.wait_for_function("frame === 7")
    page.click("#play")
    assert page.evaluate("film.paused")
    page.fill("#seek", "0.25")
    page.wait_for_function("frame === 2")
    page.click("button[data-view=camera]")
    left, right = page.evaluate(RED)  # the wall is on the right of the camera
    assert left == 0
    assert right > 1000
    page.click("button[data-view=above]")
    before = sum(page.evaluate(RED))
    box = page.locator("#cloud").bounding_box()
    assert box is not None
    middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(*middle)
    page.mouse.down()
    page.mouse.move(middle[0] + 40, middle[1] - 120)  # from the side more of the wall is seen than from above
    page.mouse.up()
    assert sum(page.evaluate(RED)) > before > 0
    page.mouse.wheel(0, 400)
    page.wait_for_timeout(100)
    assert said == []
    page.close()


def test_the_page_fetches_nothing(path: Path) -> None:
    text = path.read_text()
    assert "http:" not in text
    assert "https:" not in text
    assert "src=" not in text


def test_points_are_packed_to_a_16th_bit_of_their_extent(monkeypatch: pytest.MonkeyPatch) -> None:
    points, colours = 30 * torch.rand(50, 3) - 10, torch.randint(0, 256, (50, 3), dtype=torch.uint8)
    found = packed(Surface(points, colours))
    levels = np.frombuffer(base64.b64decode(found["points"]), "<u2").reshape(-1, 3)
    back = np.array(found["low"]) + levels * np.array(found["step"])
    assert abs(back - points.numpy()).max() <= 30 / 65535
    assert base64.b64decode(found["colours"]) == colours.numpy().tobytes()
    monkeypatch.setattr(pages, "MOST_POINTS", 20)
    assert packed(Surface(points, colours))["count"] == 20
