import pytest
import torch
from torch.nn import functional as F

from mono2many.data.measure import displacement, measure_pairs, sharpness, shrink, to_grey

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
    red = torch.zeros(1, 3, 40, 80, dtype=torch.uint8)
    red[:, 0] = 255
    assert to_grey(red, 40).shape == (1, 20, 40)
    assert to_grey(red, 40).mean().item() == pytest.approx(0.299)
    assert shrink(torch.zeros(2, 40, 80), 100).shape == (2, 40, 80)
