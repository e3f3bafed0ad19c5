import math

import pytest
import torch

from mono2many.geometry import camera
from mono2many.geometry.warp import sample

K = camera.intrinsics_matrix(100.0, 90.0, 31.0, 17.0)


def ray(intrinsics, x, y):
    return torch.linalg.inv(intrinsics.double()) @ torch.tensor([x, y, 1.0], dtype=torch.float64)


def test_a_right_angle_of_view_has_a_focal_length_of_half_the_width():
    intrinsics = camera.intrinsics_from_fov(90.0, width=640, height=480)
    expected = torch.tensor([[320.0, 0, 319.5], [0, 320.0, 239.5], [0, 0, 1]])
    torch.testing.assert_close(intrinsics, expected)


@pytest.mark.parametrize("to_size", [(20, 32), (80, 128), (17, 100)])
def test_resizing_a_camera_keeps_every_pixels_ray(to_size):
    resized = camera.resize_intrinsics(K, (40, 64), to_size)
    for x, y in ((0.0, 0.0), (31.0, 17.0), (63.0, 39.0)):
        new_x = (x + 0.5) * to_size[1] / 64 - 0.5
        new_y = (y + 0.5) * to_size[0] / 40 - 0.5
        torch.testing.assert_close(ray(resized, new_x, new_y), ray(K, x, y), rtol=0, atol=1e-5)


def test_halving_a_camera_puts_its_centre_between_the_pixels_it_came_from():
    halved = camera.resize_intrinsics(K, (40, 64), (20, 32))
    torch.testing.assert_close(halved, torch.tensor([[50.0, 0, 15.25], [0, 45.0, 8.25], [0, 0, 1]]))


def test_plain_scaling_multiplies_rows_and_shifts_nothing():
    halved = camera.scale_intrinsics_plain(K.expand(2, 3, 3), (40, 64), (20, 16))
    torch.testing.assert_close(halved[1], torch.tensor([[25.0, 0, 7.75], [0, 45.0, 8.5], [0, 0, 1]]))


def test_a_mirrored_camera_sees_the_mirrored_ray_at_the_mirrored_pixel():
    mirrored = camera.mirror_intrinsics(K, width=64)
    assert mirrored[0, 2] == 32.0
    expected = ray(K, 10.0, 5.0) * torch.tensor([-1.0, 1.0, 1.0])
    torch.testing.assert_close(ray(mirrored, 53.0, 5.0), expected, rtol=0, atol=1e-6)


def test_mirroring_a_camera_twice_changes_nothing():
    torch.testing.assert_close(camera.mirror_intrinsics(camera.mirror_intrinsics(K, 64), 64), K)


def test_a_lens_without_distortion_moves_no_point():
    points = torch.rand(5, 4, 2) - 0.5
    torch.testing.assert_close(camera.distort(points, (0.0, 0.0, 0.0, 0.0)), points)


@pytest.mark.parametrize(
    ("coefficients", "expected"),
    [
        # (x, y) = (0.3, 0.4): r2 = 0.25, r4 = 0.0625, r6 = 0.015625
        ((0.4, 0.0, 0.0, 0.0, 0.0), (0.33, 0.44)),
        ((0.0, 1.6, 0.0, 0.0, 0.0), (0.33, 0.44)),
        ((0.0, 0.0, 0.0, 0.0, 6.4), (0.33, 0.44)),
        ((0.0, 0.0, 0.1, 0.0, 0.0), (0.3 + 0.2 * 0.12, 0.4 + 0.1 * (0.25 + 0.32))),
        ((0.0, 0.0, 0.0, 0.1), (0.3 + 0.1 * (0.25 + 0.18), 0.4 + 0.2 * 0.12)),
    ],
)
def test_each_distortion_coefficient_moves_a_point_as_on_paper(coefficients, expected):
    moved = camera.distort(torch.tensor([0.3, 0.4]), coefficients)
    torch.testing.assert_close(moved, torch.tensor(expected))


# Of OpenCV 5.0.0, at the pixels x, y = 0 0, 213 318, 639 318 and 639 477 of 640x480: with
# k = np.array([[310, 0, 322.4], [0, 305, 236.7], [0, 0, 1.0]]) and d, the coefficients, as an array
# maps = cv2.initUndistortRectifyMap(k, d, None, k, (640, 480), cv2.CV_32FC1)  (fisheye: cv2.fisheye.init...)
# np.stack(maps, -1)[[0, 318, 318, 477], [0, 213, 639, 639]]
OF_OPENCV = {
    "plumb_bob": (
        (-0.25, 0.04, -0.0007, 0.0001, -0.02),
        [[129.7099, 94.8327], [218.2530, 314.0590], [557.7636, 296.8925], [512.9729, 380.9508]],
    ),
    "rational": (
        (1.6882873, 0.71001608, 0.0001, -0.00018, 0.0291473786, 2.03616562, 1.21766214, 0.15718044),
        [[98.3096, 72.2974], [219.6590, 313.0493], [563.1473, 298.5716], [542.7781, 404.0886]],
    ),
    "fisheye": (
        (-0.0022, 0.0376, -0.0364, 0.0059),
        [[93.8857, 68.9291], [219.3390, 313.2892], [567.4390, 299.6238], [547.4396, 407.5055]],
    ),
}
LENSES = pytest.mark.parametrize("model", OF_OPENCV)


@LENSES
def test_undistortion_is_opencvs_to_a_hundredth_of_a_pixel(model):
    coefficients, expected = OF_OPENCV[model]
    intrinsics = camera.intrinsics_matrix(310.0, 305.0, 322.4, 236.7)
    pixels = camera.undistortion_pixels(intrinsics, coefficients, 480, 640, model)
    found = pixels[[0, 318, 318, 477], [0, 213, 639, 639]]
    torch.testing.assert_close(found, torch.tensor(expected), rtol=0, atol=0.01)


def test_a_fisheye_without_coefficients_puts_a_point_at_its_angle():
    moved = camera.distort(torch.tensor([[1.0, 0.0], [0.0, 0.0]]), (0.0, 0.0, 0.0, 0.0), "fisheye")
    torch.testing.assert_close(moved, torch.tensor([[math.pi / 4, 0.0], [0.0, 0.0]]))


def test_the_principal_point_stays_where_it_is_under_any_lens():
    pixels = camera.undistortion_pixels(K, (-0.3, 0.1, 0.01, -0.02, 0.05), 40, 64)
    assert pixels.shape == (40, 64, 2)
    torch.testing.assert_close(pixels[17, 31], torch.tensor([31.0, 17.0]))


def test_without_distortion_every_pixel_comes_from_itself():
    pixels = camera.undistortion_pixels(K, (0.0, 0.0, 0.0, 0.0), 40, 64)
    torch.testing.assert_close(pixels[5, 9], torch.tensor([9.0, 5.0]), rtol=0, atol=1e-4)


def test_a_straight_line_that_the_lens_bent_is_straight_after_undistortion():
    # The distorted picture shows the function "ideal x of this pixel" of a lens; undistorted, each column
    # must hold one value again. The lens is inverted by fixed-point iteration.
    coefficients = (-0.25, 0.04, -0.0007, 0.0001, -0.1)
    intrinsics = camera.intrinsics_matrix(120.0, 118.0, 66.0, 38.0).double()
    row, column = torch.meshgrid(
        torch.arange(72, dtype=torch.float64), torch.arange(128, dtype=torch.float64), indexing="ij"
    )
    seen = (torch.stack([column, row], -1) - intrinsics[:2, 2]) / intrinsics[[0, 1], [0, 1]]
    ideal = seen.clone()
    for _ in range(100):
        ideal = ideal - (camera.distort(ideal, coefficients) - seen)
    bent = ideal[..., 0] * 120.0 + 66.0
    assert (bent[:, 10].max() - bent[:, 10].min()) > 1.0
    pixels = camera.undistortion_pixels(intrinsics, coefficients, 72, 128)
    straight, _ = sample(bent[None, None], pixels[None])
    torch.testing.assert_close(straight[0, 0, 3:-3, 3:-3], column[3:-3, 3:-3], rtol=0, atol=0.02)


def test_a_horizontal_field_of_view_is_measured_from_border_to_border():
    intrinsics = camera.intrinsics_from_fov(60.0, 200, 100)
    left = ray(intrinsics, -0.5, 0.0)
    assert math.degrees(math.atan(-left[0])) == pytest.approx(30.0, abs=1e-4)


def test_a_field_of_view_comes_back_from_its_camera_wherever_the_axis_is():
    assert camera.horizontal_fov(camera.intrinsics_from_fov(65.0, 640, 192), 640) == pytest.approx(
        65, abs=1e-4
    )
    # the axis at the left border, 100 pixels to its right, fx = 100: 45 degrees
    assert camera.horizontal_fov(camera.intrinsics_matrix(100.0, 100.0, -0.5, 0.0), 100) == pytest.approx(
        45, abs=1e-4
    )


def test_the_closed_form_inverse_is_the_inverse() -> None:
    k = torch.eye(3).repeat(5, 1, 1)
    k[:, :2] += torch.rand(5, 2, 3)
    k[:, 1, 0] = 0
    other = torch.rand(5, 3, 3)
    torch.testing.assert_close(camera.inverse_intrinsics(k) @ k, torch.eye(3).expand(5, 3, 3))
    torch.testing.assert_close(camera.divide_by_intrinsics(other, k) @ k, other)
