"""Motion that the pictures refine. The twin is what it should find: the motion by which one was made."""

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from mono2many.export.graphs import Part
from mono2many.export.write import trace, write_part
from mono2many.geometry import align
from mono2many.geometry.align import (
    FINE,
    LOG_DEPTH_SIGMA,
    ROBUST,
    Estimate,
    Level,
    _gauss_newton_step,
    _jacobian,
    _patch_sums,
    _residuals,
    refine_motion,
)
from mono2many.geometry.camera import intrinsics_matrix
from mono2many.geometry.pose import invert, rotation_angle, transform_from_pose
from mono2many.geometry.warp import warp
from mono2many.predict.sessions import open_session
from mono2many.street.reader import StreetSettings, SyntheticReader

CAMERA = intrinsics_matrix(60.0, 60.0, 47.5, 31.5)


def waves(batch: int = 1) -> Tensor:
    """A smooth picture that is another everywhere, B 3 64 96, and below it a depth of 4 to 12."""
    y, x = torch.meshgrid(torch.arange(64.0), torch.arange(96.0), indexing="ij")
    grey = 0.5 + 0.2 * torch.sin(x / 9) * torch.cos(y / 8) + 0.2 * torch.sin((x + 2 * y) / 19)
    return grey.expand(batch, 3, 64, 96).contiguous()


def hills() -> Tensor:
    y, x = torch.meshgrid(torch.arange(64.0), torch.arange(96.0), indexing="ij")
    return (8 + 3 * torch.sin(x / 13) + torch.cos(y / 7))[None]


def motion(turn: tuple[float, float, float], shift: tuple[float, float, float]) -> Tensor:
    return transform_from_pose(
        torch.tensor([turn], dtype=torch.float32), torch.tensor([shift], dtype=torch.float32)
    )


def apart(a: Tensor, b: Tensor) -> tuple[float, float]:
    """Largest angle (radians) and distance between motions."""
    between = a @ invert(b)
    return float(rotation_angle(between[:, :3, :3]).max()), float((a - b)[:, :3, 3].norm(dim=1).max())


def test_a_small_motion_changes_the_picture_by_what_the_derivatives_say() -> None:
    picture, depth = waves(), hills()
    for number, size in enumerate((0.02, 0.02, 0.1, 2e-3, 2e-3, 3e-3)):  # metres and radians along each axis
        small = torch.zeros(1, 6)
        small[0, number] = size
        moved = transform_from_pose(small[:, 3:], small[:, :3])
        view, seen = warp(picture, depth, moved, CAMERA[None], CAMERA[None])
        seen[:, [0, -1]], seen[:, :, [0, -1]] = False, False  # there no slope is taken
        change = (view - picture)[0, 0].flatten()[seen.flatten()]
        told = (small @ _jacobian(picture[:, 0], depth, CAMERA[None])[0])[0, seen.flatten()]
        assert torch.corrcoef(torch.stack([change, told]))[0, 1] > 0.98
        assert 0.9 < float(told.norm() / change.norm()) < 1.1


def test_patches_at_the_border_are_smaller() -> None:
    ones = torch.ones(1, 1, 6, 7)
    assert _patch_sums(ones).flatten().tolist() == [16, 12, 8, 6]  # 4x4, 4x3, 2x4, 2x3


def test_the_motion_by_which_a_picture_was_made_is_found_from_one_beside_it() -> None:
    true = motion((0.004, -0.01, 0.005), (0.1, -0.05, 0.5))
    source = waves()
    target, _ = warp(source, hills(), true, CAMERA[None], CAMERA[None])
    given = motion((0.004, -0.004, 0.0), (0.15, 0.0, 0.4))
    found = refine_motion(given, target, source, hills(), CAMERA[None])
    (turn, place), (before, beside) = apart(found, true), apart(given, true)
    assert turn < before / 5
    assert place < beside / 5


class Refinement(torch.nn.Module):
    def forward(self, start: Tensor, target: Tensor, source: Tensor, depth: Tensor) -> tuple[Tensor]:
        return (refine_motion(start, target, source, depth, CAMERA[None], strides=(4,)),)


def test_a_runtime_refines_a_motion_as_pytorch_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(align, "STEPS", 2)
    source = waves()
    target, _ = warp(
        source, hills(), motion((0.004, -0.01, 0.005), (0.1, -0.05, 0.5)), CAMERA[None], CAMERA[None]
    )
    start = motion((0.004, -0.004, 0.0), (0.15, 0.0, 0.4))
    inputs = {"start": start, "target": target, "source": source, "depth": hills()}
    part = Part("motion", Refinement(), inputs, ("motion",))
    write_part(tmp_path, part, trace(part, "onnx", {}), "onnx", False, {})
    session = open_session(tmp_path / "motion.onnx", "onnx", "fp32", torch.device("cpu"))
    (wanted,), found = part.graph(**inputs), session(**inputs)["motion"]
    assert (wanted - start).norm() > 0.02
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)


def test_a_step_solves_for_motion_exposure_and_every_patchs_depth_at_once() -> None:
    """The twin: one least-squares problem with an unknown for each patch, derivatives by autograd."""
    at = motion((0.003, -0.004, 0.002), (0.1, 0.05, 0.6)).double()
    source, depth, k = waves().double()[:, :1], hills().double(), CAMERA.double()[None]
    target = (0.9 * source + 0.05).roll(1, -1)
    off = 0.1 * torch.randn(1, 16, 24).double()
    exposure = torch.tensor([[1.05, -0.01]]).double()
    change = _jacobian(target[:, 0], depth, k)
    start, level = Estimate(at, exposure, off), Level(target, source, depth, k, k, change, depth > 0, 0.0)
    found, exposed, moved = _gauss_newton_step(start, level, LOG_DEPTH_SIGMA)

    spread = off.repeat_interleave(4, 1).repeat_interleave(4, 2)
    seen = _residuals(start, level)
    view, residual, weight = seen.view, seen.difference, seen.weight

    def linear(unknown: Tensor) -> Tensor:
        small, light, further = unknown[:6], unknown[6:8], unknown[8:].view(1, 16, 24)
        # a depth e^u times as far is a shift of -u R^T t before the motion
        per_pixel = further.repeat_interleave(4, 1).repeat_interleave(4, 2).flatten()
        near = torch.cat([(change[0, :3] * (-spread).exp().flatten()), change[0, 3:]])
        along = (at[0, :3, :3].T @ at[0, :3, 3]) @ near[:3]
        return small @ near + per_pixel * along + light[0] * view[0] + light[1]

    jacobian = torch.autograd.functional.jacobian(linear, torch.zeros(8 + 16 * 24).double())
    prior = torch.zeros(16 * 24, 8 + 16 * 24).double()
    prior[:, 8:] = torch.eye(16 * 24) * ROBUST / LOG_DEPTH_SIGMA
    rows = torch.cat([jacobian * weight[0].sqrt()[:, None], prior])
    wanted = torch.linalg.lstsq(
        rows, torch.cat([weight[0].sqrt() * residual[0], -off.flatten() * ROBUST / LOG_DEPTH_SIGMA])[:, None]
    ).solution[:, 0]
    torch.testing.assert_close(exposed[0], exposure[0] - wanted[6:8], rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(
        moved.flatten(), (off.flatten() + wanted[8:]).clamp(-1, 1), rtol=1e-3, atol=1e-4
    )
    small = transform_from_pose(wanted[None, 3:6], wanted[None, :3])
    torch.testing.assert_close(found, at @ invert(small), rtol=0, atol=1e-5)


def test_depth_that_is_wrong_from_place_to_place_hardly_spoils_the_motion() -> None:
    reader = SyntheticReader(StreetSettings(scenes=3, frames=2, height=96, width=320, step=1.4), "train")
    errors = []
    for clip in range(3):
        one, two = reader.frame(clip, 0), reader.frame(clip, 1)
        true = (invert(one.world_from_camera) @ two.world_from_camera)[None]
        given = motion((0.004, -0.004, 0.002), (0.0, 0.0, 0.0)) @ true
        wrong = F.interpolate(0.3 * torch.randn(1, 1, 6, 12), (96, 320), mode="bilinear")[0].exp()
        depth = two.depth.nan_to_num(200.0)[None] * wrong
        first, second = (frame.image[None] / 255 for frame in (one, two))
        found = refine_motion(given, second, first, depth, two.intrinsics[None], strides=FINE)
        errors.append(apart(found, true)[0])
    assert max(errors) < math.radians(0.08)  # 0.3 degrees and more where depth is taken for true


def test_on_the_street_it_is_good_to_a_thirtieth_of_a_degree_though_cars_drive() -> None:
    reader = SyntheticReader(StreetSettings(scenes=4, frames=2, height=192, width=640), "test")
    pairs = [[reader.frame(clip, index) for index in (0, 1)] for clip in range(4)]
    source, target = (torch.stack([p[i].image for p in pairs]) / 255 for i in (0, 1))
    poses = [torch.stack([p[i].world_from_camera for p in pairs]) for i in (0, 1)]
    true = invert(poses[0]) @ poses[1]
    depth = torch.stack([p[1].depth for p in pairs]).nan_to_num(1e3)
    camera = torch.stack([p[1].intrinsics for p in pairs])
    wrong = motion((0.002, -0.002, 0.001), (0.0, 0.0, 0.0))
    given = wrong @ true
    given[:, :3, 3] *= 1.15
    turn, place = apart(refine_motion(given, target, source, depth, camera), true)
    assert turn < math.radians(1 / 30)
    assert place < 0.03  # metres, of steps of half a metre and more


def test_a_step_guessed_wrong_is_measured_on_the_pictures_whatever_their_exposure() -> None:
    reader = SyntheticReader(StreetSettings(scenes=1, frames=2, height=96, width=320, moving=False), "test")
    one, two = reader.frame(0, 0), reader.frame(0, 1)
    true = (invert(two.world_from_camera) @ one.world_from_camera)[None]
    given = motion((0.004, -0.006, 0.002), (0.0, 0.05, 0.0)) @ true
    given[:, :3, 3] *= 0.7
    first, second = (frame.image[None] / 255 for frame in (one, two))
    depth, k = one.depth.nan_to_num(200.0)[None], one.intrinsics[None]
    shifted = k.clone()
    shifted[:, 0, 2] += 3
    for source, theirs in (
        (second, k),
        (0.8 * second + 0.05, k),
        (second.roll(3, -1), shifted),  # a camera whose axis lies three pixels to the right
    ):
        found = refine_motion(given, first, source, depth, k, theirs, FINE)
        length, wanted = (float(m[0, :3, 3].norm()) for m in (found, true))
        assert abs(length / wanted - 1) < 0.01
        torch.testing.assert_close(found, true, rtol=0, atol=0.01)


def test_pictures_that_tell_nothing_leave_the_motion_as_it_is() -> None:
    given = motion((0.01, 0.02, 0.0), (0.1, 0.0, 1.0)).repeat(3, 1, 1)
    given[2, 0, 3] = torch.nan
    target, source = waves(3), waves(3)
    target[0], source[0] = 0.5, 0.5
    source[1] = torch.rand(3, 64, 96)  # of something else
    found = refine_motion(given, target, source, hills().expand(3, -1, -1), CAMERA.expand(3, 3, 3))
    assert torch.equal(found[0], given[0])
    assert found[1].isfinite().all()
    assert torch.equal(found[2].isnan(), given[2].isnan())


def test_an_ego_vehicle_that_fills_half_of_the_image_holds_no_pose_back() -> None:
    """What is fixed to the camera says that nothing moved; the mask leaves it out."""
    true = motion((0.0, -0.006, 0.0), (0.05, 0.0, 0.5))
    source = waves()
    target, _ = warp(source, hills(), true, CAMERA[None], CAMERA[None])
    used = (torch.arange(64) < 32)[:, None].expand(64, 96)
    vehicle = waves().flip(3)
    seen = [torch.where(used, image, vehicle) for image in (target, source)]
    given = motion((0.0, -0.003, 0.0), (0.03, 0.0, 0.3))
    errors = [
        apart(refine_motion(given, *seen, hills(), CAMERA[None], valid_mask=mask), true)
        for mask in (None, used[None])
    ]
    assert errors[1][0] < 0.001
    assert errors[1][1] < 0.012
    assert errors[0][1] < 0.06, "also without the mask, though less exact (0.28, were all pixels alike)"


def test_a_car_that_keeps_its_distance_holds_no_pose_back() -> None:
    """The road has a fifth of its contrast. Were all pixels alike, the motion would be 0.17 and 0.018 off."""
    true, given = motion((0.0, -0.006, 0.0), (0.05, 0.0, 0.5)), motion((0.0, -0.002, 0.0), (0.02, 0.0, 0.15))
    source = 0.5 + 0.2 * (waves() - 0.5)
    target, _ = warp(source, hills(), true, CAMERA[None], CAMERA[None])
    car = torch.zeros(64, 96, dtype=torch.bool)
    car[24:48, 36:60] = True
    seen = [torch.where(car, waves().flip(3), image) for image in (target, source)]
    rotation, length = apart(refine_motion(given, *seen, hills(), CAMERA[None]), true)
    assert rotation < 0.01
    assert length < 0.1


def test_a_pixel_counts_by_whether_the_moved_image_shows_it_better() -> None:
    """A slope of 1 / 95 a pixel, of which 10, 6 and 2 are the true shift and 12 the estimated one."""
    flat, slope = torch.full((1, 64, 96), 8.0), 1 / 95
    source = torch.linspace(0, 1, 96).expand(1, 1, 64, 96)
    at = motion((0.0, 0.0, 0.0), (8.0 * 12 / float(CAMERA[0, 0]), 0.0, 0.0))
    none = Estimate(at, torch.tensor([[1.0, 0.0]]), torch.zeros(1, 16, 24))
    for shift in (10, 6, 2):
        target = source + shift * slope
        change = _jacobian(target[:, 0], flat, CAMERA[None])
        odds = (((shift * slope) ** 2 + 1e-4) / (((12 - shift) * slope) ** 2 + 1e-4)) ** 4
        better = odds / (1 + odds)
        for doubt in (0.0, 0.1):
            level = Level(target, source, flat, CAMERA[None], CAMERA[None], change, flat > 0, doubt)
            shows = 1 - doubt**2 / ((12 * slope) ** 2 + doubt**2)  # the translation changes it by 12 pixels
            counts = _residuals(none, level).shown.view(64, 96)[32, 40]
            assert counts == pytest.approx(1 - shows * (1 - better), rel=1e-3, abs=1e-5)
