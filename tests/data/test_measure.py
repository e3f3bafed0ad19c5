from itertools import islice, pairwise

import pytest
import torch
from torch.nn import functional as F

from mono2many.data.measure import (
    THRESHOLDS,
    displacement,
    find_blurred,
    find_cuts,
    grey_and_sharpness,
    measure_pairs,
    quick_agreement,
    quick_displacement,
    sharpness,
    shrink,
    thumbnail,
)
from mono2many.io.videos import timed_frames

HEIGHT, WIDTH = 96, 160


def texture(seed=0, height=HEIGHT, width=2 * WIDTH):
    """Random, smooth over a few pixels, 0 to 1."""
    noise = torch.rand(1, 1, height // 4, width // 4, generator=torch.Generator().manual_seed(seed))
    return F.interpolate(noise, size=(height, width), mode="bicubic").clamp(0, 1)[0]


def window(picture, left=0):
    return picture[..., left : left + WIDTH].contiguous()


def test_a_picture_beside_itself_has_not_moved():
    picture = window(texture())
    m = measure_pairs(picture, picture)
    assert (m.difference.item(), m.brightness.item()) == (0, 0)
    assert (m.shift.item(), m.most.item()) == pytest.approx((0, 0), abs=1e-6)
    assert m.agreement.item() > 0.99


@pytest.mark.parametrize("pixels", [1, 3, 8, 16])  # 16 of 160 is a tenth of the width
def test_a_picture_moved_by_k_pixels_measures_k(pixels):
    picture = texture()
    m = measure_pairs(window(picture), window(picture, pixels))
    assert m.shift.item() * WIDTH == pytest.approx(pixels, abs=0.1)
    assert m.most.item() * WIDTH == pytest.approx(pixels, abs=0.2)
    assert m.agreement.item() > 0.9


def test_pairs_are_measured_one_by_one():
    picture = texture()
    pairs = torch.cat([window(picture, left) for left in (0, 2, 6)])
    m = measure_pairs(pairs[:-1], pairs[1:])
    assert (m.shift * WIDTH).tolist() == pytest.approx([2, 4], abs=0.1)


def test_what_moves_right_and_down_has_a_positive_displacement():
    picture = texture(height=HEIGHT + 8)
    first, second = picture[:, 5:101, 20 : 20 + WIDTH], picture[:, 3:99, 16 : 16 + WIDTH]
    flow, _, textured = displacement(first, second)
    assert textured.all()
    assert flow.flatten(2).median(2).values[0].tolist() == pytest.approx([4, 2], abs=0.1)


def test_what_moves_in_two_fifths_of_the_picture_shows_in_the_upper_quartile_only():
    picture = texture()
    still, moved = window(picture), window(picture, 5)
    m = measure_pairs(still, torch.cat([still[..., :96], moved[..., 96:]], -1))
    assert m.shift.item() * WIDTH < 0.1
    assert m.most.item() * WIDTH == pytest.approx(5, abs=0.5)


def test_a_change_of_exposure_is_no_motion():
    picture = window(texture()) / 2
    m = measure_pairs(picture, picture + 0.125)
    assert m.brightness.item() == pytest.approx(0.125)
    assert m.most.item() * WIDTH < 0.05
    assert m.agreement.item() > 0.99


def test_two_scenes_do_not_agree():
    m = measure_pairs(window(texture(0)), window(texture(1)))
    assert m.agreement.item() < 0.25


def test_pictures_without_texture_have_no_motion_and_do_not_agree():
    black, grey = torch.zeros(1, HEIGHT, WIDTH), torch.full((1, HEIGHT, WIDTH), 0.5)
    m = measure_pairs(black, grey)
    assert (m.shift.item(), m.most.item(), m.agreement.item(), m.difference.item()) == (0, 0, 0, 0.5)


def test_a_repeated_frame_is_not_static_too_and_a_static_camera_repeats_no_frame():
    frame = window(texture())
    noisy = frame + 0.01 * torch.randn(frame.shape, generator=torch.Generator().manual_seed(0))
    m = measure_pairs(frame.expand(2, -1, -1), torch.cat([frame, noisy]))
    assert (m.repeated.tolist(), m.static.tolist()) == ([True, False], [False, True])


def test_a_chequerboard_is_sharp_and_a_ramp_is_not():
    rows, columns = torch.meshgrid(torch.arange(10), torch.arange(11), indexing="ij")
    board = ((rows + columns) % 2).float()  # every Laplacian is 4 or -4, half of each
    ramp = columns / 16
    both = sharpness(torch.stack([board, ramp]))
    assert both[0].item() == pytest.approx(16, rel=0.02)
    assert both[1].item() == pytest.approx(0, abs=1e-12)


def test_blur_lowers_sharpness():
    picture = window(texture())
    blurred = F.avg_pool2d(picture, 5, 1, 2)
    assert sharpness(blurred).item() < 0.5 * sharpness(picture).item()


def test_grey_weighs_the_colours_and_is_never_enlarged():
    red = torch.zeros(3, 400, 800, dtype=torch.uint8)
    red[0] = 255
    grey, _ = grey_and_sharpness(red)
    assert grey.shape == (1, 160, 320)
    assert grey.mean().item() == pytest.approx(0.299)
    assert shrink(torch.zeros(2, 40, 80), 100).shape == (2, 40, 80)


def test_a_cut_differs_more_than_the_motion_around_it():
    difference, agreement = [0.0, *[0.1] * 9], [1.0, *[0.9] * 9]
    assert find_cuts(difference, agreement) == []
    difference[5], agreement[5] = 0.3, 0.1
    assert find_cuts(difference, agreement) == [5]
    assert find_cuts([0.0, *[0.3] * 9], [1.0, *[0.1] * 9]) == []  # a whirling camera


def test_a_frame_is_blurred_beside_its_neighbours_not_beside_the_film():
    assert find_blurred([10.0] * 50 + [1.0] * 50) == []
    assert find_blurred([10.0] * 20 + [4.0] + [10.0] * 20) == [20]


def test_thumbnails_show_a_shift_by_one_percent_of_the_width_and_another_scene():
    def wave(by):
        return 0.5 + 0.3 * torch.sin((torch.arange(640.0) - by) / 40).expand(1, 3, 192, 640)

    still, moved = thumbnail(wave(0)), thumbnail(wave(6.4))
    assert quick_displacement(still, moved) == pytest.approx(0.01, rel=0.15)
    assert quick_displacement(still, 0.9 * still) < 1e-5  # darker: no motion
    coarse = [F.interpolate(torch.rand(1, 3, 12, 40), (192, 640), mode="bilinear") for _ in range(2)]
    one, other = map(thumbnail, coarse)
    assert quick_agreement(one, one.roll(2, -1)) > 0.9
    assert quick_agreement(one, other) < THRESHOLDS.quick_same_scene
    blank = torch.full_like(one, 0.5)
    assert (quick_displacement(blank, blank), quick_agreement(blank, blank)) == (0, 1)
    assert quick_agreement(one, blank) < THRESHOLDS.quick_same_scene


def test_on_thumbnails_the_highway_is_never_static_or_cut(road):
    frames = islice(timed_frames(road / "road.mp4", 320), 201)
    pairs = list(pairwise(thumbnail(image[None] / 255) for _, image in frames))
    assert min(quick_displacement(*pair) for pair in pairs) > THRESHOLDS.static
    assert min(quick_agreement(*pair) for pair in pairs) > THRESHOLDS.quick_same_scene
