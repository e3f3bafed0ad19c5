"""Flicker and drift of depth maps whose errors are known."""

import math

import pytest
import torch

from mono2many.geometry.pose import invert
from mono2many.geometry.reproject import reproject_depth
from mono2many.metrics.flicker import Change, SteadinessMeter, depth_change
from mono2many.street.reader import StreetSettings, SyntheticReader

STREET = SyntheticReader(StreetSettings(1, 3, 96, 160, moving=False), "test")
FRAMES = [STREET.frame(0, i) for i in range(3)]
K = FRAMES[0].intrinsics
DEPTHS = [frame.depth.nan_to_num(1e4) for frame in FRAMES]  # the sky
MOTION = (invert(FRAMES[0].world_from_camera.double()[None]) @ FRAMES[1].world_from_camera.double()).float()[
    0
]


def test_exact_depth_does_not_flicker() -> None:
    change = depth_change(DEPTHS[1], DEPTHS[0], MOTION, K)
    assert change.flicker == pytest.approx(0, abs=1e-3)
    assert change.scale == pytest.approx(0, abs=1e-3)


@pytest.mark.parametrize("noise", [0.05, 0.1])
def test_flicker_is_the_standard_deviation_of_independent_errors(noise: float) -> None:
    rng = torch.Generator().manual_seed(0)

    def noisy(depth: torch.Tensor) -> torch.Tensor:
        """Errors of 4 x 4 pixels: interpolation would average those of single pixels."""
        log = noise * torch.randn(24, 40, generator=rng)
        return depth * log.repeat_interleave(4, 0).repeat_interleave(4, 1).exp()

    assert depth_change(noisy(DEPTHS[1]), noisy(DEPTHS[0]), MOTION, K).flicker == pytest.approx(
        noise, rel=0.12
    )


def test_a_frame_that_is_a_tenth_too_far_is_a_change_of_scale() -> None:
    change = depth_change(1.1 * DEPTHS[1], 1.1 * DEPTHS[0], MOTION, K)
    assert abs(change.scale) < 0.01  # what the motion, which is not longer, leaves of it
    still = torch.eye(4)
    change = depth_change(1.1 * DEPTHS[0], DEPTHS[0], still, K)
    assert change.scale == pytest.approx(-math.log(1.1), abs=1e-4)
    assert change.flicker == pytest.approx(1.4826 * math.log(1.1) / math.sqrt(2), abs=1e-4)


def test_a_wall_is_nearer_by_the_way_that_the_camera_went() -> None:
    wall, step = torch.full((1, 24, 40), 10.0), torch.eye(4)[None]
    step[:, 2, 3] = 2.0  # of earlier_from_now: points lie 2 m farther in the earlier camera
    found, seen = reproject_depth(
        wall - 1, wall, step, torch.tensor([[[20.0, 0, 19.5], [0, 20, 11.5], [0, 0, 1]]])
    )
    torch.testing.assert_close(found, torch.full_like(wall, 8.0))
    assert seen.all()


def test_what_only_one_frame_sees_says_nothing() -> None:
    behind = torch.eye(4)
    behind[2, 3] = -1e6
    assert math.isnan(depth_change(DEPTHS[0], DEPTHS[0], behind, K).flicker)
    meter = SteadinessMeter()
    assert math.isnan(meter.read().flicker)
    meter.add(Change(math.nan, math.nan))
    assert math.isnan(meter.read().drift)


def test_drift_is_how_the_factor_wanders() -> None:
    meter = SteadinessMeter()
    for scale in (0.1, 0.1, -0.2):
        meter.add(Change(0.03, scale))
    # factors of the four frames: 0, 0.1, 0.2, 0
    assert meter.read().flicker == pytest.approx(0.03)
    assert meter.read().drift == pytest.approx(torch.tensor([0, 0.1, 0.2, 0]).std(correction=0).item())
