"""What ManyDepth's student believes, and its teacher's part in it: on paper, then against the reference."""

import pytest
import torch
from torch import Tensor

from mono2many.geometry.depth import depth_from_sigmoid
from mono2many.losses.consistency import (
    consistency,
    consistency_mask,
    running_range,
    volume_augmentation,
)

SURE = torch.ones(1, 1, 3, dtype=torch.bool)


def test_only_less_than_twice_and_more_than_half_the_teachers_depth_is_trusted() -> None:
    teacher = torch.full((1, 1, 3), 4.0)
    for best, expected in (
        ([4.0, 7.9375, 2.0625], True),
        ([8.0, 2.0, 100.0], False),  # the bounds themselves do not count
    ):
        assert torch.equal(
            consistency_mask(torch.tensor([[best]]), SURE, teacher), torch.full((1, 1, 3), expected)
        )


def test_a_cell_that_was_not_compared_is_not_consistent() -> None:
    depth, valid = torch.full((2, 1, 3), 4.0), torch.tensor([[[True, False, True]], [[False] * 3]])
    assert torch.equal(consistency_mask(depth, valid, depth), valid)


def test_each_cell_of_the_volume_answers_for_its_block_of_pixels() -> None:
    teacher = torch.full((1, 4, 8), 1.0)
    found = consistency_mask(torch.tensor([[[1.0, 9.0]]]), SURE[..., :2], teacher)
    assert torch.equal(found, (torch.arange(8) < 4).expand(1, 4, 8))


def test_a_trusted_pixel_owes_the_teacher_nothing_and_the_teacher_learns_nothing() -> None:
    depth = torch.tensor([[[5.0, 5.0, 1.0]]], requires_grad=True)
    teacher = torch.full((1, 1, 3), 3.0, requires_grad=True)
    error = consistency(depth, teacher, torch.tensor([[[True, False, False]]]))
    error.sum().backward()
    assert error.tolist() == [[[0.0, 2.0, 2.0]]]
    assert depth.grad is not None
    assert depth.grad.tolist() == [[[0.0, 1.0, -1.0]]]
    assert teacher.grad is None
    share = consistency(depth, teacher, torch.tensor([[[True, False, False]]]), relative=True)
    assert share.tolist() == [[[0.0, pytest.approx(2 / 3), pytest.approx(2 / 3)]]]
    assert torch.equal(
        share, consistency(100 * depth, 100 * teacher, torch.tensor([[[True, False, False]]]), relative=True)
    )


def test_the_range_follows_the_teacher_by_a_hundredth_of_the_way() -> None:
    depth = torch.tensor([[[2.0, 8.0]], [[4.0, 12.0]]], requires_grad=True)  # mean least 3, mean greatest 10
    near, far = running_range(torch.tensor(1.0), torch.tensor(20.0), depth)
    assert float(near) == pytest.approx(0.99 * 1 + 0.01 * 2.7)
    assert float(far) == pytest.approx(0.99 * 20 + 0.01 * 11)
    assert not near.requires_grad
    assert not far.requires_grad


def test_the_range_does_not_follow_below_the_least_depth() -> None:
    near, _ = running_range(torch.tensor(0.1), torch.tensor(10.0), torch.full((1, 1, 1), 0.01))
    assert float(near) == pytest.approx(0.1)


def test_a_quarter_of_the_draws_stands_still_and_a_quarter_sees_nothing() -> None:
    static, empty = volume_augmentation(torch.tensor([0.0, 0.24, 0.25, 0.49, 0.5, 0.99]))
    assert static.tolist() == [True, True, False, False, False, False]
    assert empty.tolist() == [False, False, True, True, False, False]


@pytest.mark.parametrize("name", ["motion_mask", "trust_mask"])
def test_masks_agree_with_the_reference_program(parity: dict[str, Tensor], name: str) -> None:
    teacher = depth_from_sigmoid(parity["teacher_sigmoid_scale0"][:, 0], 0.1, 100.0)
    sure = parity["confidence_quarter"].bool() | (name == "motion_mask")
    found = consistency_mask(1 / parity["lowest_cost_disparity_quarter"], sure, teacher)
    assert torch.equal(found.float(), parity[name])
