"""The web page in a real browser."""

import os
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page

from mono2many.geometry.camera import intrinsics_from_fov
from mono2many.io.depth_files import read_depth
from mono2many.io.videos import VideoWriter, probe_video, video_frames
from mono2many.predict.predictor import Predictor
from page_visits import Visit, black_png, jpeg, open_page
from small_models import FILM


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("video") / "a.mp4"
    with VideoWriter(path, 10.0) as writer:
        for image in FILM:
            writer.write(image)
    return path.read_bytes()


def download(page: Page, name: str, folder: Path) -> Path:
    with page.expect_download() as started:
        page.get_by_role("link", name=name, exact=True).click()
    started.value.save_as(folder / name)
    return folder / name


def test_an_image_shows_its_depth_under_the_cursor_and_as_files(visit: Visit, tmp_path: Path) -> None:
    page = visit.page
    assert "photo.jpg. Depth is known up to scale." in visit.upload("photo.jpg", jpeg())
    stage = page.locator(".m2m-stage")
    stage.hover(position={"x": 100, "y": 80})
    page.wait_for_function("document.querySelector('output').textContent.startsWith('pixel')")
    x, y, said = re.findall(r"\d[\d.e+-]*", page.locator("output").inner_text())
    box = stage.bounding_box()
    assert box is not None
    assert (int(x), int(y)) == (int(100 / box["width"] * 96), int(80 / box["height"] * 64))
    depth = np.load(download(page, "photo_depth.npy", tmp_path))
    assert depth.shape == (64, 96)
    assert float(said) == pytest.approx(float(depth[int(y), int(x)]), rel=1e-3)
    png = read_depth(download(page, "photo_depth.png", tmp_path), 256.0).numpy()
    assert np.allclose(png, depth, rtol=0.01)
    assert Image.open(download(page, "photo_disparity.png", tmp_path)).size == (96, 64)
    assert download(page, "scene.glb", tmp_path).read_bytes().startswith(b"glTF")
    page.locator(".m2m-result input").fill("20")
    assert "80%" in (page.locator(".m2m-colour").get_attribute("style") or "")
    visit.wait_for_scene()
    page.wait_for_load_state("networkidle")
    assert visit.errors == []


def test_nothing_is_fetched_from_elsewhere(
    visit: Visit, address: str, connections: list[tuple[object, ...]]
) -> None:
    visit.page.locator("#samples button").nth(2).click()
    assert "24 frames" in visit.answer()
    visit.wait_for_scene()
    visit.page.wait_for_load_state("networkidle")
    assert len(visit.requests) > 10
    assert [url for url in visit.requests if not url.startswith((address, "data:", "blob:"))] == []
    hosts = {str(place[0]) for place in connections}  # those of this process, which is the server, too
    assert hosts <= {"127.0.0.1", "localhost"}
    assert hosts
    assert visit.errors == []


@pytest.mark.parametrize("model", ["one", "many"])
def test_a_video_becomes_a_video_of_depth_that_each_frame_shows_under_the_cursor(
    visit: Visit, predictors: dict[str, Predictor], video: bytes, tmp_path: Path, model: str
) -> None:
    visit.page.get_by_label("Model").click()
    visit.page.get_by_role("option", name=model).click()
    assert "6 frames" in visit.upload("drive.mp4", video)
    made = probe_video(download(visit.page, "drive_depth.mp4", tmp_path))
    assert (made.width, made.height, made.frames, made.fps) == (192, 64, 6, 10.0)
    shown = visit.page.locator("video")
    assert shown.evaluate("v => v.error === null")
    shown.evaluate("v => new Promise(done => { v.onseeked = done; v.pause(); v.currentTime = 0.32; })")
    box = shown.evaluate("v => [v.clientWidth, v.clientHeight, v.videoWidth, v.videoHeight]")
    scale = min(box[0] / box[2], box[1] / box[3])
    assert box[1] >= 64 * scale + 60, "the controls lie below the frames"
    of_cell = {"x": box[0] / 2 + (48.5 - 96) * scale, "y": 32.5 * scale}
    shown.hover(position=of_cell)
    visit.page.wait_for_function("document.querySelector('output').textContent.includes('0.30 s: depth')")
    said = float(visit.page.locator("output").first.inner_text().split()[3])
    stream = predictors[model].stream(intrinsics_from_fov(65.0, 96, 64))
    (tmp_path / "drive.mp4").write_bytes(video)
    depths = [stream(image).depth for image in video_frames(tmp_path / "drive.mp4")]
    assert said == pytest.approx(float(depths[3][32, 48]), rel=1e-3)
    assert visit.errors == []


def bad_files(video: bytes) -> dict[str, tuple[bytes, str]]:
    """Each with a part of what is said of it."""
    return {
        "text.jpg": (b"hello", "text.jpg: cannot be read as an image"),
        "empty.mp4": (b"", "empty.mp4: cannot be opened as a video"),
        "cut.mp4": (video[:-1000], "cut.mp4: "),
        "cut.jpg": (jpeg()[:-500], "cut.jpg: cannot be read as an image"),
        "huge.png": (black_png(30_000, 30_000), "huge.png: the image is too large"),
        "wide.png": (
            black_png(6000, 5000),
            "wide.png: 6000x5000 is 30.0 megapixels; this page takes up to 25",
        ),
        "large.png": (os.urandom(1_100_000), "maximum allowed size"),
        "notes.txt": (b"hello", "notes.txt: neither an image nor a video"),
    }


def test_each_bad_file_is_answered_with_its_reason(visit: Visit, video: bytes) -> None:
    for name, (data, said) in bad_files(video).items():
        answer = visit.upload(name, data)
        assert said in answer
        assert "/tmp" not in answer
        visit.page.reload()
    answer = visit.upload("../../a/..b<img src=x>.jpg", jpeg())
    assert "Depth is known up to scale" in answer
    assert "../" not in answer
    assert visit.page.locator("img[src=x]").count() == 0


def test_a_phone_scrolls_downwards_only(browser: Browser, address: str, video: bytes) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    visit = open_page(context, address)
    name = "a_very_long_name_that_no_phone_shows_in_one_line_of_text_at_all"
    for file, data in ((f"{name}.jpg", jpeg()), (f"{name}.mp4", video), (f"{name}.png", b"bad")):
        visit.upload(file, data)
        assert visit.page.evaluate("document.documentElement.scrollWidth") == 390
        visit.page.reload()
    context.close()
