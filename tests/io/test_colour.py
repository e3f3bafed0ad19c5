import torch

from mono2many.io import colour

NAN = float("nan")


def brightness(image):
    return image.float().sum(0)


def test_nearer_is_brighter_and_unknown_is_black():
    disparity = torch.linspace(0.1, 1.0, 50).expand(4, 50).clone()
    disparity[0, 49] = NAN
    painted = colour.colour_disparity(disparity)
    assert painted.dtype == torch.uint8
    assert painted[:, 0, 49].tolist() == [0, 0, 0]
    row = brightness(painted)[1, 2:48]
    assert (row.diff() >= 0).all()
    assert row[-1] > row[0] + 300


def test_given_ends_get_the_ends_of_the_palette():
    painted = colour.colour_disparity(torch.tensor([[0.0, 1.0, 5.0]]), low=0.0, high=1.0)
    dark, bright, beyond = painted[:, 0].T.tolist()
    assert max(dark) < 5
    assert min(bright[:2]) > 180
    assert beyond == bright


def test_a_flat_picture_is_painted_without_dividing_by_zero():
    assert colour.colour_disparity(torch.full((3, 3), 0.5)).shape == (3, 3, 3)
    assert colour.colour_disparity(torch.full((3, 3), NAN)).sum() == 0


def test_the_robust_range_is_two_percentiles_of_the_finite_values():
    values = torch.cat([torch.arange(101.0), torch.tensor([NAN, float("inf")])])
    assert colour.robust_range(values) == (1.0, 98.0)


def test_too_near_is_blue_and_too_far_is_red_and_no_truth_is_black():
    painted = colour.colour_depth_error(torch.tensor([[5.0, 20.0, 10.0]]), torch.tensor([[10.0, 10.0, NAN]]))
    near, far, unknown = painted[:, 0].int().unbind(1)
    assert near[2] > near[0] + 50
    assert far[0] > far[2] + 50
    assert unknown.tolist() == [0, 0, 0]
