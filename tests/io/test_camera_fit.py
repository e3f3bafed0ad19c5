"""A camera from a field of view, and one that follows its footage: resized, turned, of pixels not square."""

from dataclasses import replace

import pytest
import torch

from lenses import FISHEYE, PINHOLE, PLUMB_BOB, RATIONAL
from mono2many.geometry.camera import Display, undistortion_pixels
from mono2many.io.camera_file import Camera, camera_from_fov, fit_camera, turn_camera
from mono2many.types import InputError


def test_a_field_of_view_of_a_right_angle_gives_half_the_width_as_focal_length():
    assert camera_from_fov(90.0, 640, 480).fx == pytest.approx(320.0)


@pytest.mark.parametrize("degrees", [0.0, -60.0, 180.0, float("nan")])
def test_an_impossible_field_of_view_is_refused(degrees):
    with pytest.raises(InputError, match="--fov"):
        camera_from_fov(degrees, 640, 480)


def test_the_default_field_of_view_is_that_of_the_longer_side():
    wide, upright = camera_from_fov(None, 1920, 1080), camera_from_fov(None, 1080, 1920)
    assert wide == camera_from_fov(65.0, 1920, 1080)
    assert (upright.fx, upright.fy) == pytest.approx((wide.fx, wide.fy))
    assert camera_from_fov(65.0, 1080, 1920).fx == pytest.approx(wide.fx * 1080 / 1920)


def test_a_camera_fits_footage_of_half_its_size():
    half = fit_camera(
        Camera(640, 480, 500.0, 510.0, 320.0, 240.0, (0.1, 0.0, 0.0, 0.0)), (240, 320), "half.mp4"
    )
    assert half == Camera(320, 240, 250.0, 255.0, 159.75, 119.75, (0.1, 0.0, 0.0, 0.0))


def test_a_camera_of_another_aspect_ratio_is_refused():
    with pytest.raises(InputError, match=r"wide\.mp4 is 640x360.*640x480"):
        fit_camera(PINHOLE, (360, 640), "wide.mp4")


def test_pixels_that_are_not_square_change_fy_only():
    # 720x576 shown at 1024x576: a pixel is 64 / 45 times as wide as high
    camera, shown = camera_from_fov(90.0, 720, 576, 64 / 45), camera_from_fov(90.0, 1024, 576)
    assert (camera.fx, camera.fy) == pytest.approx((360.0, 512.0))
    same = fit_camera(shown, (576, 720), "dv.avi", display=Display(0, 64 / 45))
    assert (same.fx, same.fy, same.cx, same.cy) == pytest.approx((360.0, 512.0, 359.5, 287.5))
    assert camera_from_fov(None, 720, 576, 64 / 45).fy == pytest.approx(camera_from_fov(None, 1024, 576).fy)
    with pytest.raises(InputError, match="aspect"):
        fit_camera(shown, (576, 720), "dv.avi")


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


def test_a_fisheye_distorts_even_where_its_coefficients_are_0():
    assert replace(PINHOLE, distortion=(0.0,) * 4, distortion_model="fisheye").is_distorted
    assert not replace(PINHOLE, distortion=(0.0,) * 4).is_distorted
