import math

import torch

from mono2many.losses.smoothness import edge_aware_smoothness


def test_a_step_costs_its_height_over_the_mean_and_less_at_a_picture_edge() -> None:
    sigmoid = torch.tensor([[[1.0, 3.0], [1.0, 3.0]]])  # mean 2: a step of 1
    plain, edge = torch.zeros(1, 3, 2, 2), torch.tensor([0.0, 0.5]).expand(1, 3, 2, 2)
    across, down = edge_aware_smoothness(sigmoid, plain)
    torch.testing.assert_close(across, torch.ones(1, 2, 1))
    assert torch.equal(down, torch.zeros(1, 1, 2))
    torch.testing.assert_close(edge_aware_smoothness(sigmoid, edge)[0], torch.full((1, 2, 1), math.exp(-0.5)))


def test_twice_the_disparity_is_as_smooth() -> None:
    sigmoid, image = torch.rand(1, 6, 8), torch.rand(1, 3, 6, 8)
    for once, twice in zip(
        edge_aware_smoothness(sigmoid, image), edge_aware_smoothness(2 * sigmoid, image), strict=True
    ):
        torch.testing.assert_close(once, twice, rtol=1e-5, atol=1e-6)


def test_it_agrees_with_the_reference_program(parity: dict[str, torch.Tensor]) -> None:
    across, down = edge_aware_smoothness(parity["sigmoid_scale0"][:, 0], parity["target_scale0"])
    torch.testing.assert_close(across.mean() + down.mean(), parity["smoothness_scale0"][0], rtol=1e-5, atol=0)
