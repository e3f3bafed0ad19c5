"""A camera file with this program's own keys."""

import json

import pytest

from lenses import refusal
from mono2many.io.camera_file import Camera, read_camera

GOOD = {"width": 640, "height": 480, "fx": 500.0, "fy": 510.0, "cx": 320.0, "cy": 240.0}


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
    message = refusal(written(tmp_path, **changes))
    assert f"'{key}'" in message
    assert "wanted" in message


@pytest.mark.parametrize("text", ["{ not json", "[1, 2]", "", "\xff"])
def test_a_file_that_is_no_json_object_is_refused_by_name(tmp_path, text):
    path = tmp_path / "broken.json"
    path.write_bytes(text.encode("latin-1"))
    refusal(path)


def test_a_missing_camera_file_is_refused_by_name(tmp_path):
    refusal(tmp_path / "nowhere.json")


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"dist": [0.1, 0, 0, 0]}, "'dist' is not known"),
        ({"distorsion": [0.1, 0, 0, 0]}, "did you mean distortion"),
        ({"K1": 0.1, "distortion": [0.1, 0, 0, 0]}, "keep one"),
        ({"distortion_model": "double_sphere"}, "'double_sphere', wanted plumb_bob, rational or fisheye"),
        ({"camera_model": "omni", "distortion_model": "radtan"}, "'omni'"),
        ({"distortion_model": "thin_prism", "distortion": [0.0] * 8}, "'thin_prism'"),
        ({"distortion_model": "fisheye"}, "'distortion' is missing"),
        (
            {"distortion_model": "fisheye", "distortion": [0.1, 0.1, 0.1, 0.1, 0.1]},
            "4 coefficients of fisheye",
        ),
        ({"distortion_model": "plumb_bob", "distortion": [0.1] * 8}, "5 coefficients of plumb_bob"),
        ({"distortion_model": "fisheye", "distortion_opencv_k1k2p1p2k3": [0.1] * 4}, "do not agree"),
        ({"distortion": [0.1] * 12}, "8 coefficients of rational"),
        ({"distortion": [0.1] * 7}, "4, 5 or 8"),
        ({"distortion": {"rows": 1}}, "4, 5 or 8"),
        ({"distortion": [-0.002, 0.03, -0.036, 0.005]}, "'distortion_model' is missing"),
        ({"fx": 200, "fy": 200, "distortion": [0.003, 0.001, -0.002, 0.0]}, "'distortion_model' is missing"),
        ({"k1": 0.1, "k4": 0.1}, "'distortion_model' is missing"),
        (
            {"camera_matrix": [[501, 0, 320], [0, 510, 240], [0, 0, 1]]},
            "'fx' and 'camera_matrix' do not agree",
        ),
        ({"camera_matrix": [[500, 9, 320], [0, 510, 240], [0, 0, 1]]}, "skew"),
        ({"K": [1, 2, 3]}, "no 3x3 matrix"),
        ({"resolution": [640]}, "wanted width, height"),
        ({"fx": 10**400}, "'fx'"),
        ({"roi": {"x_offset": 8}}, "'roi'"),
    ],
)
def test_what_is_not_known_or_contradicts_is_refused_by_name(tmp_path, changes, named):
    assert named in refusal(written(tmp_path, **changes))


def test_four_coefficients_of_a_wide_lens_are_taken_where_their_model_is_named(tmp_path):
    wide = {"fx": 200, "fy": 200, "distortion": [0.003, 0.001, -0.002, 0.0], "distortion_model": "plumb_bob"}
    assert read_camera(written(tmp_path, **wide)).distortion == (0.003, 0.001, -0.002, 0.0)


def test_the_real_road_camera_can_be_read(road):
    camera = read_camera(road / "road_camera.json")
    assert (camera.width, camera.height) == (1280, 720)
    assert len(camera.distortion) == 5
