"""The page: what it consists of, and the server that shows it. Nothing is fetched from elsewhere."""

import os
import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp
from threading import Event, Thread
from time import time
from types import ModuleType
from typing import Any

from jinja2 import Environment, PackageLoader

from mono2many.errors import InputError, library, one_line
from mono2many.io.images import write_image
from mono2many.predict.predictor import Predictor
from mono2many.serve.limits import Limits
from mono2many.serve.upload import HowFar, predict_upload
from mono2many.street.reader import StreetSettings, SyntheticReader
from mono2many.street.video import write_street_video

HERE = Path(__file__).parent
WAITING = 100
"""Uploads that may wait; more are refused with a message."""
EMPTY = "Upload an image or a video, or choose a street."
TO_RESULT = "() => document.querySelector('#result').scrollIntoView({block: 'nearest'})"


@contextmanager
def serving(predictors: Mapping[str, Predictor], host: str, port: int, limits: Limits) -> Iterator[str]:
    """Shows the page while the block lasts; gives its address. Uploads and results lie in a folder of their
    own and are removed as `limits` say, all at the end. InputError where the port cannot be used or Gradio is
    not installed."""
    made = TemporaryDirectory(prefix="mono2many-serve-", ignore_cleanup_errors=True)
    with made as name, _temporary(f"{name}/uploads"):
        gr, folder, ended = library("gradio", "web"), Path(name), Event()
        page = build_page(gr, predictors, folder, limits)
        page.queue(max_size=WAITING, default_concurrency_limit=1)
        own = {folder / "uploads", *folder.rglob("*")}
        parts = {"share": False, "ssr_mode": False, "pwa": False, "mcp_server": False, "footer_links": []}
        looks = {
            "theme": gr.themes.Base(font=("system-ui", "sans-serif"), font_mono=("monospace",)),
            "css_paths": HERE / "viewer.css",
            "head": f"<script>{(HERE / 'viewer.js').read_text()}</script>",
        }
        bounds = {"allowed_paths": [name], "max_file_size": round(limits.max_megabytes * 1e6)}
        place = {
            "server_name": host,
            "server_port": port,
            "prevent_thread_lock": True,
            "quiet": True,
            "show_error": True,
        }
        try:
            _, address, _ = page.launch(**place, **bounds, **parts, **looks)
        except OSError as error:
            raise InputError(f"--port {port} of --host {host} cannot be used; give another") from error
        Thread(target=_remove_old, args=(folder, own, 60 * limits.keep_minutes, ended), daemon=True).start()
        try:
            yield address
        finally:
            ended.set()
            page.close(verbose=False)


def build_page(gr: ModuleType, predictors: Mapping[str, Predictor], folder: Path, limits: Limits) -> Any:
    """A gr.Blocks whose files lie in `folder`."""
    stills, streets = draw_samples(folder / "samples")
    with gr.Blocks(title="mono2many", analytics_enabled=False) as page:
        gr.Markdown("# mono2many: depth of an image or a video")
        with gr.Row():
            with gr.Column(scale=2):
                upload = gr.File(label="Image or video", type="filepath")
                model = gr.Dropdown([*predictors], value=next(iter(predictors)), label="Model")
                fov = gr.Slider(20, 120, 65, step=1, label="Horizontal field of view in degrees (for 3D)")
                start = gr.Button("Predict", variant="primary")
                chosen = gr.Dataset(
                    components=[gr.Image(render=False)],
                    samples=[[str(still)] for still in stills],
                    type="index",
                    label="Streets to try: a town, a country road, a video",
                    elem_id="samples",
                )
                gr.Markdown(str(limits))
            with gr.Column(scale=3):
                result = gr.HTML(_render(message=EMPTY), js_on_load=None, elem_id="result")
                scene = gr.Model3D(label="3D: drag to turn", height=380)

        def answer(upload: str | None, model: str, fov: int | float, progress: Any = gr.Progress()) -> Any:  # noqa: B008
            def how_far(done: int, total: int) -> None:
                progress((done, total or None), unit="frames")

            html, glb, distance = predicted(upload, predictors[model], folder, float(fov), limits, how_far)
            seen_from = (90, 85, distance)  # where the camera was
            return html, gr.Model3D(glb, camera_position=seen_from) if glb else None

        what = {"fn": answer, "inputs": [upload, model, fov], "outputs": [result, scene], "concurrency_id": 1}
        asked = gr.on([upload.upload, start.click], **what)
        sample = chosen.click(lambda index: str(streets[index]), chosen, upload).then(**what)
        for event in (asked, sample):
            event.then(None, js=TO_RESULT)
    return page


def predicted(
    upload: str | None, predictor: Predictor, folder: Path, fov: float, limits: Limits, how_far: HowFar
) -> tuple[str, str | None, float]:
    """The result as HTML, the path of its 3D scene, and how far that is away; or a message, None and 0."""
    if upload is None:
        return _render(message=EMPTY), None, 0.0
    path, made = Path(upload), Path(mkdtemp(prefix="result-", dir=folder))
    try:
        found = predict_upload(predictor, path, made, fov, limits, how_far)
    except InputError as error:
        return _render(error=one_line(str(error)).replace(f"{path.parent}/", "")), None, 0.0
    except Exception:  # a mistake of ours, which must not leave the user without an answer
        traceback.print_exc(file=sys.stderr)
        return _render(error=f"{path.name}: something went wrong on the server; try another file"), None, 0.0
    return _render(r=found, name=path.name), str(found.scene), found.distance


def _render(**values: Any) -> str:
    page = Environment(loader=PackageLoader("mono2many.serve", ""), autoescape=True)
    return page.get_template("result.html.jinja").render(values)


def draw_samples(folder: Path) -> tuple[list[Path], list[Path]]:
    """Images that stand for the samples, and the samples: two images and a video of the procedural street."""
    stills = [folder / f"{name}.jpg" for name in ("town", "country", "drive")]
    for path, variety, scene in zip(stills, ("town", "wide", "town"), (0, 8, 2), strict=True):
        settings = StreetSettings(scene + 1, 1, 192, 640, variety=variety)  # type: ignore[arg-type]
        write_image(path, SyntheticReader(settings, "test").frame(scene, 0).image)
    video = StreetSettings(frames=24, height=128, width=416)
    return stills, [*stills[:2], write_street_video(folder / "drive.mp4", video, scene=2)[0]]


@contextmanager
def _temporary(folder: str) -> Iterator[None]:
    """Gradio writes there."""
    before = os.environ.get("GRADIO_TEMP_DIR")
    os.environ["GRADIO_TEMP_DIR"] = folder
    try:
        yield
    finally:
        del os.environ["GRADIO_TEMP_DIR"]
        os.environ |= {} if before is None else {"GRADIO_TEMP_DIR": before}


def _remove_old(folder: Path, own: set[Path], seconds: float, ended: Event) -> None:
    """Every so often, the files older than that, and then their folders."""
    while not ended.wait(min(30.0, seconds / 4)):
        for root, folders, files in os.walk(folder, topdown=False):
            for path in (Path(root, name) for name in (*files, *folders)):
                with suppress(OSError):  # removed meanwhile, or a folder with files
                    if path not in own and time() - path.stat().st_mtime > seconds:
                        path.rmdir() if path.is_dir() else path.unlink()
