import torch

from mono2many.geometry.depth import depth_from_sigmoid, disparity_from_sigmoid


def test_sigmoid_0_is_the_farthest_depth_and_1_the_nearest() -> None:
    ends = torch.tensor([0.0, 1.0], dtype=torch.float64)
    torch.testing.assert_close(depth_from_sigmoid(ends, 0.1, 100.0), torch.tensor([100.0, 0.1]).double())


def test_half_way_is_the_mean_disparity_not_the_mean_depth() -> None:
    half = depth_from_sigmoid(torch.tensor([0.5], dtype=torch.float64), 1.0, 4.0)
    torch.testing.assert_close(half, torch.tensor([1.6]).double())  # 1 / ((1 + 1/4) / 2)


def test_the_map_agrees_with_the_reference_program(parity: dict[str, torch.Tensor]) -> None:
    sigmoid = parity["sigmoid_samples"]
    disparity = disparity_from_sigmoid(sigmoid, 0.1, 100.0)
    torch.testing.assert_close(disparity, parity["disparity_of_samples"], rtol=1e-5, atol=0)
    depth = depth_from_sigmoid(sigmoid, 0.1, 100.0)
    torch.testing.assert_close(depth, parity["depth_of_samples"], rtol=1e-5, atol=0)
