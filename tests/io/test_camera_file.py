import json
from pathlib import Path

import pytest

from mono2many.io.camera_file import Camera, camera_from_fov, fit_camera, read_camera
from mono2many.types import InputError

GOOD = {"width": 640, "height": 480, "fx": 500.0, "fy": 510.0, "cx": 320.0, "cy": 240.0}
ROAD = Path(__file__).parents[3] / "shared/data/road_video/road_camera.json"


def written(tmp_path, **changes):
    values = {key: value for key, value in (GOOD | changes).items() if value is not ...}
    path = tmp_path / "camera.json"
    path.write_text(json.dumps(values))
    return path


def test_a_camera_file_is_read_as_it_was_written(tmp_path):
    assert read_camera(written(tmp_path)) == Camera(640, 480, 500.0, 510.0, 320.0, 240.0, ())


@pytest.mark.parametrize("key", ["distortion", "distortion_opencv_k1k2p1p2k3"])
def test_either_name_of_the_distortion_is_understood(tmp_path, key):
    camera = read_camera(written(tmp_path, **{key: [-0.2, 0.1, 0, 0, 0.5]}))
    assert camera.distortion == (-0.2, 0.1, 0.0, 0.0, 0.5)


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"fx": ...}, "fx"),
        ({"fy": -510.0}, "fy"),
        ({"fx": 0}, "fx"),
        ({"cx": float("nan")}, "cx"),
        ({"fx": "500"}, "fx"),
        ({"fx": 0.58, "fy": 1.92}, "fx"),
        ({"fx": 1500.0}, "fx"),
        ({"cy": 2000.0}, "cy"),
        ({"width": 0}, "width"),
        ({"height": 480.5}, "height"),
        ({"width": True}, "width"),
        ({"distortion": [0.1, 0.2]}, "distortion"),
        ({"distortion": "none"}, "distortion"),
        ({"distortion": [0, 0, 0, float("inf")]}, "distortion"),
    ],
)
def test_an_impossible_value_is_refused_in_one_line_with_file_and_key(tmp_path, changes, key):
    path = written(tmp_path, **changes)
    with pytest.raises(InputError) as caught:
        read_camera(path)
    message = str(caught.value)
    assert str(path) in message
    assert f"'{key}'" in message
    assert "wanted" in message
    assert "\n" not in message


@pytest.mark.parametrize("text", ["{ not json", "[1, 2]", "", "\xff"])
def test_a_file_that_is_no_json_object_is_refused_by_name(tmp_path, text):
    path = tmp_path / "broken.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError, match=r"broken\.json") as caught:
        read_camera(path)
    assert "\n" not in str(caught.value)


def test_a_missing_camera_file_is_refused_by_name(tmp_path):
    with pytest.raises(InputError, match=r"nowhere\.json"):
        read_camera(tmp_path / "nowhere.json")


def test_a_field_of_view_of_a_right_angle_gives_half_the_width_as_focal_length():
    assert camera_from_fov(90.0, 640, 480).fx == pytest.approx(320.0)


@pytest.mark.parametrize("degrees", [0.0, -60.0, 180.0, float("nan")])
def test_an_impossible_field_of_view_is_refused(degrees):
    with pytest.raises(InputError, match="--fov"):
        camera_from_fov(degrees, 640, 480)


def test_a_camera_fits_footage_of_half_its_size():
    half = fit_camera(
        Camera(640, 480, 500.0, 510.0, 320.0, 240.0, (0.1, 0.0, 0.0, 0.0)), (240, 320), "half.mp4"
    )
    assert half == Camera(320, 240, 250.0, 255.0, 159.75, 119.75, (0.1, 0.0, 0.0, 0.0))


def test_a_camera_of_another_aspect_ratio_is_refused():
    with pytest.raises(InputError, match=r"wide\.mp4 is 640x360.*640x480"):
        fit_camera(read_back(), (360, 640), "wide.mp4")


def read_back():
    return Camera(640, 480, 500.0, 510.0, 320.0, 240.0)


@pytest.mark.skipif(not ROAD.is_file(), reason="real data not here")
def test_the_real_road_camera_can_be_read():
    camera = read_camera(ROAD)
    assert (camera.width, camera.height) == (1280, 720)
    assert len(camera.distortion) == 5
