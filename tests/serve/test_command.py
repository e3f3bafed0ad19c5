"""`mono2many serve` from its flags to its end."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mono2many.cli import main
from mono2many.io.depth_files import read_depth
from mono2many.io.videos import VideoWriter, probe_video, video_frames
from mono2many.predict.predictor import Predictor
from mono2many.serve.limits import Limits
from mono2many.serve.upload import predict_upload
from mono2many.types import InputError
from page_visits import LIMITS, free_port, jpeg
from small_models import FILM


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--port 0", "--port must lie in 1 .. 65535, got 0"),
        ("--port 99999", "--port must lie in 1 .. 65535, got 99999"),
        ("--max-seconds 0", "--max-seconds must be positive, got 0"),
        ("--max-megabytes -1", "--max-megabytes must be positive, got -1"),
        ("--max-megapixels nan", "--max-megapixels must be positive, got nan"),
        ("--keep-minutes 0", "--keep-minutes must be positive, got 0"),
        ("--model absent", "absent/config.json: no such file"),
        ("--model", "--model: name a model folder"),
    ],
)
def test_a_bad_flag_is_one_line(capsys: pytest.CaptureFixture[str], words: str, said: str) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["serve", *words.split()])
    assert stop.value.code == 2
    line = capsys.readouterr().err
    assert said in line
    assert line.count("\n") == 1


def test_without_gradio_the_extra_is_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "gradio", None)
    for name in ("GRADIO_ANALYTICS_ENABLED", "HF_HUB_OFFLINE"):
        monkeypatch.setenv(name, "1")  # which the command sets
    with pytest.raises(SystemExit):
        main(["serve"])
    assert "pip install 'mono2many[web]'" in capsys.readouterr().err


def test_it_notes_a_wider_host_and_leaves_nothing_when_it_is_stopped(tmp_path: Path) -> None:
    words = ["serve", "--port", str(free_port()), "--host", "0.0.0.0"]
    server = subprocess.Popen(
        [sys.executable, "-u", "-m", "mono2many", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    assert server.stdout is not None
    assert re.match(r"starter at http://\S+", server.stdout.readline())
    assert len(list(tmp_path.glob("mono2many-serve-*"))) == 1
    server.send_signal(signal.SIGTERM)
    _, said = server.communicate(timeout=300)
    assert server.returncode == 143
    assert "--host 0.0.0.0: whoever reaches this machine can use the page" in said
    assert "Traceback" not in said
    assert list(tmp_path.glob("mono2many-serve-*")) == []


def nothing(done: int, total: int) -> None:
    pass


def test_a_video_is_predicted_as_far_as_the_time_reaches(
    predictors: dict[str, Predictor], tmp_path: Path
) -> None:
    with VideoWriter(tmp_path / "drive.mp4", 10.0) as writer:
        for image in FILM:
            writer.write(image)
    hurry, counted = Limits(max_seconds=1e-9), list[tuple[int, int]]()
    found = predict_upload(
        predictors["one"],
        tmp_path / "drive.mp4",
        tmp_path / "made",
        65.0,
        hurry,
        lambda done, total: counted.append((done, total)),
    )
    assert found.note == "the first 1 frames of 6: this page computes 1e-09 s at most"
    assert counted == [(1, 6)]
    assert found.video is not None
    assert probe_video(found.video).frames == 1
    depth = read_depth(tmp_path / "made" / "drive_depth.npy", 1.0)
    expected = predictors["one"](next(video_frames(tmp_path / "drive.mp4"))).depth
    assert bool((depth == expected).all())


def test_what_is_larger_than_the_limits_is_refused(predictors: dict[str, Predictor], tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(jpeg() + bytes(1_000_000))
    with pytest.raises(InputError, match=r"photo\.jpg: has 1\.0 MB; this page takes up to 1"):
        predict_upload(predictors["one"], tmp_path / "photo.jpg", tmp_path, 65.0, LIMITS, nothing)
    with VideoWriter(tmp_path / "drive.mp4", 10.0) as writer:
        writer.write(FILM[0])
    small = Limits(max_megapixels=0.001)
    with pytest.raises(
        InputError, match=r"drive\.mp4: 96x64 is 0\.0 megapixels; this page takes up to 0\.001"
    ):
        predict_upload(predictors["one"], tmp_path / "drive.mp4", tmp_path, 65.0, small, nothing)
