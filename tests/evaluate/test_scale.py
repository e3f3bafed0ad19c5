"""Metric scale: planes and paths whose height and length are known, and the folder that remembers it."""

import json
import shutil
from dataclasses import replace
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console
from torch import Tensor

from mono2many import load
from mono2many.cli import main
from mono2many.datasets.choice import DataConfig
from mono2many.datasets.street import StreetScoring
from mono2many.datasets.video import VideoData
from mono2many.errors import InputError
from mono2many.evaluate.depth import METRIC, Row, compare, score_frames
from mono2many.evaluate.frames import EvalSet, reader_frames
from mono2many.evaluate.predictors import Method
from mono2many.evaluate.run import open_as_trained
from mono2many.evaluate.scale import (
    Look,
    from_heights,
    from_path,
    ground_height,
    heights,
    lower_middle,
    store,
)
from mono2many.evaluate.settings import EvaluateConfig
from mono2many.geometry.camera import intrinsics_matrix
from mono2many.geometry.warp import pixel_rays
from mono2many.io.speed_file import metres_along, read_speed
from mono2many.metrics.protocol import PROTOCOLS
from mono2many.models.architecture import MonoArchitecture
from mono2many.models.checkpoint import ModelCard, read_card, save_model
from mono2many.models.mono import MonoDepth
from mono2many.street.reader import StreetSettings, SyntheticReader
from mono2many.types import Frame, FrameSequence
from track_files import add_gpmf, gps5, gpx

LIGHT = MonoArchitecture("light", "light", scales=1, pose_type="light")
K = intrinsics_matrix(186.0, 186.0, 159.5, 47.5)


def road_below(height: float, tilt: float = 0.0) -> Tensor:
    """Depth of a plane `height` below a camera, going down by `tilt` metres per metre ahead."""
    rays = pixel_rays(K[None], 96, 320)[0]
    disparity = (rays[1] - tilt * rays[2]) / (height * np.hypot(1, tilt))
    return 1 / disparity.clamp(min=0.01).unflatten(0, (96, 320))


def height_of(depth: Tensor, tilt: float = 0.0) -> float | None:
    return ground_height(lower_middle(depth[None], K[None])[0], tilt)


@pytest.mark.parametrize("tilt", [0.0, 0.1, -0.05])
def test_the_height_above_a_plane_is_found_however_the_camera_looks_at_it(tilt: float) -> None:
    assert height_of(road_below(1.6, tilt), tilt) == pytest.approx(1.6, rel=1e-3)


def test_noise_a_car_ahead_and_a_house_beside_do_not_move_the_ground() -> None:
    depth = road_below(1.6)
    depth[40:80, 130:170] = 10  # the back of a car
    depth[:, 200:] = depth[:, 200:].clamp(max=6)  # a wall
    noisy = depth * (1 + 0.02 * torch.randn(96, 320))
    found = height_of(noisy)
    assert found == pytest.approx(1.6, rel=5e-3)
    assert height_of(noisy) == found


def test_a_wall_is_no_ground() -> None:
    assert height_of(torch.full((96, 320), 5.0)) is None
    assert height_of(10 ** (2 * torch.rand(96, 320))) is None


def test_the_road_is_as_steep_as_the_cameras_way() -> None:
    ground = lower_middle(road_below(1.6, 0.1)[None], K[None])[0]
    down = [Look(0, i, torch.tensor([0.3, 0.1, 1.0]), ground) for i in range(3)]
    standing = Look(0, 3, torch.tensor([0.0, 0.02, -0.02]), ground)
    assert heights([*down, standing]) == pytest.approx([1.6] * 4, rel=1e-3)
    never_moved = Look(1, 0, torch.tensor([0.0, 0.02, 0.01]), ground)
    assert heights([*down, never_moved])[-1] is None


def test_the_factor_is_the_middle_one_of_the_images_that_show_ground() -> None:
    estimate = from_heights(1.6, [0.8, None, 0.4, 0.32])  # 2, 4 and 5 metres per unit
    assert estimate.factor == pytest.approx(4)
    assert estimate.spread == pytest.approx(np.std([2, 4, 5]) / 4)
    assert "3 of 4" in estimate.seen
    with pytest.raises(InputError, match="none of 2 images"):
        from_heights(1.6, [None, None])


def test_the_factor_of_a_path_is_its_length_and_standing_still_does_not_count() -> None:
    true = np.array([2.0, 0.0, 4.0, 0.0])
    estimate = from_path(np.array([0.5, 7.0, 1.0, 7.0]), true)
    assert estimate.factor == pytest.approx(6 / 1.5)
    with pytest.raises(InputError, match="0 metres long"):
        from_path(np.ones(3), np.zeros(3))


def test_the_spread_of_a_path_is_that_of_its_parts() -> None:
    assert from_path(np.ones(12), np.full(12, 3.0)).spread is None  # one estimate agrees with itself
    estimate = from_path(np.ones(20), np.repeat([3.0, 5.0], 10))
    assert (estimate.factor, estimate.spread) == (4, 0.25)


def test_the_error_of_the_factor_is_the_sample_deviation_over_the_root_of_the_number() -> None:
    assert from_path(np.ones(12), np.full(12, 3.0)).error is None
    estimate = from_path(np.ones(40), np.repeat([2.0, 4.0, 4.0, 6.0], 10))
    # s2 = (4 + 0 + 0 + 4) / 3; s / sqrt(4) / 4
    assert estimate.error == pytest.approx(np.sqrt(8 / 3) / 2 / 4)


def csv(folder: Path, text: str) -> Path:
    (folder / "speed.csv").write_text(text)
    return folder / "speed.csv"


def test_speed_between_two_lines_changes_evenly_and_outside_them_nothing_is_known(tmp_path: Path) -> None:
    table = read_speed(csv(tmp_path, "Time, Speed\n0, 10\n2, 20\n"))
    clip = FrameSequence("film", 4, times=(0.0, 1.0, 2.0, 3.0))
    # the trapezia below 10 .. 20 m/s in 2 s: 30 m, read off on a straight line
    np.testing.assert_allclose(metres_along(table, "speed.csv", clip), [0, 15, 30, np.nan])


def test_images_are_found_by_their_number(tmp_path: Path) -> None:
    clip = FrameSequence("folder", 3)
    table = read_speed(csv(tmp_path, "frame,time,speed\n0,0,10\n1,0.1,10\n2,0.2,20\n"))
    np.testing.assert_allclose(metres_along(table, "", clip), [0, 1, 2.5])
    with pytest.raises(InputError, match="add a column frame"):
        metres_along(read_speed(csv(tmp_path, "time,speed\n0,1\n1,1\n")), "speed.csv", clip)
    with pytest.raises(InputError, match="give the folder itself"):
        metres_along(table, "speed.csv", FrameSequence("folder#1", 3))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "columns are nothing; wanted"),
        ("time,velocity\n0,1\n1,1\n", "columns are time, velocity; wanted"),
        ("time,speed\n0,1\n", "1 lines below the header"),
        ("time,speed\n0,1\n1,fast\n", "speed of line 2"),
        ("time,speed\n0,1\n1,-3\n", "speed of line 2"),
        ("time,speed\n1,1\n0,1\n", "time must grow"),
        ("time,speed\n0,1\n1\n", "cannot be read as CSV"),
    ],
)
def test_a_speed_file_that_is_none_is_one_line(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(InputError, match=words) as wrong:
        read_speed(csv(tmp_path, text))
    assert "speed.csv" in str(wrong.value)
    assert "\n" not in str(wrong.value)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_model(tmp_path / "model", MonoDepth(LIGHT), ModelCard(LIGHT, 64, 96, trained_on="a street"))
    return tmp_path / "model"


def test_the_folder_remembers_the_factor_and_nothing_else_changes(folder: Path) -> None:
    weights, before = (folder / "model.safetensors").read_bytes(), read_card(folder)
    store(folder, ModelCard(LIGHT, 0, 0, 0.0, "metres", 5.4, 0.1, "factor 5.4"))
    after = read_card(folder)
    assert after == ModelCard(LIGHT, 64, 96, 0.0, "metres", 5.4, 0.1, "factor 5.4", before.trained_on)
    assert (folder / "model.safetensors").read_bytes() == weights


def test_a_factor_of_four_makes_every_depth_four_times_as_far_once(folder: Path) -> None:
    image = torch.randint(0, 256, (3, 64, 96), dtype=torch.uint8)
    plain = load(folder, "cpu")(image)
    for _ in range(2):  # the second does not start from the first
        main(["scale", "--model", str(folder), "--scale-from", "factor", "4"])
        metric = load(folder, "cpu")(image)
        assert (plain.scale, metric.scale) == ("up to scale", "metres")
        torch.testing.assert_close(metric.depth, 4 * plain.depth)
        torch.testing.assert_close(metric.disparity, plain.disparity / 4)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "--scale-from is needed: camera-height METRES"),
        (("height", "1.6"), "--scale-from height: not known; wanted camera-height"),
        (("camera-height",), "wanted one positive number after it, got nothing"),
        (("factor", "-1"), "got -1"),
        (("factor", "x"), "got x"),
        (("camera-height", "1", "2"), "got 1 2"),
        (("speed",), "no file is named"),
        (("speed", "gone.csv"), "gone.csv: cannot be read"),
        (("speed", "gone.gpx"), "gone.gpx: holds no track that can be read"),
        (("auto", "drive.gpx"), "takes nothing after it, got drive.gpx"),
    ],
)
def test_a_wrong_way_is_one_line(
    capsys: pytest.CaptureFixture[str], words: tuple[str, ...], said: str
) -> None:
    with pytest.raises(SystemExit):
        main(["scale", "--model", "gone", *(("--scale-from", *words) if words else ())])
    line = capsys.readouterr().err
    assert said in line
    assert line.count("\n") == 1


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("street") / "film.mp4"
    main(["street", str(path), "--frames", "12", "--height", "64", "--width", "96"])
    return path


def test_a_film_gives_its_speed_and_the_folder_becomes_metric(
    folder: Path, film: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    footage = ["--datatype", "video", "--data", str(film), "--camera", str(film.with_suffix(".json"))]
    footage += ["--hold-out-frames", "3", "--device", "cpu"]
    speed = ["scale", "--model", str(folder), "--scale-from", "speed", str(film.with_name("film_speed.csv"))]
    main([*speed, *footage])
    said = capsys.readouterr().out
    card = read_card(folder)
    assert card.scale == "metres"
    assert card.factor > 0
    assert "in 7 steps" in said  # 9 frames to learn from; both neighbours are wanted
    assert "depth is in metres from now on" in said
    with pytest.raises(SystemExit):
        main(speed)
    assert "wants footage" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["gpx beside", "gpmf"])
def test_what_the_video_knows_gives_the_factor_of_its_true_speed(
    folder: Path, film: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    table = read_speed(film.with_name("film_speed.csv"))
    seconds = np.arange(10) / 10
    video = tmp_path / "own.mp4"
    if kind == "gpmf":
        speeds = np.interp(seconds, table["time"], table["speed"])
        add_gpmf(film, video, [gps5(speeds.tolist())])
    else:
        shutil.copy(film, video)
        clip = FrameSequence("film", 10, tuple(seconds.tolist()))
        along = metres_along(table, "", clip)
        video.with_suffix(".gpx").write_text(gpx(list(zip(seconds.tolist(), along.tolist(), strict=True))))
    footage = ["--datatype", "video", "--camera", str(film.with_suffix(".json")), "--hold-out-frames", "3"]
    common = ["scale", "--model", str(folder), *footage, "--device", "cpu"]
    main([*common, "--data", str(film), "--scale-from", "speed", str(film.with_name("film_speed.csv"))])
    true = read_card(folder).factor
    capsys.readouterr()
    main([*common, "--data", str(video), "--scale-from", "auto"])
    card = read_card(folder)
    assert card.factor == pytest.approx(true, rel=0.03)
    assert card.factor_from == "auto"
    said = capsys.readouterr().out.replace("\n", "")
    assert ("measured speed, 10 of 10 points" if kind == "gpmf" else "speed from positions, 10 of 10") in said
    video.with_suffix(".gpx").unlink(missing_ok=True)
    if kind != "gpmf":
        with pytest.raises(SystemExit):
            main([*common, "--data", str(video), "--scale-from", "auto"])
        assert "found no speed or positions" in capsys.readouterr().err


def test_the_film_tells_the_true_height_and_the_length_of_the_path(film: Path) -> None:
    reader = SyntheticReader(StreetSettings(scenes=1, frames=12, height=64, width=96), "test")
    frames = [reader.frame(0, index) for index in range(12)]
    centres = torch.stack([f.world_from_camera[:3, 3] for f in frames if f.world_from_camera is not None])
    height = json.loads(film.with_suffix(".json").read_text())["camera_height"]
    assert height == pytest.approx(-float(centres[:, 1].mean()), abs=1e-4)
    table = read_speed(film.with_name("film_speed.csv"))
    along = metres_along(table, "", FrameSequence("film", 12, tuple(i / 12 for i in range(12))))
    steps = (centres[1:] - centres[:-1]).norm(dim=1)
    assert along[-1] == pytest.approx(float(steps.sum()), rel=1e-3)


def test_the_row_in_metres_is_not_aligned_and_is_no_baseline() -> None:
    class Wall:
        clips = (FrameSequence("wall", 1),)

        def frame(self, clip: int, index: int) -> Frame:
            return Frame(torch.zeros(3, 8, 8, dtype=torch.uint8), torch.eye(3), torch.full((8, 8), 10.0))

        def fingerprint(self) -> str:
            return "wall"

    frames = reader_frames(Wall())
    wall = EvalSet("wall", frames, len(frames), PROTOCOLS["synthetic-80m"])
    eight = torch.full((1, 8, 8), 1 / 8)
    maps = {Method.MODEL: eight, Method.CONSTANT: eight}
    rows = score_frames(wall, lambda frames: iter([maps]), metric=True).rows
    model, constant, metric = Row(Method.MODEL), Row(Method.CONSTANT), Row(Method.MODEL, metric=True)
    assert list(rows) == [model, constant, metric]
    assert rows[model].metrics.abs_rel == pytest.approx(0, abs=1e-6)
    assert rows[model].median_ratio == pytest.approx(1.25)
    assert rows[metric].protocol == PROTOCOLS["synthetic-80m-metric"]
    assert rows[metric].metrics.abs_rel == pytest.approx(0.2)
    comparison = compare(rows, model)
    assert comparison is not None
    assert comparison.baseline == constant


def test_evaluation_says_metres_and_adds_the_row(folder: Path, tmp_path: Path) -> None:
    from mono2many.evaluate.run import evaluate

    store(folder, ModelCard(LIGHT, 64, 96, 0.0, "metres", 2.0, None, "factor 2"))
    page = tmp_path / "report.html"
    streets = StreetScoring(test_scenes=1, baseline_scenes=1, report=str(page))
    config = EvaluateConfig(str(folder), dataset=streets, device="cpu")
    console = Console(record=True, width=100, file=StringIO())
    figures = evaluate(config, console)
    assert figures["scale"] == "metres"
    assert figures["rows"][METRIC]["protocol"] == "synthetic-80m-metric"
    said = console.export_text()
    assert "depth is in metres (factor 2 from factor 2)" in said
    assert f"median ratio of {METRIC}" not in said
    assert METRIC in page.read_text()


def test_footage_is_opened_at_the_nearest_of_a_models_sizes(film: Path) -> None:
    several = ModelCard(LIGHT, 64, 192, sizes=((64, 192), (96, 160)))  # the film is 96x64
    dataset = VideoData((str(film),), camera=(str(film.with_suffix(".json")),), hold_out_frames=3)
    video = DataConfig("video")
    assert open_as_trained(video, dataset, several, "test").frame(0, 0).image.shape == (3, 96, 160)
    lower = replace(several, crop_bottom=0.25)  # 96x48, nearer to 160x96 than to 192x64
    assert open_as_trained(video, dataset, lower, "test").frame(0, 0).image.shape == (3, 96, 160)
