"""The objectives on images whose loss can be told beforehand; test_parity.py compares with the reference."""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from mono2many.geometry.camera import intrinsics_matrix
from mono2many.losses.objective import (
    Head,
    Matching,
    MonoTerms,
    PyramidLevel,
    Synthesis,
    below_floor,
    many_objective,
    mean_over_mask,
    mono_objective,
    pyramid_level,
    resize_map,
)

PLAIN = MonoTerms(mask_unseen=False)
"""As the reference program: nothing is masked but by the auto-mask."""
STILL = torch.eye(4).expand(1, 2, 4, 4)


def shifted(x: float) -> Tensor:
    """A sideways translation of both sources."""
    poses = STILL.clone()
    poses[..., 0, 3] = x
    return poses


def level_of(
    target: Tensor,
    sources: Tensor,
    terms: MonoTerms,
    exists: Tensor | None = None,
    valid_mask: Tensor | None = None,
) -> PyramidLevel:
    camera = intrinsics_matrix(20.0, 20.0, 7.5, 3.5).expand(len(target), 3, 3)
    exists = torch.ones(len(target), 2, dtype=torch.bool) if exists is None else exists
    cameras = (camera, camera[:, None].expand(-1, 2, 3, 3))
    return pyramid_level(target, sources, exists, *cameras, terms, valid_mask=valid_mask)


def head(
    target: Tensor, sigmoid: Tensor, motion: Tensor = STILL, explainability_mask: Tensor | None = None
) -> Head:
    return Head(sigmoid, 0, target, motion, explainability_mask=explainability_mask)


def test_a_still_scene_seen_by_a_still_camera_costs_nothing_but_noise() -> None:
    target = torch.rand(1, 3, 8, 16)
    terms = MonoTerms(automask=False)
    level = level_of(target, target[:, None].expand(1, 2, 3, 8, 16), terms)
    loss, parts, _ = mono_objective([head(target, torch.full((1, 8, 16), 0.3))], {0: level}, terms)
    assert loss < 1e-5
    assert parts["smoothness"] == 0


def test_pixels_that_standing_still_explains_stay_in_the_mean_as_constants() -> None:
    target = torch.rand(1, 3, 8, 16)
    sources = target[:, None].expand(1, 2, 3, 8, 16)  # nothing moved: standing still is perfect
    sigmoid = torch.full((1, 8, 16), 0.3, requires_grad=True)
    moved = shifted(0.5)
    terms = MonoTerms(smoothness=0.0)
    level = level_of(target, sources, terms)
    loss, _, made = mono_objective([head(target, sigmoid, moved)], {0: level}, terms)
    loss.backward()
    assert not made.loss_mask.any()
    assert loss < 1e-7
    assert sigmoid.grad is not None
    assert torch.equal(sigmoid.grad, torch.zeros_like(sigmoid))


def test_only_what_lies_below_the_ground_pays_the_hinge() -> None:
    target = torch.rand(1, 3, 8, 16)
    sources = target[:, None].expand(1, 2, 3, 8, 16)
    terms = MonoTerms(mask_unseen=False, ground=0.1, smoothness=0.0)
    level, one = level_of(target, sources, terms), head(target, torch.full((1, 8, 16), 0.3), shifted(0.5))
    d = 1 / mono_objective([one], {0: level}, terms)[2].depth
    plane = torch.zeros_like(d)
    plane[..., :4], plane[..., 4:8] = 2 * d[..., :4], 0.9 * d[..., 4:8]  # a hole, what stands, no ground
    loss, parts, _ = mono_objective([replace(one, ground=plane)], {0: level}, terms)
    # a quarter of the pixels is 0.9 * 2 d - d = 0.8 d below
    assert parts["ground"].item() == pytest.approx(0.1 * 0.8 / 4, rel=1e-5)
    assert loss.item() == pytest.approx((parts["ground"] + parts["photometric"]).item())


@pytest.mark.parametrize("automask", [True, False])
@pytest.mark.parametrize("combine", ["minimum", "average"])
@pytest.mark.parametrize("reduction", ["all", "masked"])
def test_no_source_at_all_gives_zero_loss_and_finite_gradients(
    automask: bool, combine: str, reduction: str
) -> None:
    target, sigmoid = torch.rand(1, 3, 8, 16), torch.rand(1, 8, 16, requires_grad=True)
    terms = replace(MonoTerms(smoothness=0.0, automask=automask), combine=combine, reduction=reduction)
    none = torch.zeros(1, 2, dtype=torch.bool)
    level = level_of(target, torch.zeros(1, 2, 3, 8, 16), terms, none)
    loss, _, _ = mono_objective([head(target, sigmoid)], {0: level}, terms)
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
    moved = shifted(0.1)
    terms = replace(MonoTerms(smoothness=0.0, automask=False), combine=combine)
    level = level_of(target, sources, terms, valid_mask=valid_mask)
    loss, _, made = mono_objective([head(target, sigmoid, moved)], {0: level}, terms)
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
        level = level_of(target, torch.stack([source, absent], 1), MonoTerms(), exists)
        losses.append(mono_objective([head(target, sigmoid)], {0: level}, MonoTerms())[0])
    assert losses[0] == losses[1]


def test_the_predicted_mask_scales_the_error_and_is_pulled_towards_one() -> None:
    target, source = torch.rand(1, 3, 8, 16), torch.rand(1, 2, 3, 8, 16)
    terms = MonoTerms(automask=False, smoothness=0.0, mask_unseen=False)
    level = level_of(target, source, terms)
    sigmoid = torch.full((1, 8, 16), 0.3)
    whole, _, _ = mono_objective([head(target, sigmoid)], {0: level}, terms)
    half = torch.full((1, 2, 8, 16), 0.5)
    masked = head(target, sigmoid, explainability_mask=half)
    halved, parts, _ = mono_objective([masked], {0: level}, terms)
    torch.testing.assert_close(parts["predictive_mask"], 0.2 * torch.tensor(2.0).log())
    torch.testing.assert_close(halved, 0.5 * whole + 0.2 * torch.tensor(2.0).log())


def test_the_mean_over_a_mask_is_that_of_its_pixels_and_0_where_it_is_empty() -> None:
    values, loss_mask = torch.tensor([[[2.0, 4.0, 9.0, 0.0]]]), torch.tensor([[[True, True, False, False]]])
    torch.testing.assert_close(mean_over_mask(values, loss_mask), torch.tensor(3.0))
    assert mean_over_mask(values, torch.zeros_like(loss_mask)) == 0


def test_what_standing_still_explains_better_does_not_dilute_the_mean_over_kept_pixels() -> None:
    target, sources = torch.rand(1, 3, 8, 16), torch.rand(1, 2, 3, 8, 16)
    moved = shifted(0.5)
    terms = MonoTerms(reduction="masked")
    level = level_of(target, sources, terms)
    one = head(target, torch.full((1, 8, 16), 0.05), moved)
    _, parts, made = mono_objective([one], {0: level}, terms)
    assert 0 < made.loss_mask.sum() < 128
    torch.testing.assert_close(parts["photometric"], made.error[made.loss_mask].mean())


def student(
    sure: Tensor, best: float, terms: MonoTerms, sigmoid: Tensor, motion: Tensor = STILL
) -> tuple[Tensor, dict[str, Tensor], Synthesis, PyramidLevel, Tensor]:
    """The student's loss where its teacher says 2 everywhere and matching says `best`."""
    target, sources = torch.rand(1, 3, 8, 16), torch.rand(1, 2, 3, 8, 16)
    level = level_of(target, sources, terms)
    teacher = torch.full((1, 8, 16), sigmoid_of(2.0))
    found = many_objective(
        [head(target, sigmoid, motion)],
        [teacher],
        Matching(torch.full((1, 2, 4), best), sure),
        {0: level},
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
    plain, _, _ = mono_objective([head(target, sigmoid)], {0: level}, replace(PLAIN, automask=False))
    assert made.loss_mask.all()
    assert parts["consistency"] == 0
    torch.testing.assert_close(loss, plain)
    assert not loss.requires_grad  # the motion is the teacher's business


def test_where_no_volume_is_a_student_may_learn_as_its_teacher_does() -> None:
    target, sources = torch.rand(2, 3, 8, 16), torch.rand(2, 2, 3, 8, 16)
    level = level_of(target, sources, PLAIN)
    sigmoid, teacher = (torch.full((2, 8, 16), sigmoid_of(depth)) for depth in (5.0, 2.0))
    moved = shifted(0.5)
    one = head(target, sigmoid, moved.expand(2, -1, -1, -1))
    sure = torch.tensor([[True, False], [True, True]]).unsqueeze(1).repeat_interleave(2, 2)  # B 1 4
    best = torch.full((2, 1, 4), 9.0)  # not to be trusted beside 2
    spoiled = torch.tensor([False, True])
    valid = sure & ~spoiled[:, None, None]
    given = ([one], [teacher], Matching(best, valid), {0: level}, PLAIN)
    _, parts, made = many_objective(*given, by_pixels=True)
    _, _, plain = mono_objective([one], {0: level}, PLAIN)
    consistent = torch.ones(2, 8, 16, dtype=torch.bool)
    consistent[0, :, :8] = False  # compared, and not trusted: held to the teacher
    assert torch.equal(made.loss_mask, plain.loss_mask & consistent)
    assert 0.1 < made.loss_mask.float().mean() < 0.7
    assert float(parts["consistency"]) == pytest.approx(0.375, rel=1e-5)  # 3 of 2 in a quarter of the pixels
    _, held, _ = many_objective(*given)
    assert float(held["consistency"]) == pytest.approx(3, rel=1e-5)


def test_a_student_judged_at_a_coarser_level_asks_its_teacher_there() -> None:
    target, sources = torch.rand(1, 3, 4, 8), torch.rand(1, 2, 3, 4, 8)
    level = level_of(target, sources, PLAIN)
    teacher = torch.full((1, 8, 16), sigmoid_of(2.0))
    one = Head(torch.full((1, 4, 8), sigmoid_of(5.0)), 1, target, STILL, 1)
    sure = torch.tensor([[[True, True, False, False]] * 2])
    matching = Matching(torch.full((1, 2, 4), 2.0), sure)
    _, parts, made = many_objective([one], [teacher], matching, {1: level}, PLAIN)
    assert torch.equal(made.loss_mask, (torch.arange(8) < 4).expand(1, 4, 8))
    assert float(parts["consistency"]) == pytest.approx(1.5, rel=1e-5)  # 3 in half of the pixels


def test_maps_shrink_by_the_mean_of_blocks() -> None:
    assert torch.equal(resize_map(torch.tensor([[[1.0, 3], [5, 7]]]), (1, 1)), torch.tensor([[[4.0]]]))


def test_the_floor_costs_nothing_above_it_and_pulls_back_what_is_almost_gone() -> None:
    assert float(below_floor(torch.full((1, 2, 2), 0.2), 0.1)) == 0
    assert float(below_floor(torch.full((1, 2, 2), 0.1 / math.e), 0.1)) == pytest.approx(0.05)  # ln e = 1
    logits = torch.full((1, 2, 2), -20.0, requires_grad=True)
    below_floor(logits.sigmoid(), 0.1).backward()
    assert logits.grad is not None
    # d/dx 0.05 ln(0.1 / s)^2 = -0.1 ln(0.1 / s) (1 - s), shared by four pixels
    assert logits.grad.sum() == pytest.approx(-0.1 * (math.log(0.1) + 20), rel=1e-3)


def test_pixels_that_no_source_sees_count_as_un_warped_instead_of_as_perfect() -> None:
    target, sources = torch.rand(1, 3, 8, 16), torch.rand(1, 2, 3, 8, 16)
    level = level_of(target, sources, MonoTerms(automask=False))
    away = shifted(1e3)  # every view leaves the image
    one = head(target, torch.full((1, 8, 16), 0.5), away)
    _, parts, made = mono_objective([one], {0: level}, MonoTerms(automask=False))
    assert not made.any_valid.any()
    assert torch.equal(parts["photometric"], level.identity_error.mean())


@pytest.mark.parametrize("reduction", ["all", "masked"])
@pytest.mark.parametrize("many", [False, True])
def test_heads_of_one_level_in_one_batch_give_what_each_gives_alone(reduction: str, many: bool) -> None:
    """Of two levels, each map with its own poses, ground and explainability mask."""
    terms = replace(MonoTerms(ground=0.1), reduction=reduction)
    images = {k: (torch.rand(2, 3, 8 >> k, 16 >> k), torch.rand(2, 2, 3, 8 >> k, 16 >> k)) for k in (0, 1)}
    levels = {k: level_of(*given, terms) for k, given in images.items()}
    heads = []
    for scale, level in ((0, 0), (1, 0), (2, 1), (0, 1)):
        sigmoid = torch.rand(2, 8 >> scale, 16 >> scale, requires_grad=True)
        poses = STILL.repeat(2, 1, 1, 1) + 0.1 * torch.randn(2, 2, 4, 4)
        image = torch.rand(2, 3, *sigmoid.shape[-2:])
        further = torch.rand(2, 2, *sigmoid.shape[-2:]), torch.rand(2, *levels[level].size)
        heads.append(Head(sigmoid, level, image, poses, scale, *further))
    matching = Matching(5 * torch.rand(2, 2, 4), torch.rand(2, 2, 4) < 0.7)

    teacher = torch.rand(2, 8, 16)

    def loss_of(some: list[Head]) -> tuple[Tensor, dict[str, Tensor], Synthesis]:
        if many:
            return many_objective(some, [teacher] * len(some), matching, levels, terms)
        return mono_objective(some, levels, terms)

    together, parts, made = loss_of(heads)
    alone = [loss_of([head]) for head in heads]
    mean = torch.stack([loss for loss, _, _ in alone]).mean()
    torch.testing.assert_close(together, mean)
    for name in ("photometric", "smoothness", "ground", "predictive_mask"):
        torch.testing.assert_close(parts[name], torch.stack([found[name] for _, found, _ in alone]).mean())
    torch.testing.assert_close(made.error, alone[0][2].error)
    maps = [head.sigmoid for head in heads]
    for ours, other in zip(*(torch.autograd.grad(loss, maps) for loss in (together, mean)), strict=True):
        torch.testing.assert_close(ours, other)
