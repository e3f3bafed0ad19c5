"""Camera files as other programs write them."""

import pytest

from lenses import FISHEYE, PINHOLE, PLUMB_BOB, RATIONAL, refusal
from mono2many.io.camera_file import Camera, read_camera

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
    assert named in refusal(path)
