"""The objectives against the reference programs, on the tensors of parity.npz."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from mono2many.geometry.pose import invert, transform_from_pose
from mono2many.losses.objective import (
    Head,
    Matching,
    MonoTerms,
    PyramidLevel,
    Synthesis,
    many_objective,
    mono_objective,
    pyramid_level,
)

PLAIN = MonoTerms(mask_unseen=False)
"""As the reference program: nothing is masked but by the auto-mask."""


def parity_level(parity: dict[str, Tensor], terms: MonoTerms) -> PyramidLevel:
    exists, camera = torch.ones(2, 2, dtype=torch.bool), parity["K"]
    cameras = (camera, camera[:, None].expand(-1, 2, -1, -1))
    return pyramid_level(parity["target"], parity["sources"], exists, *cameras, terms)


def reference(parity: dict[str, Tensor], terms: MonoTerms) -> dict[str, Tensor]:
    """Loss and gradients on the reference's tensors, all four scales judged at full size."""
    turn = parity["loss_axisangle"].clone().requires_grad_()
    shift = parity["loss_translation"].clone().requires_grad_()
    sigmoids = [parity[f"sigmoid_scale{s}"].clone().requires_grad_() for s in range(4)]
    said = transform_from_pose(turn, shift)
    motion = torch.stack([invert(said[:, 0]), said[:, 1]], 1)
    level = parity_level(parity, terms)
    heads = [
        Head(sigmoid[:, 0], 0, parity[f"target_scale{s}"], motion, s) for s, sigmoid in enumerate(sigmoids)
    ]
    loss, _, made = mono_objective(heads, {0: level}, terms)
    loss.backward()
    assert turn.grad is not None
    assert shift.grad is not None
    grads = {f"mono_grad_sigmoid{s}": x.grad for s, x in enumerate(sigmoids) if x.grad is not None}
    values = {"source_from_target": motion, "depth_scale0": made.depth[:, None], "warped_scale0": made.views}
    return {
        **values,
        **grads,
        "mono_loss": loss[None],
        "mono_grad_axisangle": turn.grad,
        "mono_grad_translation": shift.grad,
    }


def test_loss_and_gradients_agree_with_the_reference_program(parity: dict[str, Tensor]) -> None:
    for name, ours in reference(parity, PLAIN).items():
        theirs = parity[name]
        limit = 1e-4 if "grad" in name else 1e-5
        assert (ours - theirs).abs().max() <= limit * theirs.abs().max(), name


def test_the_teachers_loss_agrees_with_the_reference_program(parity: dict[str, Tensor]) -> None:
    ours = reference(parity, replace(PLAIN, reduction="masked"))
    torch.testing.assert_close(ours["mono_loss"], parity["teacher_loss"], rtol=1e-5, atol=0)
    for name in ("grad_sigmoid0", "grad_translation"):
        theirs = parity[f"teacher_{name}"]
        assert (ours[f"mono_{name}"] - theirs).abs().max() <= 1e-4 * theirs.abs().max(), name


@pytest.mark.parametrize(
    ("augmented", "suffix"), [((False, False), ""), ((False, True), "_second_sample_augmented")]
)
def test_the_students_loss_agrees_with_the_reference_program(
    parity: dict[str, Tensor], augmented: tuple[bool, bool], suffix: str
) -> None:
    sigmoids = [parity[f"sigmoid_scale{s}"][:, 0].clone().requires_grad_() for s in range(4)]
    teacher = [parity[f"teacher_sigmoid_scale{s}"][:, 0].clone().requires_grad_() for s in range(4)]
    motion = parity["source_from_target"].clone().requires_grad_()
    level = parity_level(parity, PLAIN)

    valid = parity["confidence_quarter"].bool() & ~torch.tensor(augmented)[:, None, None]

    def loss_of(scales: range) -> tuple[Tensor, dict[str, Tensor], Synthesis]:
        return many_objective(
            [Head(sigmoids[s], 0, parity[f"target_scale{s}"], motion, s) for s in scales],
            [teacher[s] for s in scales],
            Matching(1 / parity["lowest_cost_disparity_quarter"], valid),
            {0: level},
            PLAIN,
        )

    loss, _, _ = loss_of(range(4))
    loss.backward()
    torch.testing.assert_close(loss[None], parity[f"student_loss{suffix}"], rtol=1e-5, atol=0)
    ours, theirs = sigmoids[0].grad, parity[f"student_grad_sigmoid0{suffix}"][:, 0]
    assert ours is not None
    assert (ours - theirs).abs().max() <= 1e-4 * theirs.abs().max()
    assert motion.grad is None
    assert all(x.grad is None for x in teacher)
    if not suffix:
        _, parts, _ = loss_of(range(1))
        for part, name in (("photometric", "reprojection"), ("consistency", "consistency")):
            torch.testing.assert_close(parts[part][None], parity[f"student_{name}_scale0"], rtol=1e-5, atol=0)


@pytest.mark.parametrize("scale", range(4))
def test_each_scale_agrees_with_the_reference_program(parity: dict[str, Tensor], scale: int) -> None:
    motion = parity["source_from_target"]
    level = parity_level(parity, PLAIN)
    one = Head(parity[f"sigmoid_scale{scale}"][:, 0], 0, parity[f"target_scale{scale}"], motion, scale)
    loss, _, _ = mono_objective([one], {0: level}, PLAIN)
    torch.testing.assert_close(loss[None], parity[f"mono_loss_scale{scale}"], rtol=1e-5, atol=0)


@pytest.mark.parametrize(
    ("name", "terms"),
    [
        ("average", replace(PLAIN, combine="average")),
        ("no_automask", replace(PLAIN, automask=False)),
        ("no_ssim", replace(PLAIN, ssim=False)),
    ],
)
def test_each_variant_agrees_with_the_reference_program(
    parity: dict[str, Tensor], name: str, terms: MonoTerms
) -> None:
    ours = reference(parity, terms)["mono_loss"]
    torch.testing.assert_close(ours, parity[f"mono_loss_{name}"], rtol=1e-5, atol=0)
