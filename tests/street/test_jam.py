"""Stop-and-go: the camera halts and drives, the queue around it too, and none meets another."""

import csv
from dataclasses import replace

import numpy as np
import pytest

from mono2many.cli import main
from mono2many.street.jam import CYCLE, Course, stop_and_go
from mono2many.street.reader import StreetSettings, SyntheticReader, build_street, camera
from mono2many.street.scene import travelled
from mono2many.street.video import FRAMES_PER_SECOND

JAM = StreetSettings(scenes=20, frames=CYCLE + 1, height=64, width=96, drive="stop-and-go")
SHORT = replace(JAM, frames=4)


def test_a_vehicle_that_is_earlier_follows_the_same_course_sooner() -> None:
    # stands, then two metres a frame; the clip begins at frame 2 of that clock
    course = Course(np.array([0.0, 0, 0, 0, 2, 4, 6, 8]), 2.0, 3)
    assert course.travelled().tolist() == [0, 0, 0, 2, 4]
    assert course.travelled(1).tolist() == [0, 0, 2, 4, 6]
    assert course.travelled(0.5).tolist() == [0, 0, 1, 3, 5]


@pytest.mark.parametrize("seed", range(20))
def test_a_course_halts_and_drives_and_never_jerks(seed: int) -> None:
    steps = np.diff(stop_and_go(np.random.default_rng(seed), CYCLE, 0.8).travelled())
    assert steps.min() == 0
    assert 0.07 < steps.max() <= 0.8 + 1e-9
    assert np.abs(np.diff(steps)).max() < 0.06
    standing = "".join("01"[int(step == 0)] for step in steps)
    assert "11111" in standing


@pytest.mark.parametrize("variety", ["town", "wide"])
def test_no_two_vehicles_overlap_at_any_frame(variety: str) -> None:
    settings = replace(JAM, variety=variety)
    for scene in range(10):
        street = build_street(settings, "train", scene)
        queue = [car for car in street.traffic if car.travelled is not None]
        at = np.array([[car.s + travelled(car, i) for car in queue] for i in range(0, settings.frames, 3)])
        u, long, wide = (np.array([getattr(car, n) for car in queue]) for n in ("u", "length", "width"))
        along = np.abs(at[:, :, None] - at[:, None]) * (1 - street.road.curvature * (u[:, None] + u) / 2)
        ahead = along - (long[:, None] + long) / 2
        beside = np.abs(u[:, None] - u) - (wide[:, None] + wide) / 2
        free = (ahead > 0.9) | (beside > 0)
        pairs = ~np.eye(len(queue), dtype=bool)
        assert len(queue) >= 6
        assert free[:, pairs].all()
        # the camera: nothing of its lane is nearer than four metres
        own = np.abs(u - street.lane) < wide / 2
        come = np.array([travelled(street, i) for i in range(0, settings.frames, 3)])
        rear = (at - long / 2 - come[:, None])[:, own]
        assert rear.min() > 3.5


@pytest.mark.parametrize("variety", ["town", "wide"])
def test_a_longer_clip_goes_on_as_a_shorter_one_began(variety: str) -> None:
    short, long = (build_street(replace(s, variety=variety), "val", 1) for s in (SHORT, JAM))
    np.testing.assert_array_equal(short.travelled, long.travelled[:6])
    ours, theirs = ([c for c in s.traffic if c.travelled is not None] for s in (short, long))
    assert len(ours) == len(theirs)
    for one, other in zip(ours, theirs, strict=True):
        assert (one.s, one.u, one.length) == (other.s, other.u, other.length)
        np.testing.assert_array_equal(one.travelled, other.travelled[:6])


def test_while_the_camera_stands_nothing_is_co_moving_and_then_the_queue_is() -> None:
    settings = replace(JAM, variety="wide", frames=40)  # test scene 0 stands for six frames and pulls away
    reader = SyntheticReader(settings, "test")
    standing, driving = reader.frame(0, 1), reader.frame(0, 25)
    assert standing.moving.any()
    assert not standing.co_moving.any()
    assert driving.co_moving.sum() > 0.5 * driving.moving.sum()


def test_the_speed_file_of_a_film_is_the_paths(tmp_path, capsys) -> None:
    film = tmp_path / "a.mp4"
    asked = ["--drive", "stop-and-go", "--variety", "wide", "--frames", "14"]
    main(["street", str(film), *asked, "--height", "32", "--width", "64"])
    with (tmp_path / "a_speed.csv").open() as file:
        said = [float(row["speed"]) for row in csv.DictReader(file)]
    settings = StreetSettings(1, 14, 32, 64, variety="wide", drive="stop-and-go")
    street = build_street(settings, "test", 0)
    places = np.array([camera(street, settings, i).world_from_camera[:3, 3] for i in range(14)])
    steps = np.linalg.norm(np.diff(places, axis=0), axis=1) * FRAMES_PER_SECOND
    expected = [steps[0], *(steps[1:] + steps[:-1]) / 2, steps[-1]]
    np.testing.assert_allclose(said, expected, atol=1e-4)
    assert said[:5] == [0] * 5
    assert said[-1] > 1
    along = np.diff(street.travelled[1:-1]) * FRAMES_PER_SECOND
    np.testing.assert_allclose(steps, along, rtol=0.03)
