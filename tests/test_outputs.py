"""Outputs are whole or not there, whatever ends the program, and never take the place of an input."""

import gc
import multiprocessing
import os
import resource
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mono2many.cli import main
from mono2many.errors import InputError
from mono2many.files import atomic_write, remove_partial, write_text, writing
from mono2many.io.colour import colour_disparity
from mono2many.io.depth_files import write_depth_npy, write_depth_png16
from mono2many.io.images import write_image
from mono2many.io.trajectories import draw_trajectories, write_poses
from mono2many.io.videos import VideoWriter, probe_video, video_frames
from mono2many.models.architecture import MonoArchitecture
from mono2many.models.checkpoint import ModelCard, save_model
from mono2many.models.mono import MonoDepth
from mono2many.predict import files
from mono2many.predict.files import predict_files
from mono2many.predict.inputs import Input
from mono2many.predict.outputs import check_outputs
from mono2many.predict.predictor import Predictor
from mono2many.predict.trajectory import predict_trajectories

LIGHT = MonoArchitecture("light", "light", scales=1, pose_type="light")


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return Predictor(MonoDepth(LIGHT), ModelCard(LIGHT, 64, 64))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("model")
    save_model(folder, MonoDepth(LIGHT), ModelCard(LIGHT, 64, 64))
    return str(folder)


def picture(height: int = 32, width: int = 48) -> torch.Tensor:
    return torch.randint(0, 256, (3, height, width), dtype=torch.uint8)


def film(path: Path, frames: int = 4) -> str:
    with VideoWriter(path, 10.0) as video:
        for _ in range(frames):
            video.write(picture())
    return str(path)


@contextmanager
def disk(limit: int) -> Iterator[None]:
    """On which no file can be larger; a full one fails at the same calls."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        gc.collect()  # what an error keeps is freed: Python 3.12.1 crashes then on a buffer lent by BytesIO


def files_in(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("limit", [0, 50, 700])
@pytest.mark.parametrize("kind", ["video", "npy", "png16", "image", "poses", "plot", "text"])
def test_what_the_disk_does_not_hold_is_not_there_and_one_line_says_so(
    tmp_path: Path, kind: str, limit: int
) -> None:
    path, depth = tmp_path / "new" / "x.png", torch.rand(40, 50) + 1
    poses = torch.eye(4, dtype=torch.float64).repeat(20, 1, 1)
    write = {
        "video": lambda: film(path),
        "npy": lambda: write_depth_npy(path, depth),
        "png16": lambda: write_depth_png16(path, depth),
        "image": lambda: write_image(path, colour_disparity(depth)),
        "poses": lambda: write_poses(path, poses, "kitti", []),
        "plot": lambda: draw_trajectories(path, {"a": {"b": poses}}, "m"),
        "text": lambda: write_text(path, "a" * 2000),
    }[kind]
    with disk(limit), pytest.raises(InputError, match=r"x\.png: the disk is full"):
        write()
    assert files_in(tmp_path) == []
    write()
    assert files_in(tmp_path) == ["new/x.png"]


@pytest.mark.parametrize(("stop", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_leaves_complete_files_and_says_how_far_predict_came(
    model: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    stop: signal.Signals,
    status: int,
) -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where tests run in the background
    source, out, taken = film(tmp_path / "film.mp4"), tmp_path / "out", []
    paint = files.colour_disparity

    def painted(*arguments: torch.Tensor) -> torch.Tensor:
        taken.append(arguments)
        if len(taken) == 3:
            signal.raise_signal(stop)
        return paint(*arguments)

    monkeypatch.setattr(files, "colour_disparity", painted)
    with pytest.raises(SystemExit) as ended:
        main(["predict", source, "--model", model, "--out", str(out), "--save", "video", "npy"])
    assert ended.value.code == status
    shape, said = capsys.readouterr().err.splitlines()
    assert "images of 48x32 are squeezed to the model's 64x64" in shape
    assert said == f"mono2many predict: stopped; came to frame 2 of film.mp4, 2 complete files in {out}"
    assert files_in(out) == ["film/000000_depth.npy", "film/000001_depth.npy"]


def test_a_full_disk_says_how_far_predict_came(
    predictor: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b"):
        write_image(tmp_path / "in" / f"{name}.png", picture())
    monkeypatch.setattr(files, "write_depth", lambda stem, *_: predict_one(stem))

    def predict_one(stem: Path) -> list[Path]:
        with disk(9 if stem.name == "b" else 99):
            write_text(stem, "twenty bytes of depth")
        return [stem]

    with pytest.raises(InputError, match=r"b: the disk is full.*came to frame 1 of in, 1 complete file in"):
        predict_files(predictor, [str(tmp_path / "in")], tmp_path / "out")
    assert files_in(tmp_path / "out") == ["in/a"]


def write_forever(folder: Path) -> None:
    with VideoWriter(folder / "x.mp4", 10.0) as video, atomic_write(folder / "y.txt") as temporary:
        temporary.write_text("half")
        while True:
            video.write(picture())


def test_a_killed_process_leaves_nothing_under_a_final_name_and_the_next_tidies_up(tmp_path: Path) -> None:
    process = multiprocessing.get_context("fork").Process(target=write_forever, args=(tmp_path,))
    process.start()
    until = time.monotonic() + 30
    while len(files_in(tmp_path)) < 2 and time.monotonic() < until:
        time.sleep(0.01)
    there = files_in(tmp_path)
    assert [name[:6] for name in there] == [".x.mp4", ".y.txt"]
    remove_partial(tmp_path)  # of a process that lives
    assert files_in(tmp_path) == there
    process.kill()
    process.join()
    (tmp_path / ".yours.part").touch()
    remove_partial(tmp_path)
    assert files_in(tmp_path) == [".yours.part"]


def test_a_pipe_is_written_as_it_is_a_link_stays_one_and_a_protected_file_stays(tmp_path: Path) -> None:
    read, write = os.pipe()
    write_text(f"/dev/fd/{write}", "through")
    assert os.read(read, 99) == b"through"
    write_text(os.devnull, "nowhere")
    assert not Path(os.devnull).is_file()
    (tmp_path / "link").symlink_to(tmp_path / "far.txt")
    write_text(tmp_path / "link", "there")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "far.txt").read_text() == "there"
    write_text(tmp_path / ("long" * 62 + ".txt"), "a")  # 252 bytes, and file systems allow 255


def test_two_inputs_with_one_output_are_refused_before_anything_is_written(
    predictor: Predictor, tmp_path: Path
) -> None:
    write_image(tmp_path / "seq" / "000001.png", picture())
    both = [str(tmp_path / "seq"), film(tmp_path / "seq.mp4")]
    out = tmp_path / "out"
    for inputs, save in ((both, ["npy"]), (both[::-1], ["video", "colour"]), ([both[1]] * 2, [])):
        with pytest.raises(InputError, match=r"both be written as .*seq"):
            predict_files(predictor, inputs, out, save)
    with pytest.raises(InputError, match=r"both be written as .*seq_trajectory\.png"):
        predict_trajectories(predictor, both, out, ["kitti"])
    write_image(tmp_path / "kitti" / "a.png", picture())
    write_image(tmp_path / "a_depth.png", picture())
    metric = Predictor(predictor.model, ModelCard(LIGHT, 64, 96, 0.0, "metres", 7.0))
    inputs = [str(tmp_path / "a_depth.png"), str(tmp_path / "kitti")]
    assert predict_files(metric, inputs, out / "metric", ["npy"])  # kitti/a_depth_metres.npy is another
    assert not (out / "seq").exists()
    written = predict_files(predictor, both, out)  # files of the folder's images, one of the video
    assert len(written) == 4


def test_an_input_is_never_replaced_whatever_its_name(predictor: Predictor, tmp_path: Path) -> None:
    first, second = film(tmp_path / "a.mp4"), film(tmp_path / "other" / "b.mp4")
    (tmp_path / "a_depth.mp4").symlink_to(second)
    before = Path(second).read_bytes()
    with pytest.raises(InputError, match=r"a_depth\.mp4 is an input"):
        predict_files(predictor, [first, second], tmp_path)
    (tmp_path / "a_depth.mp4").unlink()
    os.link(second, tmp_path / "a_depth.mp4")
    with pytest.raises(InputError, match=r"a_depth\.mp4 is an input"):
        predict_files(predictor, [first, second], tmp_path)
    write_image(tmp_path / "trip" / "x.png", picture())
    write_image(tmp_path / "trip" / "x_disparity.png", picture())
    with pytest.raises(InputError, match=r"x_disparity\.png is an input"):
        predict_files(predictor, [str(tmp_path / "trip")], tmp_path)
    write_image(tmp_path / "a" / "000000_disparity.png", picture())
    with pytest.raises(InputError, match=r"a is an input"):
        predict_files(predictor, [first, str(tmp_path / "a" / "000000_disparity.png")], tmp_path, ["colour"])
    assert Path(second).read_bytes() == before


def test_checking_thousands_of_images_takes_no_time(tmp_path: Path) -> None:
    images = [tmp_path / f"{number}.png" for number in range(2000)]
    one = Input("many", tmp_path, images)
    began = time.process_time()
    check_outputs([one], files.outputs_of(one, tmp_path, (), metric=False))
    assert time.process_time() - began < 2


def test_a_video_that_fails_is_not_there(tmp_path: Path) -> None:
    def fail(video: VideoWriter | None = None) -> None:
        if video is not None:
            video.write(picture())
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), VideoWriter(tmp_path / "x.mp4", 10.0) as video:
        fail(video)
    assert files_in(tmp_path) == []
    with pytest.raises(ZeroDivisionError), writing(tmp_path / "x.npy"):
        fail()
    assert files_in(tmp_path) == []


def test_names_that_look_like_protocols_or_are_not_utf8_are_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("12:30.mp4", "drive%03d.mp4", os.fsdecode(b"caf\xe9\n[b].mp4")):
        assert probe_video(film(Path(name), 2)).frames == 2
        assert len(list(video_frames(name))) == 2
    Image.fromarray(np.zeros((2, 2, 3), np.uint8)).save(os.fsdecode(b"caf\xe9.png"))
