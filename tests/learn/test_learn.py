"""The command from a video to depth, at the smallest size."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from mono2many.cli import main
from mono2many.errors import InputError
from mono2many.io.images import write_image
from mono2many.learn.footage import bottom_band, mask_drawn
from mono2many.learn.run import _cuts
from mono2many.learn.timing import seconds_per_step
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
    lower = torch.arange(64)[:, None].expand(3, 64, 96) >= 48
    write_image(tmp_path / "mask.png", torch.where(lower, 0, 255).to(torch.uint8))
    files = ["--camera", str(street.with_suffix(".json")), "--mask", str(tmp_path / "mask.png")]
    words = ["learn", str(street), "--out", str(out), *files, *SMALL]
    main(words)
    made = {path.name for path in out.iterdir()}
    wanted = {"learn.json", "model", "report.html", "s_depth.mp4", "s_poses_metres.tum", "score.json"}
    assert wanted < made  # in metres by s_speed.csv, which lies beside the video
    page = (out / "report.html").read_text()
    for text in ("frame step", "--frame-step", "Decisions", "trajectory, s", "mask, s: 25.0% of the pixels"):
        assert text in page
    score = json.loads((out / "score.json").read_text())
    assert 0 < score["ratio"] < 3

    capsys.readouterr()
    (out / "s_trajectory.png").unlink()  # as if it had been stopped before
    monkeypatch.setattr("mono2many.commands.train.run", lambda words: pytest.fail("trained already"))
    main([*words, "--minutes", "7"])
    said = capsys.readouterr().out
    assert "continues as decided before, for --minutes 30" in said
    assert (out / "s_trajectory.png").exists()

    error = refusal([*words[:-1], "2"], capsys)
    assert "was started with another value of --frame-step" in error


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


def test_what_did_not_begin_to_train_is_decided_anew(
    street: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuses(words: list[str]) -> None:
        raise InputError("wants a frame step of 2")

    monkeypatch.setattr("mono2many.commands.train.run", refuses)
    words = ["learn", str(street), "--out", str(tmp_path / "out"), *SMALL]
    refusal(words, capsys)
    assert refusal([*words[:-1], "2"], capsys).endswith("wants a frame step of 2\n")
    plan = json.loads((tmp_path / "out" / "learn.json").read_text())
    assert plan["flags"]["frame_step"] == 2


def test_a_training_ends_a_tenth_after_its_time(
    street: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuses(words: list[str]) -> None:
        raise InputError(f"given --max-minutes {words[words.index('--max-minutes') + 1]}")

    monkeypatch.setattr("mono2many.commands.train.run", refuses)
    monkeypatch.setattr("mono2many.learn.run.seconds_per_step", lambda flags: 0.5)
    said = refusal(["learn", str(street), "--out", str(tmp_path), *SMALL[:4], "--minutes", "100"], capsys)
    assert 100 < float(said.split()[-1]) < 110


def test_what_is_interrupted_says_that_the_same_command_continues(
    street: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stops(words: list[str]) -> None:
        raise KeyboardInterrupt("saved at step 1; continue with: mono2many train --resume")

    monkeypatch.setattr("mono2many.commands.train.run", stops)
    with pytest.raises(SystemExit) as stop:
        main(["learn", str(street), "--out", str(tmp_path / "out"), *SMALL])
    assert stop.value.code == 130
    assert capsys.readouterr().err.endswith("stopped; the same command continues\n")


def test_flags_that_do_not_fit_the_videos_are_refused_before_these_are_decoded(
    street: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_image(tmp_path / "square.png", torch.full((3, 64, 64), 255, dtype=torch.uint8))
    camera = {"width": 64, "height": 64, "fx": 50.0, "fy": 50.0, "cx": 31.5, "cy": 31.5}
    (tmp_path / "square.json").write_text(json.dumps(camera))
    for flags, said in (
        (["--mask", str(tmp_path / "square.png")], "the mask is 64x64, the video 96x64"),
        (["--mask", "none", "none"], "found 2 masks for 1 paths"),
        (["--camera", str(tmp_path / "square.json")], "is for 64x64, another aspect ratio"),
        (["--fov", "300"], "--fov is in degrees"),
        (["--height", "65", "--width", "96"], "--height must be a multiple of 32"),
    ):
        assert said in refusal(["learn", str(street), "--out", str(tmp_path / "out"), *flags], capsys)
    assert not (tmp_path / "out").exists()


def test_a_trajectory_through_cuts_is_called_arbitrary_there(tmp_path: Path) -> None:
    for cuts, said in (([], ""), ([25], "frame 25"), ([25, 50], "2 frames")):
        (tmp_path / "a.clips.json").write_text(json.dumps({"cuts": cuts}))
        assert said in _cuts(str(tmp_path / "a.clips.json"))


def test_the_time_of_a_step_is_the_median_after_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = iter([9.0, 1.0, 1.5, 5.0])  # s; the fifth would be too late
    clock = [0.0]

    def now() -> float:
        clock.append(clock[-1] + (next(taken) if len(clock) % 2 == 0 else 0.0))
        return clock[-1]

    monkeypatch.setattr("mono2many.learn.timing.time", SimpleNamespace(monotonic=now))
    flags = {"height": 64, "width": 96, "batch_size": 2, "device": "cpu", "data": ["x.mp4"]}
    assert seconds_per_step({"recipe": "scratch", "camera": "learn"} | flags) == pytest.approx(1.5)


def test_the_band_at_the_bottom_ends_where_a_row_is_not_nearly_full() -> None:
    used = torch.ones(10, 20, dtype=torch.bool)
    assert bottom_band(used) == 0
    used[8:, 2:] = False  # 90 % of two rows
    used[6:8, 5:] = False  # 75 % of two more
    used[0] = False
    assert bottom_band(used) == 0.2
    assert bottom_band(torch.zeros(4, 4, dtype=torch.bool)) == 1


def test_a_mask_is_drawn_in_red_over_what_it_leaves_out() -> None:
    image = torch.full((3, 4, 1280), 100, dtype=torch.uint8)
    used = torch.arange(1280).expand(4, 1280) < 640
    drawn = mask_drawn(image, used)
    assert drawn.shape == (3, 2, 640)
    assert drawn[:, 0, 0].tolist() == [100, 100, 100]
    assert drawn[:, 0, -1].tolist() == [178, 50, 50]  # halfway to red


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--minutes", "0"], "--minutes must be above 0"),
        (["--minutes", "nan"], "--minutes must be above 0"),
        (["--minutes", "1e9"], "below 100000"),
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
