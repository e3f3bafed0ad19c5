"""The command from a video to depth, at the smallest size."""

import json
from pathlib import Path

import pytest

from mono2many.cli import main
from mono2many.street.reader import StreetSettings
from mono2many.street.video import write_street_video

SMALL = ["--height", "64", "--width", "96", "--steps", "2", "--frame-step", "1"]


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("street")
    write_street_video(folder / "s.mp4", StreetSettings(frames=44, height=64, width=96), scene=0)
    return folder / "s.mp4"


def refusal(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    return capsys.readouterr().err


def test_one_command_makes_everything_and_goes_on_where_it_was_stopped(
    street: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MONO2MANY_CACHE", str(tmp_path / "cache"))
    out = tmp_path / "out"
    words = ["learn", str(street), "--out", str(out), "--camera", str(street.with_suffix(".json")), *SMALL]
    main(words)
    made = {path.name for path in out.iterdir()}
    wanted = {"learn.json", "model", "report.html", "s_depth.mp4", "s_poses_metres.tum", "score.json"}
    assert wanted < made  # in metres by s_speed.csv, which lies beside the video
    page = (out / "report.html").read_text()
    for text in ("frame step", "--frame-step", "Decisions", "trajectory, s"):
        assert text in page
    score = json.loads((out / "score.json").read_text())
    assert 0 < score["ratio"] < 3

    capsys.readouterr()
    (out / "s_trajectory.png").unlink()  # as if it had been stopped before
    main(words)
    said = capsys.readouterr().out
    assert "continues as decided before" in said
    assert (out / "s_trajectory.png").exists()

    error = refusal([*words[:-1], "2"], capsys)
    assert "was begun with another value of --frame-step" in error


def test_a_static_camera_is_refused_with_what_was_seen(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    film = tmp_path / "still.mp4"
    write_street_video(film, StreetSettings(frames=44, height=64, width=96, step=0.0, moving=False), scene=0)
    error = refusal(["learn", str(film), "--out", str(tmp_path / "out")], capsys)
    assert "nothing is left of 44 frames" in error
    assert not (tmp_path / "out" / "learn.json").exists()


def test_too_short_a_video_is_refused(
    street: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    film = tmp_path / "short.mp4"
    write_street_video(film, StreetSettings(frames=20, height=64, width=96), scene=0)
    error = refusal(["learn", str(film), "--out", str(tmp_path / "out")], capsys)
    assert "20 usable frames" in error


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--minutes", "0"], "--minutes must be above 0"),
        (["--height", "96"], "--height and --width belong together"),
        (["--camera", "absent.json"], "absent.json: no such file"),
        (["--start-from", "absent"], "absent"),
        (["--fov", "60", "--camera", "x.json"], "both given"),
    ],
)
def test_mistakes_are_named_before_anything_is_decoded(
    street: Path, flags: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert said in refusal(["learn", str(street), *flags], capsys)
