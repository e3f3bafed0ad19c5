import math

import torch

from mono2many.geometry.pose import (
    invert,
    quaternion_from_rotation,
    rigid,
    rotation_from_axis_angle,
    rotation_from_quaternion,
    transform,
    transform_from_pose,
)


def test_no_motion_is_the_identity_and_its_gradient_is_finite() -> None:
    zero = torch.zeros(1, 3, requires_grad=True)
    matrix = transform_from_pose(zero, torch.zeros(1, 3))
    torch.testing.assert_close(matrix, torch.eye(4)[None])
    matrix.square().sum().backward()
    assert zero.grad is not None
    assert zero.grad.isfinite().all()


def test_a_quarter_turn_about_y_takes_forward_to_the_right() -> None:
    turn = rotation_from_axis_angle(torch.tensor([0.0, math.pi / 2, 0.0]))
    torch.testing.assert_close(turn @ torch.tensor([0.0, 0, 1]), torch.tensor([1.0, 0, 0]), atol=1e-6, rtol=0)


def test_a_motion_and_its_inverse_cancel_and_names_meet() -> None:
    b_from_a = transform_from_pose(torch.randn(5, 3), torch.randn(5, 3))
    c_from_b = transform_from_pose(torch.randn(5, 3), torch.randn(5, 3))
    a_from_c = invert(c_from_b @ b_from_a)
    torch.testing.assert_close(
        a_from_c @ c_from_b @ b_from_a, torch.eye(4).expand(5, 4, 4), atol=1e-5, rtol=0
    )


def test_points_are_turned_first_and_shifted_after() -> None:
    half_turn_about_z = torch.diag(torch.tensor([-1.0, -1, 1]))
    moved = transform(rigid(half_turn_about_z, torch.tensor([10.0, 0, 0])), torch.tensor([[1.0], [2], [3]]))
    torch.testing.assert_close(moved, torch.tensor([[9.0], [-2], [3]]))


def test_motions_agree_with_the_reference_program(parity: dict[str, torch.Tensor]) -> None:
    matrix = transform_from_pose(parity["pose_axisangle"], parity["pose_translation"])
    torch.testing.assert_close(matrix, parity["pose_matrix"], rtol=1e-5, atol=1e-7)
    torch.testing.assert_close(invert(matrix), parity["pose_matrix_inverted"], rtol=1e-5, atol=1e-7)


def test_a_quaternion_turns_as_its_axis_and_half_its_angle_say_and_comes_back_from_the_matrix() -> None:
    half = math.sqrt(0.5)
    turn = rotation_from_quaternion(torch.tensor([0, 2 * half, 0, 2 * half]))  # any length
    torch.testing.assert_close(turn @ torch.tensor([0.0, 0, 1]), torch.tensor([1.0, 0, 0]), atol=1e-6, rtol=0)
    for xyzw in ([0, 0, 0, 1.0], [0, 0, 1, 0], [0.6, 0.8, 0, 0], [-0.7, 0.1, 0.7, 0.1]):
        quaternion = torch.tensor(xyzw).double()
        matrix = rotation_from_quaternion(quaternion)
        found = rotation_from_quaternion(quaternion_from_rotation(matrix))
        torch.testing.assert_close(found, matrix, atol=1e-12, rtol=0)
