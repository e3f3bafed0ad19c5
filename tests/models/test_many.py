"""The student's twin is its own parts and one plain convolution."""

import math
from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mono2many.errors import InputError
from mono2many.geometry.pose import invert, transform_from_pose
from mono2many.geometry.sweep import Sweep, aggregate_cost, depth_hypotheses, grey_patches, plane_sweep
from mono2many.models.architecture import DecoderType, ManyArchitecture, MatchBy, PoseType
from mono2many.models.chain import chained_motion
from mono2many.models.many import ManyDepth
from mono2many.models.pixels import Gate, PixelStudentNet, median_around, relative_costs
from mono2many.models.pose import PoseNet, RelativePose
from mono2many.models.student import Student

LIGHT = ManyArchitecture(
    "light", "light", pose_type="light", hypotheses=12, matching=(-1, 1, -2), max_depth=50.0
)


def seen(batch: int = 2, frames: int = 3) -> dict[str, Tensor]:
    """A picture that its neighbours show shifted, so that something matches and something does not."""
    k = torch.tensor([[60.0, 0.0, 48.0], [0.0, 60.0, 32.0], [0.0, 0.0, 1.0]])
    image = F.interpolate(torch.rand(batch, 3, 16, 24), (64, 96), mode="bilinear")
    return {
        "image": image,
        "matching": torch.stack([image.roll(i + 1, -1) for i in range(frames)], 1),
        "exists": torch.ones(batch, frames, dtype=torch.bool),
        "intrinsics": k.repeat(batch, 1, 1),
    }


def away_from_rest(model: ManyDepth) -> ManyDepth:
    """Weights through which input shows in the output, motions of a size that the sweep notices."""
    with torch.no_grad():
        for module in model.depth.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)
        model.pose.trunk.out.bias.copy_(torch.tensor([0.0, 1.0, 0.0, 5.0, 0.0, 2.0]))  # type: ignore[union-attr, operator]
    return model.eval()


def flat(student: Student) -> list[Tensor]:
    more = [] if student.matching_residual is None else [student.matching_residual]
    return [*student.sigmoids, student.lowest_cost_depth, student.confidence, *more]


@pytest.fixture(scope="module")
def model() -> ManyDepth:
    torch.manual_seed(0)
    return away_from_rest(ManyDepth(LIGHT))


@torch.no_grad()
def test_the_student_is_its_encoder_cut_in_two_with_a_sweep_between(model: ManyDepth) -> None:
    s, net = seen(), model.depth
    features = net.matching_features(s["matching"].flatten(0, 1)).unflatten(0, (2, 3))
    motion = chained_motion(model.pose, s["image"], s["matching"], LIGHT.matching)
    found = model.match(**s)
    stride2, current = net.encoder.shallow(s["image"])
    assert current is not None
    camera = s["intrinsics"] * torch.tensor([[0.25], [0.25], [1.0]])  # cell j is pixel 4 j
    depths = depth_hypotheses(torch.tensor(0.1), torch.tensor(10.0), 12, "linear")
    sweep = plane_sweep(current, features, motion, s["exists"], camera, depths)
    assert 0.1 < sweep.confidence.float().mean() < 0.9
    volume = torch.where(sweep.confidence[:, None], sweep.volume, 0)
    plain = F.conv2d(F.pad(torch.cat([current, volume], 1), (1,) * 4), net.reduce.weight, net.reduce.bias)
    wanted = net.decoder([stride2, current, *net.encoder.deep(plain.clamp(min=0))])
    torch.testing.assert_close(found.sigmoids, wanted, rtol=0, atol=1e-5)
    assert torch.equal(found.confidence, sweep.confidence)
    assert torch.equal(found.lowest_cost_depth, depths[sweep.lowest_cost])
    disparity = model.disparity(**s)
    torch.testing.assert_close(disparity, 0.02 + (10 - 0.02) * wanted[0].squeeze(1))


@torch.no_grad()
def test_without_neighbours_it_does_not_matter_what_their_pictures_hold(model: ManyDepth) -> None:
    s = seen()
    alone = s | {"exists": torch.zeros_like(s["exists"])}
    first = model.match(**alone)
    again = model.match(**alone | {"matching": torch.rand_like(s["matching"])})
    torch.testing.assert_close(flat(first), flat(again), rtol=0, atol=0)
    assert not first.confidence.any()
    assert (first.sigmoids[0] - model.match(**s).sigmoids[0]).abs().max() > 0.01  # else they do matter
    one = s | {"exists": torch.tensor([[True, True, True], [False, False, False]])}
    mixed = model.match(**one).sigmoids[0]
    torch.testing.assert_close(mixed[1], first.sigmoids[0][1], rtol=1e-4, atol=1e-6)


@torch.no_grad()
def test_a_batch_of_two_is_two_batches_of_one(model: ManyDepth) -> None:
    s = seen()
    together = flat(model.match(**s))
    for i in range(2):
        single = flat(model.match(**{name: value[i : i + 1] for name, value in s.items()}))
        torch.testing.assert_close([t[i : i + 1] for t in together], single, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_pictures_to_compare_with_may_be_others_than_those_that_motion_is_told_from(model: ManyDepth) -> None:
    s = seen()
    other = torch.rand_like(s["matching"])
    motion = chained_motion(model.pose, s["image"], s["matching"], LIGHT.matching)
    features = model.depth.matching_features(other.flatten(0, 1)).unflatten(0, (2, 3))
    wanted = model.depth(model.depth.features(s["image"]), features, motion, s["exists"], s["intrinsics"])
    torch.testing.assert_close(flat(model.match(**s, sweep_images=other)), flat(wanted), rtol=0, atol=0)


def test_gradients_reach_the_current_frames_features_and_never_the_neighbours() -> None:
    model, s = away_from_rest(ManyDepth(LIGHT)), seen()
    image, matching = s["image"].requires_grad_(), s["matching"].requires_grad_()
    student = model.match(**s)
    assert student.confidence.any()
    student.sigmoids[0].mean().backward()
    assert image.grad is not None
    assert image.grad.abs().sum() > 0
    assert matching.grad is None
    reduce, first = model.depth.reduce.weight.grad, next(model.depth.encoder.parameters()).grad
    assert reduce is not None
    assert first is not None
    assert first.abs().sum() > 0
    assert reduce[:, -12:].abs().sum() > 0
    assert all(p.grad is None for part in (model.pose, model.teacher) for p in part.parameters())
    features = torch.rand(2, 3, 32, 16, 24, requires_grad=True)  # nor where a caller lets them
    motion = torch.eye(4).repeat(2, 3, 1, 1).requires_grad_()
    model.depth(model.depth.features(image), features, motion, s["exists"], s["intrinsics"]).sigmoids[
        0
    ].mean().backward()
    assert motion.grad is None
    assert features.grad is None


@pytest.mark.parametrize("match_by", ["features", "pixels"])
@pytest.mark.parametrize("pose_type", ["light", "posecnn"])
def test_one_call_gives_all_that_training_differentiates(match_by: MatchBy, pose_type: PoseType) -> None:
    torch.manual_seed(0)
    kinds = replace(LIGHT, match_by=match_by, pose_type=pose_type)
    model = away_from_rest(ManyDepth(kinds))
    s = seen()
    sources = s["matching"][:, [LIGHT.matching.index(-1), LIGHT.matching.index(1)]]
    student, motion, refined, teacher, sweep_range = model(
        s["image"], sources, (-1, 1), s["matching"], s["exists"], s["intrinsics"]
    )
    assert sweep_range == (model.depth.nearest, model.depth.farthest)
    torch.testing.assert_close(flat(student), flat(model.match(**s)), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(motion, model.pose(s["image"], sources, (-1, 1)), rtol=0, atol=0)
    disparity = (1 / LIGHT.min_depth - 1 / LIGHT.max_depth) * teacher[0].squeeze(1) + 1 / LIGHT.max_depth
    torch.testing.assert_close(model.teacher(s["image"]), disparity)
    assert [t.shape[-1] for t in teacher] == [t.shape[-1] for t in student.sigmoids] == [96, 48, 24, 12]
    if match_by == "pixels":  # of the loss's sources, in their order
        wanted = model.motion(s["image"], s["matching"], s["intrinsics"])[:, [0, 1]]
        torch.testing.assert_close(refined, wanted, rtol=1e-3, atol=1e-4)
    else:
        assert refined is None


class Counting(PoseNet):
    """Says of two pictures how much brighter the later one is: a motion that adds up along a chain."""

    def __init__(self, turn: float = 0.0) -> None:
        nn.Module.__init__(self)
        self.turn = turn

    def forward(self, target: Tensor, sources: Tensor, offsets: Sequence[int]) -> RelativePose:
        assert tuple(offsets) == (1,)  # the later picture second
        step = (sources[:, 0] - target).mean((1, 2, 3))[:, None, None] * torch.tensor([1.0, 2.0, 3.0])
        return RelativePose(step * torch.tensor([0.0, 0.0, self.turn]), step)


def test_motions_are_told_between_neighbours_and_chained() -> None:
    offsets = (-1, 1, -2, 2)
    levels = torch.tensor([[9.0, 11.5, 7.0, 14.0], [3.0, 4.0, 2.0, 5.0]])  # of the frames; now: 10 and 3.5
    matching = levels[:, :, None, None, None].expand(2, 4, 3, 32, 32)
    current = torch.tensor([10.0, 3.5])[:, None, None, None].expand(2, 3, 32, 32)
    motion = chained_motion(Counting(), current, matching, offsets)
    torch.testing.assert_close(motion[0, :, 0, 3], torch.tensor([-1.0, 1.5, -3.0, 4.0]))
    torch.testing.assert_close(motion[1, :, 2, 3], 3 * torch.tensor([-0.5, 0.5, -1.5, 1.5]))
    half = chained_motion(Counting(), current, matching, offsets, torch.tensor([0.5, 2.0]))
    torch.testing.assert_close(half[:, :, 0, 3], motion[:, :, 0, 3] * torch.tensor([[0.5], [2.0]]))


def test_motion_that_was_told_is_not_asked_for_again() -> None:
    class Silent(Counting):
        def forward(self, target: Tensor, sources: Tensor, offsets: Sequence[int]) -> RelativePose:
            raise AssertionError("asked")

    current, matching = torch.rand(2, 3, 32, 32), torch.rand(2, 2, 3, 32, 32)
    pairs = {-1: (matching[:, 0], current), 1: (current, matching[:, 1])}
    told = {offset: Counting(0.5)(a, b[:, None], (1,)) for offset, (a, b) in pairs.items()}
    wanted = chained_motion(Counting(0.5), current, matching, (-1, 1))
    torch.testing.assert_close(chained_motion(Silent(), current, matching, (-1, 1), None, told), wanted)
    with pytest.raises(AssertionError, match="asked"):
        chained_motion(Silent(), current, matching, (-1, -2), None, told)


def test_a_chain_is_the_product_of_its_links_in_single_precision() -> None:
    pose = Counting(turn=0.5)
    a, b, c = (level * torch.ones(1, 3, 32, 32) for level in (1.0, 0.7, 0.1))
    b_from_a = invert(transform_from_pose(*pose(b, a[:, None], (1,)))[:, 0])  # b was before a, c before b
    c_from_b = invert(transform_from_pose(*pose(c, b[:, None], (1,)))[:, 0])
    with torch.autocast("cpu", torch.bfloat16):
        two = chained_motion(pose, a, torch.stack([b, c], 1), (-1, -2))
    torch.testing.assert_close(two, torch.stack([b_from_a, c_from_b @ b_from_a], 1))
    ahead = chained_motion(pose, b, a[:, None], (1,))  # the same pair, seen from the earlier one
    torch.testing.assert_close(ahead[:, 0], invert(b_from_a))


@torch.no_grad()
def test_posecnns_motions_are_in_the_teachers_unit_before_they_are_matched() -> None:
    model = ManyDepth(replace(LIGHT, pose_type="posecnn")).eval()
    s = seen()
    scale = model.teacher(s["image"]).mean((1, 2))
    motion = chained_motion(model.pose, s["image"], s["matching"], LIGHT.matching, scale)
    features = model.depth.matching_features(s["matching"].flatten(0, 1)).unflatten(0, (2, 3))
    wanted = model.depth(model.depth.features(s["image"]), features, motion, s["exists"], s["intrinsics"])
    torch.testing.assert_close(flat(model.match(**s)), flat(wanted), rtol=0, atol=0)


@torch.no_grad()
def test_half_precision_around_the_networks_leaves_the_sweep_in_single(model: ManyDepth) -> None:
    s = seen()
    eye = torch.eye(4).repeat(2, 3, 1, 1)
    eye[:, :, 0, 3] = 0.3
    features = model.depth.matching_features(s["matching"].flatten(0, 1)).unflatten(0, (2, 3))
    full = model.depth(model.depth.features(s["image"]), features, eye, s["exists"], s["intrinsics"])
    with torch.autocast("cpu", torch.bfloat16):
        half = model.depth(model.depth.features(s["image"]), features, eye, s["exists"], s["intrinsics"])
    assert torch.equal(half.confidence, full.confidence)  # the same samples, to the pixel
    assert half.sigmoids[0].dtype == torch.float32
    torch.testing.assert_close(half.sigmoids[0], full.sigmoids[0], rtol=0, atol=0.05)


@pytest.mark.parametrize(
    "encoder", ["light", "resnet18", "resnet50", "mobilenetv3_large_100", "convnext_atto"]
)
@torch.no_grad()
def test_every_kind_of_encoder_can_be_cut(encoder: str) -> None:
    s = seen(1, 1)
    model = ManyDepth(replace(LIGHT, encoder=encoder, matching=(-1,))).eval()
    assert model.match(**s).confidence.shape == (1, 16, 24)
    assert model.disparity(**s).shape == (1, 64, 96)


def test_networks_and_options_that_have_no_meaning_here_are_refused() -> None:
    with pytest.raises(InputError, match=r"--encoder vit_tiny_patch16_224 "):
        ManyDepth(replace(LIGHT, encoder="vit_tiny_patch16_224"))
    for change in ({"pose_type": "shared"}, {"pose_input": "all"}, {"predictive_mask": True}):
        with pytest.raises(InputError, match="do not go with ManyDepth"):
            ManyDepth(replace(LIGHT, **change))  # type: ignore[arg-type]


def test_a_range_is_part_of_the_weights() -> None:
    model = ManyDepth(LIGHT)
    state = model.state_dict()
    assert {name.split(".")[0] for name in state} == {"depth", "pose", "teacher"}
    again = ManyDepth(LIGHT).eval()
    again.load_state_dict(state | {"depth.nearest": torch.tensor(2.0), "depth.farthest": torch.tensor(4.0)})
    found = again.match(**seen()).lowest_cost_depth
    assert found.min() == 2.0  # where nothing could be compared
    assert found.max() <= 4.0


def test_what_single_cells_match_counts_only_where_their_neighbours_agree() -> None:
    cells = torch.zeros(1, 1, 9, 9)
    cells[..., 1, 1], cells[..., 4:, 4:] = 0.3, 0.2  # a cell, and a corner of 5 x 5
    found = median_around(cells)
    assert torch.equal(found[..., :4, :4], torch.zeros(1, 1, 4, 4))
    assert torch.equal(found[..., 6:, 6:], torch.full((1, 1, 3, 3), 0.2))


@torch.no_grad()
def test_a_gate_draws_depth_to_the_least_cost_where_there_are_costs_only() -> None:
    gate = Gate(channels=5)
    last = gate.opened[-1]
    assert isinstance(last, nn.Conv2d)
    assert last.bias is not None
    last.weight.zero_()
    last.bias.zero_()  # half open
    # areas of 5 cells in a row
    best = torch.tensor([[[11.0, 9.0, 40.0, 11.0]]]).repeat_interleave(5, 2)
    confident = torch.tensor([[[True, True, True, False]]]).repeat_interleave(5, 2)
    volume = torch.rand(1, 6, 1, 20)
    sweep = Sweep(volume, volume < 0, confident, volume.argmin(1))
    gate_value, log_depth_residual = gate(torch.rand(1, 5, 1, 20), torch.full((1, 4, 80), 0.1), best, sweep)
    assert (gate_value == 0.5).all()
    torch.testing.assert_close(
        log_depth_residual[0, 0, 0, 2::5], torch.tensor([math.log(1.1), math.log(0.9), 0, 0])
    )

    model, s = away_from_rest(ManyDepth(replace(LIGHT, match_by="pixels"))), seen()
    net = model.depth
    assert isinstance(net, PixelStudentNet)
    around = 1 / model.single(s["image"])
    net.set_range(1.2 * around.median(), 1.25 * around.median())  # most cells are drawn the same way
    depths = {}
    for bias in (-1e3, 0.0):
        net.gate.opened[-1].bias.fill_(bias)  # type: ignore[union-attr, operator]
        student = model.match(**s)
        depths[bias] = 1 / net.disparity(student.sigmoids[0])
        assert student.matching_residual is not None
        assert (student.matching_residual.max() > 0.05) == (bias == 0)
        assert student.matching_residual.max() < 0.35
    ratio = (depths[0.0] / depths[-1e3]).log().abs()
    assert 0.05 < ratio.max() <= 0.35 + 1e-4
    single = model.single(s["image"])
    none = model.disparity(s["image"], s["matching"], torch.zeros_like(s["exists"]), s["intrinsics"])
    torch.testing.assert_close(none, single, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_pixels_are_compared_at_full_size_and_relative_to_their_contrast() -> None:
    s = seen()
    model = away_from_rest(ManyDepth(replace(LIGHT, match_by="pixels")))
    motion = chained_motion(model.pose, s["image"], s["matching"], LIGHT.matching)
    here, there = (grey_patches(x) for x in (s["image"], s["matching"].flatten(0, 1)))
    camera = s["intrinsics"] * torch.tensor([[0.25], [0.25], [1.0]])
    depths = depth_hypotheses(torch.tensor(0.1), torch.tensor(10.0), 12, "linear")
    sweep = plane_sweep(here[..., ::4, ::4], there.unflatten(0, (2, 3)), motion, s["exists"], camera, depths)
    plain, found = aggregate_cost(sweep, 3), relative_costs(sweep)
    student = model.match(**s, motion=motion)
    assert torch.equal(student.lowest_cost_depth, depths[plain.lowest_cost])
    assert torch.equal(student.confidence, found.confidence)
    relative = plain.volume / (plain.volume.mean(1, keepdim=True) + 1 / 255)
    torch.testing.assert_close(found.volume, relative)
    assert torch.equal(found.confidence, plain.missing.sum(1) < 6)
    dark = {**s, "image": s["image"] / 2, "matching": s["matching"] / 2}
    faint = model.match(**dark)  # halved contrast: the same depth matches best
    moved = model.match(**dark, motion=motion)
    assert torch.equal(student.lowest_cost_depth, moved.lowest_cost_depth)
    assert faint.sigmoids[0].isfinite().all()


@torch.no_grad()
@pytest.mark.parametrize("decoder", ["light", "medium", "paper"])
def test_the_gate_fits_every_decoder(decoder: DecoderType) -> None:
    s = seen()
    model = ManyDepth(replace(LIGHT, decoder=decoder, match_by="pixels")).eval()
    found = model.disparity(s["image"], s["matching"], s["exists"], s["intrinsics"])
    assert found.shape == s["image"][:, 0].shape
