"""Each decision on footage that was written down, not measured."""

from dataclasses import replace

import pytest

from mono2many.errors import InputError
from mono2many.learn.decisions import (
    Footage,
    Times,
    Wishes,
    as_words,
    camera,
    enough,
    frame_step,
    held_out,
    mask,
    start,
    steps,
    training_size,
)

ROAD = Footage("road", 720, 1280, frames=1260, left_out=0, motion=0.005)
PHONE = replace(ROAD, name="phone", height=1920, width=1080)
NONE = Wishes()


@pytest.mark.parametrize(
    ("height", "width", "expected"),
    [(720, 1280, (192, 320)), (375, 1242, (128, 448)), (1920, 1080, (320, 192)), (480, 640, (224, 288))],
)
def test_the_size_has_the_shape_of_the_video_in_multiples_of_32(
    height: int, width: int, expected: tuple[int, int]
) -> None:
    size, decision = training_size([replace(ROAD, height=height, width=width)], NONE)
    assert size == expected
    assert decision.value == f"{size[1]}x{size[0]}"
    assert f"{width}x{height}" in decision.reason


def test_videos_of_several_shapes_share_a_size_between_them() -> None:
    size, decision = training_size([ROAD, PHONE, ROAD], NONE)
    assert size == (224, 256)  # (16 / 9 * 9 / 16 * 16 / 9) ** (1 / 3) = 1.21
    assert "the mean shape of 1280x720, 1080x1920" in decision.reason


def test_a_size_that_is_given_is_kept() -> None:
    assert training_size([ROAD], Wishes(height=96, width=320))[0] == (96, 320)


@pytest.mark.parametrize(
    ("motion", "expected"), [(0.03, 1), (0.004, 1), (0.002, 2), (0.001, 4), (0.0005, 5), (0.0, 5)]
)
def test_neighbours_are_so_far_apart_that_the_image_moves_enough(motion: float, expected: int) -> None:
    step, decision = frame_step([replace(ROAD, motion=motion)], NONE)
    assert step == expected
    assert f"{motion:.2%}" in decision.reason
    assert frame_step([replace(ROAD, motion=motion)], Wishes(frame_step=3))[0] == 3


def test_the_motion_of_a_long_video_counts_more_than_that_of_a_short_one() -> None:
    # (0.001 * 300 + 0.005 * 100) / 400 = 0.002: two steps
    videos = [replace(ROAD, motion=0.001, frames=300), replace(ROAD, motion=0.005, frames=100)]
    assert frame_step(videos, NONE)[0] == 2


def test_a_camera_is_learnt_unless_it_is_given() -> None:
    assert camera(NONE)[0] == {"camera": ("learn",)}
    assert camera(Wishes(camera=("a.json",)))[0] == {"camera": ("a.json",)}
    assert camera(Wishes(fov=65.0))[0] == {"fov": 65.0}


def test_the_mask_that_was_found_is_named_with_its_video() -> None:
    flags, decision = mask([ROAD, replace(PHONE, masked=True)], NONE)
    assert flags == {}
    assert (decision.value, decision.reason) == ("found", "fixed to the camera, in phone")
    assert mask([ROAD], NONE)[1].value == "none"
    assert mask([ROAD], Wishes(mask=("none",)))[0] == {"mask": ("none",)}


def test_what_fills_the_bottom_of_every_video_is_cut_off() -> None:
    bonnet = replace(ROAD, masked=True, bottom=0.08)
    flags, decision = mask([bonnet, replace(bonnet, name="next", bottom=0.1)], NONE)
    assert flags == {"crop_bottom": 0.1}
    assert "bottom 10.0% cut off" in decision.value
    for others in ([ROAD], [replace(bonnet, bottom=0.2)], [replace(bonnet, bottom=0.0)]):
        assert mask([bonnet, *others], NONE)[0] == {}  # not in all, or not as much
    assert mask([replace(bonnet, bottom=0.5)], NONE)[0] == {}
    assert mask([bonnet], Wishes(mask=("m.png",)))[0] == {"mask": ("m.png",)}


def test_what_is_cut_off_does_not_count_for_the_shape() -> None:
    assert training_size([PHONE], NONE, 0.25)[0] == (288, 224)  # of 1080x1440


@pytest.mark.parametrize(("frames", "share"), [(1260, 0.1), (60, 8 / 60), (40, 0.2), (20, 0.25)])
def test_a_tenth_is_held_out_and_of_short_videos_eight_frames(frames: int, share: float) -> None:
    assert held_out([replace(ROAD, frames=frames)])[0] == pytest.approx(share)


def test_the_number_of_steps_fills_the_time_that_is_left() -> None:
    # 1800 - 100 - 200 = 1500 s; 1500 / (1.15 * 0.5) = 2608.7
    count, decision = steps(Times(1800.0, 100.0, 200.0, 0.5), 1260, NONE)
    assert count == 2608
    assert "25 of 30 minutes" in decision.reason
    assert steps(Times(1800.0, 100.0, 200.0, 0.5), 1260, Wishes(steps=7))[0] == 7


def test_a_short_video_is_not_seen_more_than_twenty_times() -> None:
    count, decision = steps(Times(1800.0, 10.0, 20.0, 0.5), 80, NONE)
    assert count == 400  # 20 * 80 / 4
    assert "20 passes" in decision.reason


def test_too_little_time_is_refused_with_what_is_needed() -> None:
    # 60 + 120 + 100 * 1.15 * 1 = 295 s: 4.9 minutes
    with pytest.raises(InputError, match=r"--minutes 3: too few.*give --minutes 5 or more"):
        steps(Times(180.0, 60.0, 120.0, 1.0), 1260, NONE)
    assert steps(Times(300.0, 60.0, 120.0, 1.0), 1260, NONE)[0] >= 100


def test_too_few_frames_are_refused_with_what_was_left_out() -> None:
    with pytest.raises(InputError, match=r"12 usable frames \(300 left out"):
        enough([replace(ROAD, frames=12, left_out=300)])
    enough([ROAD])


def test_a_training_starts_from_the_starter_by_its_recipe_or_from_nothing() -> None:
    assert start(NONE)[0] == {"recipe": "video", "start_from": "starter"}
    assert start(Wishes(start_from="none"))[0] == {"recipe": "scratch"}


def test_flags_become_words_of_the_command() -> None:
    words = as_words({"frame_step": 2, "camera": ("learn",), "data": ["a b", "c"]})
    assert words == ["--datatype", "video", "--frame-step", "2", "--camera", "learn", "--data", "a b", "c"]
