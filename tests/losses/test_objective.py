"""The objectives, first on pictures whose loss can be told beforehand, then against the reference."""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from mono2many.geometry.camera import intrinsics_matrix
from mono2many.geometry.pose import invert, transform_from_pose
from mono2many.losses.objective import (
    Head,
    Matching,
    MonoTerms,
    PyramidLevel,
    Synthesis,
    many_objective,
    mean_over_all,
    mean_over_mask,
    mono_objective,
    pyramid_level,
    resize_map,
)

PLAIN = MonoTerms(mask_unseen=False)
"""As the reference program: nothing is masked but by the auto-mask."""
STILL = torch.eye(4).expand(1, 2, 4, 4)
BOTH = torch.ones(1, 2, dtype=torch.bool)


def level_of(target: Tensor, sources: Tensor, exists: Tensor, terms: MonoTerms) -> PyramidLevel:
    camera = intrinsics_matrix(20.0, 20.0, 7.5, 3.5).expand(len(target), 3, 3)
    return pyramid_level(target, sources, exists, camera, camera[:, None].expand(-1, 2, 3, 3), terms)


def head(
    target: Tensor, sigmoid: Tensor, motion: Tensor = STILL, explainability_mask: Tensor | None = None
) -> Head:
    return Head(sigmoid, 0, target, motion, explainability_mask=explainability_mask)


def test_a_still_scene_seen_by_a_still_camera_costs_nothing_but_noise() -> None:
    target = torch.rand(1, 3, 8, 16)
    terms = MonoTerms(automask=False)
    level = level_of(target, target[:, None].expand(1, 2, 3, 8, 16), BOTH, terms)
    loss, parts, _ = mono_objective([head(target, torch.full((1, 8, 16), 0.3))], {0: level}, BOTH, terms)
    assert loss < 1e-5
    assert parts["smoothness"] == 0


def test_pixels_that_standing_still_explains_stay_in_the_mean_as_constants() -> None:
    target = torch.rand(1, 3, 8, 16)
    sources = target[:, None].expand(1, 2, 3, 8, 16)  # nothing moved: standing still is perfect
    sigmoid = torch.full((1, 8, 16), 0.3, requires_grad=True)
    moved = STILL.clone()
    moved[..., 0, 3] = 0.5
    terms = MonoTerms(smoothness=0.0)
    level = level_of(target, sources, BOTH, terms)
    loss, _, made = mono_objective([head(target, sigmoid, moved)], {0: level}, BOTH, terms)
    loss.backward()
    assert not made.loss_mask.any()
    assert loss < 1e-7
    assert sigmoid.grad is not None
    assert torch.equal(sigmoid.grad, torch.zeros_like(sigmoid))


@pytest.mark.parametrize("automask", [True, False])
@pytest.mark.parametrize("combine", ["minimum", "average"])
@pytest.mark.parametrize("reduction", ["all", "masked"])
def test_no_source_at_all_gives_zero_loss_and_finite_gradients(
    automask: bool, combine: str, reduction: str
) -> None:
    target, sigmoid = torch.rand(1, 3, 8, 16), torch.rand(1, 8, 16, requires_grad=True)
    terms = replace(MonoTerms(smoothness=0.0, automask=automask), combine=combine, reduction=reduction)
    none = torch.zeros(1, 2, dtype=torch.bool)
    level = level_of(target, torch.zeros(1, 2, 3, 8, 16), none, terms)
    loss, _, _ = mono_objective([head(target, sigmoid)], {0: level}, none, terms)
    loss.backward()
    assert loss == 0
    assert sigmoid.grad is not None
    assert sigmoid.grad.isfinite().all()


@pytest.mark.parametrize("combine", ["minimum", "average"])
def test_what_is_not_judged_teaches_nothing(combine: str) -> None:
    target, sources = torch.rand(1, 3, 8, 16), torch.rand(1, 2, 3, 8, 16)
    sigmoid = torch.full((1, 8, 16), 0.3, requires_grad=True)
    valid_mask = torch.ones(1, 8, 16, dtype=torch.bool)
    valid_mask[:, 4:] = False
    moved = STILL.clone()
    moved[..., 0, 3] = 0.1
    terms = replace(MonoTerms(smoothness=0.0, automask=False), combine=combine)
    level = replace(level_of(target, sources, BOTH, terms), valid_mask=valid_mask)
    loss, _, made = mono_objective([head(target, sigmoid, moved)], {0: level}, BOTH, terms)
    assert not made.loss_mask[:, 4:].any()
    assert made.loss_mask[:, :4].any()
    loss.backward()
    assert sigmoid.grad is not None
    assert (sigmoid.grad[:, 5:] == 0).all()  # the windows of 3x3 pixels reach one row further
    assert (sigmoid.grad[:, :4] != 0).any()


def test_an_absent_neighbour_changes_nothing() -> None:
    target, source = torch.rand(1, 3, 8, 16), torch.rand(1, 3, 8, 16)
    sigmoid = torch.rand(1, 8, 16)
    losses = []
    for absent in (torch.zeros(1, 3, 8, 16), target):  # even a perfect picture must not win if it is absent
        exists = torch.tensor([[True, False]])
        level = level_of(target, torch.stack([source, absent], 1), exists, MonoTerms())
        losses.append(mono_objective([head(target, sigmoid)], {0: level}, exists, MonoTerms())[0])
    assert losses[0] == losses[1]


def test_the_predicted_mask_scales_the_error_and_is_pulled_towards_one() -> None:
    target, source = torch.rand(1, 3, 8, 16), torch.rand(1, 2, 3, 8, 16)
    terms = MonoTerms(automask=False, smoothness=0.0, mask_unseen=False)
    level = level_of(target, source, BOTH, terms)
    sigmoid = torch.full((1, 8, 16), 0.3)
    whole, _, _ = mono_objective([head(target, sigmoid)], {0: level}, BOTH, terms)
    half = torch.full((1, 2, 8, 16), 0.5)
    halved, parts, _ = mono_objective(
        [head(target, sigmoid, explainability_mask=half)], {0: level}, BOTH, terms
    )
    torch.testing.assert_close(parts["predictive_mask"], 0.2 * torch.tensor(2.0).log())
    torch.testing.assert_close(halved, 0.5 * whole + 0.2 * torch.tensor(2.0).log())


def test_the_two_reductions_differ_by_the_share_of_kept_pixels() -> None:
    values, loss_mask = torch.tensor([[2.0, 4.0, 0.0, 0.0]]), torch.tensor([[True, True, False, False]])
    assert mean_over_all(values) == 1.5
    torch.testing.assert_close(mean_over_mask(values, loss_mask), torch.tensor(3.0))
    assert mean_over_mask(values, torch.zeros_like(loss_mask)) == 0


def test_what_standing_still_explains_better_does_not_dilute_the_mean_over_kept_pixels() -> None:
    target, sources = torch.rand(1, 3, 8, 16), torch.rand(1, 2, 3, 8, 16)
    moved = STILL.clone()
    moved[..., 0, 3] = 0.5
    terms = MonoTerms(reduction="masked")
    level = level_of(target, sources, BOTH, terms)
    one = head(target, torch.full((1, 8, 16), 0.05), moved)
    _, parts, made = mono_objective([one], {0: level}, BOTH, terms)
    assert 0 < made.loss_mask.sum() < 128
    torch.testing.assert_close(parts["photometric"], made.error[made.loss_mask].mean())


def student(
    sure: Tensor, best: float, terms: MonoTerms, sigmoid: Tensor, motion: Tensor = STILL
) -> tuple[Tensor, dict[str, Tensor], Synthesis, PyramidLevel, Tensor]:
    """The student's loss where its teacher says 2 everywhere and matching says `best`."""
    target, sources = torch.rand(1, 3, 8, 16), torch.rand(1, 2, 3, 8, 16)
    level = level_of(target, sources, BOTH, terms)
    teacher = torch.full((1, 8, 16), sigmoid_of(2.0))
    found = many_objective(
        [head(target, sigmoid, motion)],
        [teacher],
        Matching(torch.full((1, 2, 4), best), sure),
        {0: level},
        BOTH,
        terms,
    )
    return *found, level, target


def sigmoid_of(depth: float) -> float:
    return (1 / depth - 0.01) / 9.99


@pytest.mark.parametrize(("sure", "best"), [(True, 4.5), (False, 2.0)])
def test_a_student_that_trusts_nothing_learns_its_teachers_depth_alone(sure: bool, best: float) -> None:
    sigmoid = torch.full((1, 8, 16), sigmoid_of(5.0), requires_grad=True)
    loss, parts, made, _, _ = student(torch.full((1, 2, 4), sure), best, MonoTerms(), sigmoid)
    loss.backward()
    assert not made.loss_mask.any()
    assert parts["photometric"] == 0
    assert float(loss.detach()) == pytest.approx(3, rel=1e-5)  # |5 - 2|; a flat map is smooth
    assert sigmoid.grad is not None
    # depth = 1 / (0.01 + 9.99 sigmoid): each of 128 pixels pulls by -9.99 * 5^2 / 128
    torch.testing.assert_close(sigmoid.grad, torch.full_like(sigmoid, -9.99 * 25 / 128), rtol=1e-4, atol=0)


def test_a_student_that_trusts_all_learns_from_its_views_without_an_auto_mask() -> None:
    sigmoid = torch.full((1, 8, 16), sigmoid_of(5.0))
    motion = STILL.clone().requires_grad_()
    loss, parts, made, level, target = student(
        torch.ones(1, 2, 4, dtype=torch.bool), 2.0, PLAIN, sigmoid, motion
    )
    plain, _, _ = mono_objective([head(target, sigmoid)], {0: level}, BOTH, replace(PLAIN, automask=False))
    assert made.loss_mask.all()
    assert parts["consistency"] == 0
    torch.testing.assert_close(loss, plain)
    assert not loss.requires_grad  # the motion is the teacher's business


def test_where_no_volume_is_a_student_may_learn_as_its_teacher_does() -> None:
    target, sources = torch.rand(2, 3, 8, 16), torch.rand(2, 2, 3, 8, 16)
    exists = torch.ones(2, 2, dtype=torch.bool)
    level = level_of(target, sources, exists, PLAIN)
    sigmoid, teacher = (torch.full((2, 8, 16), sigmoid_of(depth)) for depth in (5.0, 2.0))
    moved = STILL.clone()
    moved[..., 0, 3] = 0.5
    one = head(target, sigmoid, moved.expand(2, -1, -1, -1))
    sure = torch.tensor([[True, False], [True, True]]).unsqueeze(1).repeat_interleave(2, 2)  # B 1 4
    best = torch.full((2, 1, 4), 9.0)  # not to be trusted beside 2
    spoiled = torch.tensor([False, True])
    valid = sure & ~spoiled[:, None, None]
    given = ([one], [teacher], Matching(best, valid), {0: level}, exists, PLAIN)
    _, parts, made = many_objective(*given, views_without_match=True)
    _, _, plain = mono_objective([one], {0: level}, exists, PLAIN)
    consistent = torch.ones(2, 8, 16, dtype=torch.bool)
    consistent[0, :, :8] = False  # compared, and not trusted: held to the teacher
    assert torch.equal(made.loss_mask, plain.loss_mask & consistent)
    assert 0.1 < made.loss_mask.float().mean() < 0.7
    assert float(parts["consistency"]) == pytest.approx(0.75, rel=1e-5)  # 3 in a quarter of the pixels
    _, held, _ = many_objective(*given)
    assert float(held["consistency"]) == pytest.approx(3, rel=1e-5)


def test_a_student_judged_at_a_coarser_level_asks_its_teacher_there() -> None:
    target, sources = torch.rand(1, 3, 4, 8), torch.rand(1, 2, 3, 4, 8)
    level = level_of(target, sources, BOTH, PLAIN)
    teacher = torch.full((1, 8, 16), sigmoid_of(2.0))
    one = Head(torch.full((1, 4, 8), sigmoid_of(5.0)), 1, target, STILL, 1)
    sure = torch.tensor([[[True, True, False, False]] * 2])
    matching = Matching(torch.full((1, 2, 4), 2.0), sure)
    _, parts, made = many_objective([one], [teacher], matching, {1: level}, BOTH, PLAIN)
    assert torch.equal(made.loss_mask, (torch.arange(8) < 4).expand(1, 4, 8))
    assert float(parts["consistency"]) == pytest.approx(1.5, rel=1e-5)  # 3 in half of the pixels


def test_maps_shrink_by_the_mean_of_blocks() -> None:
    assert torch.equal(resize_map(torch.tensor([[[1.0, 3], [5, 7]]]), (1, 1)), torch.tensor([[[4.0]]]))


def reference(parity: dict[str, Tensor], terms: MonoTerms) -> dict[str, Tensor]:
    """Loss and gradients on the reference's tensors, all four scales judged at full size."""
    turn = parity["loss_axisangle"].clone().requires_grad_()
    shift = parity["loss_translation"].clone().requires_grad_()
    sigmoids = [parity[f"sigmoid_scale{s}"].clone().requires_grad_() for s in range(4)]
    said = transform_from_pose(turn, shift)
    motion = torch.stack([invert(said[:, 0]), said[:, 1]], 1)
    exists = torch.ones(2, 2, dtype=torch.bool)
    camera = parity["K"]
    level = pyramid_level(
        parity["target"], parity["sources"], exists, camera, camera[:, None].expand(-1, 2, -1, -1), terms
    )
    heads = [
        Head(sigmoid[:, 0], 0, parity[f"target_scale{s}"], motion, s) for s, sigmoid in enumerate(sigmoids)
    ]
    loss, _, made = mono_objective(heads, {0: level}, exists, terms)
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
    exists, camera = torch.ones(2, 2, dtype=torch.bool), parity["K"]
    level = pyramid_level(
        parity["target"], parity["sources"], exists, camera, camera[:, None].expand(-1, 2, -1, -1), PLAIN
    )

    valid = parity["confidence_quarter"].bool() & ~torch.tensor(augmented)[:, None, None]

    def loss_of(scales: range) -> tuple[Tensor, dict[str, Tensor], Synthesis]:
        return many_objective(
            [Head(sigmoids[s], 0, parity[f"target_scale{s}"], motion, s) for s in scales],
            [teacher[s] for s in scales],
            Matching(1 / parity["lowest_cost_disparity_quarter"], valid),
            {0: level},
            exists,
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
    motion, camera = parity["source_from_target"], parity["K"]
    exists = torch.ones(2, 2, dtype=torch.bool)
    level = pyramid_level(
        parity["target"], parity["sources"], exists, camera, camera[:, None].expand(-1, 2, -1, -1), PLAIN
    )
    one = Head(parity[f"sigmoid_scale{scale}"][:, 0], 0, parity[f"target_scale{scale}"], motion, scale)
    loss, _, _ = mono_objective([one], {0: level}, exists, PLAIN)
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


def test_the_floor_costs_nothing_above_it_and_pulls_back_what_is_almost_gone() -> None:
    from mono2many.losses.objective import below_floor

    assert float(below_floor(torch.full((1, 2, 2), 0.2), 0.1)) == 0
    assert float(below_floor(torch.full((1, 2, 2), 0.1 / math.e), 0.1)) == pytest.approx(0.05)  # ln e = 1
    logits = torch.full((1, 2, 2), -20.0, requires_grad=True)
    below_floor(logits.sigmoid(), 0.1).backward()
    assert logits.grad is not None
    # d/dx 0.05 ln(0.1 / s)^2 = -0.1 ln(0.1 / s) (1 - s), shared by four pixels
    assert logits.grad.sum() == pytest.approx(-0.1 * (math.log(0.1) + 20), rel=1e-3)


def test_pixels_that_no_source_sees_count_as_un_warped_instead_of_as_perfect() -> None:
    target, sources = torch.rand(1, 3, 8, 16), torch.rand(1, 2, 3, 8, 16)
    level = level_of(target, sources, BOTH, MonoTerms(automask=False))
    away = STILL.clone()
    away[..., 0, 3] = 1e3  # every view leaves the image
    one = head(target, torch.full((1, 8, 16), 0.5), away)
    _, parts, made = mono_objective([one], {0: level}, BOTH, MonoTerms(automask=False))
    assert not made.any_valid.any()
    assert torch.equal(parts["photometric"], level.identity_error.mean())
