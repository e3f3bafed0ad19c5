import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from mono2many.geometry.camera import Display, undistortion_pixels
from mono2many.io.camera_file import Camera, camera_from_fov, fit_camera, read_camera, turn_camera
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


BENT = (-0.25, 0.04, -0.0007, 0.0001, 0.0)
PLUMB_BOB = Camera(640, 480, 500.0, 510.0, 320.5, 240.0, BENT)
FISHEYE = Camera(640, 480, 500.0, 510.0, 320.5, 240.0, (-0.01, 0.03, -0.03, 0.006), "fisheye")
RATIONAL = Camera(640, 480, 500.0, 510.0, 320.5, 240.0, (1.6, 0.7, 0.0, 0.0, 0.02, 2.0, 1.2, 0.1), "rational")
PINHOLE = Camera(640, 480, 500.0, 510.0, 320.5, 240.0)
FORMS = {
    "ros.yaml": (
        PLUMB_BOB,
        """
image_width: 640
image_height: 480
camera_name: front
camera_matrix: {rows: 3, cols: 3, data: [500, 0, 320.5, 0, 510, 240, 0, 0, 1]}
distortion_model: plumb_bob
distortion_coefficients: {rows: 1, cols: 5, data: [-0.25, 0.04, -7e-04, 1e-4, 0]}
rectification_matrix: {rows: 3, cols: 3, data: [1, 0, 0, 0, 1, 0, 0, 0, 1]}
projection_matrix: {rows: 3, cols: 4, data: [400, 0, 320.5, 0, 0, 410, 240, 0, 0, 0, 1, 0]}
""",
    ),
    "ros2_topic.yaml": (
        RATIONAL,
        """header: {stamp: {sec: 1, nanosec: 2}, frame_id: front}
height: 480
width: 640
distortion_model: rational_polynomial
d: [1.6, 0.7, 0.0, 0.0, 0.02, 2.0, 1.2, 0.1]
k: [500.0, 0.0, 320.5, 0.0, 510.0, 240.0, 0.0, 0.0, 1.0]
r: [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]
p: [500.0, 0.0, 320.5, 0.0, 0.0, 510.0, 240.0, 0.0, 0.0, 0.0, 1.0, 0.0]
binning_x: 0
binning_y: 0
roi: {x_offset: 0, y_offset: 0, height: 0, width: 0, do_rectify: false}
---
height: 480
""",
    ),
    "opencv.yml": (
        FISHEYE,
        """%YAML:1.0
---
calibration_time: "Sat 28 Nov 2026"
nr_of_frames: 20
image_width: 640
image_height: 480
flags: 8
fisheye_model: 1
camera_matrix: !!opencv-matrix
   rows: 3
   cols: 3
   dt: d
   data: [ 500., 0., 3.2050000000000000e+02, 0., 510., 240., 0., 0., 1. ]
distortion_coefficients: !!opencv-matrix
   rows: 4
   cols: 1
   dt: d
   data: [ -1.0e-02, 0.03, -0.03, 6.0000000000000001e-03 ]
avg_reprojection_error: 0.2
""",
    ),
    "opencv2.yml": (
        PLUMB_BOB,
        """%YAML:1.0
image_width: 640
image_height: 480
camera_matrix: !!opencv-matrix
   rows: 3
   cols: 3
   dt: d
   data: [ 500., 0., 3.205e+02, 0., 510., 240., 0., 0., 1. ]
distortion_coefficients: !!opencv-matrix
   rows: 5
   cols: 1
   dt: d
   data: [ -2.5e-01, 4.0e-02, -7.0e-04, 1.0e-04, 0. ]
""",
    ),
    "opencv.json": (
        PLUMB_BOB,
        """{"image_width": 640, "image_height": 480, "camera_matrix": {"type_id": "opencv-matrix", "rows": 3,
        "cols": 3, "dt": "d", "data": [500.0, 0.0, 320.5, 0.0, 510.0, 240.0, 0.0, 0.0, 1.0]},
        "distortion_coefficients": {"type_id": "opencv-matrix", "rows": 14, "cols": 1, "dt": "d",
        "data": [-0.25, 0.04, -0.0007, 0.0001, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]}}""",
    ),
    "script.json": (
        PLUMB_BOB,
        """{"width": 640, "height": 480, "K": [[500, 0, 320.5], [0, 510, 240], [0, 0, 1]],
        "dist_coeffs": [[-0.25, 0.04, -0.0007, 0.0001, 0]]}""",
    ),
    "kalibr.yaml": (
        FISHEYE,
        """cam0:
  cam_overlaps: []
  camera_model: pinhole
  distortion_coeffs: [-0.01, 0.03, -0.03, 0.006]
  distortion_model: equidistant
  intrinsics: [500.0, 510.0, 320.5, 240.0]
  resolution: [640, 480]
  rostopic: /cam0/image_raw
""",
    ),
    "cameras.txt": (
        FISHEYE,
        "# Camera list with one line of data per camera:\n#   CAMERA_ID, MODEL, WIDTH, HEIGHT, PARAMS[]\n"
        "1 OPENCV_FISHEYE 640 480 500 510 321 240.5 -0.01 0.03 -0.03 0.006\n",
    ),
    "full/cameras.txt": (RATIONAL, "1 FULL_OPENCV 640 480 500 510 321 240.5 1.6 0.7 0 0 0.02 2 1.2 0.1\n"),
    "radial/cameras.txt": (
        Camera(640, 480, 500.0, 500.0, 320.5, 240.0, (-0.1, 0.0, 0.0, 0.0, 0.0)),
        "1 SIMPLE_RADIAL 640 480 500 321 240.5 -0.1\n",
    ),
    "open3d.json": (
        PINHOLE,
        '{"width": 640, "height": 480, "intrinsic_matrix": [500, 0, 0, 0, 510, 0, 320.5, 240, 1]}',
    ),
    "open3d_view.json": (
        PINHOLE,
        """{"class_name": "PinholeCameraParameters", "extrinsic": [1, 0, 0, 0],
        "intrinsic": {"width": 640, "height": 480, "intrinsic_matrix": [500, 0, 0, 0, 510, 0, 320.5, 240, 1]},
        "version_major": 1, "version_minor": 0}""",
    ),
    "apart.json": (
        PLUMB_BOB,
        """{"w": 640, "h": 480, "fl_x": 500, "fl_y": 510, "cx": 320.5, "cy": 240, "k1": -0.25, "k2": 0.04,
        "p1": -0.0007, "p2": 0.0001}""",
    ),
    "apart_fisheye.json": (
        FISHEYE,
        """{"w": 640, "h": 480, "fl_x": 500, "fl_y": 510, "cx": 320.5, "cy": 240, "k1": -0.01, "k2": 0.03,
        "k3": -0.03, "k4": 0.006, "p1": 0.0, "p2": 0.0, "camera_model": "OPENCV_FISHEYE"}""",
    ),
}


@pytest.mark.parametrize("name", FORMS)
def test_calibrations_are_read_as_their_programs_write_them(tmp_path, name):
    expected, text = FORMS[name]
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    assert read_camera(path) == expected


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
    path = written(tmp_path, **changes)
    with pytest.raises(InputError) as caught:
        read_camera(path)
    assert named in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("cam0: {resolution: [640, 480]}\ncam1: {resolution: [640, 480]}\n", "2 cameras, cam0, cam1"),
        ("1 PINHOLE 640 480 500 510 320 240\n2 PINHOLE 640 480 400 410 320 240\n", "2 cameras"),
        ("1 THIN_PRISM_FISHEYE 640 480 500 510 320 240 0 0 0 0 0 0 0 0\n", "'THIN_PRISM_FISHEYE'"),
        ("1 OPENCV 640 480 500 510 320 240\n", "fx fy cx cy k1 k2 p1 p2"),
        ("<?xml version='1.0'?><opencv_storage></opencv_storage>", "XML"),
        ("width: &a [1]\nheight: [*a, *a]\n", "aliases"),
        ("width: !!python/object/apply:os.system [ls]\n", "cannot be read"),
        ("[" * 5000, "cannot be read"),
        ("a: " + "[" * 5000, "cannot be read"),
        ("just words", "holds a str"),
        ("x" * 1_000_001, "larger than"),
    ],
)
def test_other_texts_are_refused_by_name(tmp_path, text, named):
    path = tmp_path / "camera.yaml"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        read_camera(path)
    assert named in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_four_coefficients_of_a_wide_lens_are_taken_where_their_model_is_named(tmp_path):
    wide = {"fx": 200, "fy": 200, "distortion": [0.003, 0.001, -0.002, 0.0], "distortion_model": "plumb_bob"}
    assert read_camera(written(tmp_path, **wide)).distortion == (0.003, 0.001, -0.002, 0.0)


def test_a_fisheye_distorts_even_where_its_coefficients_are_0():
    assert replace(PINHOLE, distortion=(0.0,) * 4, distortion_model="fisheye").is_distorted
    assert not replace(PINHOLE, distortion=(0.0,) * 4).is_distorted


@pytest.mark.parametrize("camera", [PLUMB_BOB, RATIONAL, FISHEYE], ids=lambda c: c.distortion_model)
def test_a_turned_camera_undistorts_the_turned_image(camera):
    turned = turn_camera(camera)
    assert (turned.width, turned.height) == (480, 640)
    lens = turned.intrinsics, turned.distortion, 640, 480, turned.distortion_model
    lens_before = camera.intrinsics, camera.distortion, 480, 640, camera.distortion_model
    x, y = undistortion_pixels(*lens_before).unbind(-1)
    expected = torch.stack([y, 639 - x], -1).rot90(1, (0, 1))  # a quarter counterclockwise
    torch.testing.assert_close(undistortion_pixels(*lens), expected, rtol=0, atol=1e-3)
    again = turn_camera(turn_camera(turn_camera(turned)))
    assert again.distortion == pytest.approx(camera.distortion)
    assert (again.cx, again.cy, again.fx) == pytest.approx((camera.cx, camera.cy, camera.fx))


@pytest.mark.parametrize(("turns", "cx", "cy"), [(1, 240.0, 318.5), (3, 239.0, 320.5)])
def test_a_camera_of_the_stored_frames_follows_footage_shown_turned(turns, cx, cy):
    upright = fit_camera(PINHOLE, (640, 480), "a.mp4", display=Display(turns))
    assert (upright.width, upright.height, upright.fx, upright.fy) == (480, 640, 510.0, 500.0)
    assert (upright.cx, upright.cy) == (cx, cy)
    half = fit_camera(PINHOLE, (320, 240), "a.mp4", display=Display(turns))
    assert (half.fx, half.cx) == (255.0, (cx + 0.5) / 2 - 0.5)


def test_a_camera_of_the_shown_frames_is_not_turned_again():
    assert fit_camera(PINHOLE, (480, 640), "a.mp4", display=Display(1)) == PINHOLE


def test_a_camera_of_an_upright_image_is_refused_where_nothing_says_how_it_was_turned():
    with pytest.raises(InputError, match="aspect"):
        fit_camera(PINHOLE, (640, 480), "a.mp4", display=Display(2))


def test_the_default_field_of_view_is_that_of_the_longer_side():
    wide, upright = camera_from_fov(None, 1920, 1080), camera_from_fov(None, 1080, 1920)
    assert wide == camera_from_fov(65.0, 1920, 1080)
    assert (upright.fx, upright.fy) == pytest.approx((wide.fx, wide.fy))
    assert camera_from_fov(65.0, 1080, 1920).fx == pytest.approx(wide.fx * 1080 / 1920)


def test_pixels_that_are_not_square_change_fy_only():
    # 720x576 shown at 1024x576: a pixel is 64 / 45 times as wide as high
    camera, shown = camera_from_fov(90.0, 720, 576, 64 / 45), camera_from_fov(90.0, 1024, 576)
    assert (camera.fx, camera.fy) == pytest.approx((360.0, 512.0))
    same = fit_camera(shown, (576, 720), "dv.avi", display=Display(0, 64 / 45))
    assert (same.fx, same.fy, same.cx, same.cy) == pytest.approx((360.0, 512.0, 359.5, 287.5))
    assert camera_from_fov(None, 720, 576, 64 / 45).fy == pytest.approx(camera_from_fov(None, 1024, 576).fy)
    with pytest.raises(InputError, match="aspect"):
        fit_camera(shown, (576, 720), "dv.avi")


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
