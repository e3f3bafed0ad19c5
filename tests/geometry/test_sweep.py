from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from mono2many.geometry.camera import intrinsics_matrix
from mono2many.geometry.pose import rigid, transform, transform_from_pose
from mono2many.geometry.sweep import (
    Sweep,
    aggregate_cost,
    depth_hypotheses,
    grey_patches,
    plane_sweep,
    subpixel_argmin,
)
from mono2many.geometry.warp import backproject, project, sample
from mono2many.street.reader import StreetSettings, SyntheticReader

CAMERA = intrinsics_matrix(20.0, 20.0, 15.0, 6.0)[None]
ONE = torch.ones(1, 1, dtype=torch.bool)


def step(*xyz: float) -> Tensor:
    return rigid(torch.eye(3), torch.tensor(xyz, dtype=torch.float32))[None, None]


@pytest.mark.parametrize("spacing", ["linear", "inverse"])
@pytest.mark.parametrize("case", ["both", "second_missing_in_first"])
def test_the_reference_builds_the_same_volume(parity: dict[str, Tensor], spacing: str, case: str) -> None:
    exists = torch.ones(2, 2, dtype=torch.bool)
    exists[0, 1] = case == "both"
    depths = depth_hypotheses(torch.tensor(0.7), torch.tensor(9.0), 24, spacing)
    torch.testing.assert_close(depths, parity[f"sweep_depths_{spacing}"])
    current, matching, motion, camera = (
        parity[f"sweep_{name}"] for name in ("current", "matching", "matching_from_current", "K")
    )
    found = plane_sweep(current, matching, motion, exists, camera, parity[f"sweep_depths_{spacing}"])
    wanted = {n: parity[f"sweep_{spacing}_{case}_{n}"] for n in ("volume", "missing", "confidence", "argmin")}
    # no sample lies so near to the limits of what counts that rounding decides: every bin is compared
    assert torch.equal(found.missing, wanted["missing"].bool())
    assert torch.equal(found.confidence, wanted["confidence"].bool())
    assert torch.equal(found.lowest_cost, wanted["argmin"].long())
    torch.testing.assert_close(found.volume, wanted["volume"], atol=1e-5, rtol=0)


def plainly(
    current: Tensor, matching: Tensor, motion: Tensor, exists: Tensor, camera: Tensor, depths: Tensor
) -> Sweep:
    """The sweep hypothesis by hypothesis, from points in space."""
    batch, _, height, width = current.shape
    volume = torch.zeros(batch, len(depths), height, width, dtype=camera.dtype)
    for b in range(batch):
        for d, depth in enumerate(depths):
            total, count = torch.zeros(height, width).double(), torch.zeros(height, width)
            for f in range(matching.shape[1]):
                points = backproject(depth.expand(1, height, width), camera[b : b + 1])
                pixels, _ = project(transform(motion[b, f][None], points), camera[b : b + 1])
                pixels = pixels.view(1, height, width, 2)
                seen, _ = sample(matching[b, f][None], pixels, "zeros")
                x, y = pixels[0].unbind(-1)
                kept = (x >= 2) & (x <= width - 2) & (y >= 2) & (y <= height - 2) & exists[b, f]
                kept[:2] = kept[-2:] = kept[:, :2] = kept[:, -2:] = False
                difference = torch.where(kept, (seen[0] - current[b]).abs().mean(0), 0)
                total += difference
                count += difference > 0
            volume[b, d] = total / (count + 1e-7)
    missing = volume == 0
    volume = torch.where(missing, volume.max(1, keepdim=True).values, volume)
    lowest = torch.where(missing.all(1, keepdim=True), 100, volume).argmin(1)
    return Sweep(volume, missing, ~missing.any(1), lowest)


def differing_clips() -> tuple[Tensor, ...]:
    """Two clips with two matching frames of which one is missing; nothing of them is alike."""
    turn, shift = 0.05 * torch.randn(2, 2, 3).double(), 0.2 * torch.randn(2, 2, 3).double()
    camera = torch.stack([intrinsics_matrix(14.0, 15.0, 11.6, 7.7), intrinsics_matrix(19.0, 17.0, 12.2, 8.1)])
    camera[1, 0, 1] = 0.3  # skew
    return (
        torch.rand(2, 5, 16, 24).double(),
        torch.rand(2, 2, 5, 16, 24).double(),
        transform_from_pose(turn, shift),
        torch.tensor([[True, True], [False, True]]),
        camera.double(),
        depth_hypotheses(torch.tensor(0.6).double(), torch.tensor(7.0).double(), 7, "inverse"),
    )


def assert_same(found: Sweep, wanted: Sweep) -> None:
    torch.testing.assert_close(found.volume, wanted.volume, atol=1e-9, rtol=0)
    for name in ("missing", "confidence", "lowest_cost"):
        assert torch.equal(getattr(found, name), getattr(wanted, name)), name


def test_the_sweep_equals_hypothesis_by_hypothesis_from_points_in_space() -> None:
    clips = differing_clips()
    wanted = plainly(*clips)
    assert 0.2 < wanted.missing.float().mean() < 0.8
    for block in (None, 1, 3, 7):
        assert_same(plane_sweep(*clips, block), wanted)


def test_finer_matching_frames_are_read_at_their_own_pixels() -> None:
    current, _, motion, exists, camera, depths = differing_clips()
    finer = torch.rand(2, 2, 5, 64, 96).double()
    found = plane_sweep(current, finer, motion, exists, camera, depths)
    # the twin: the current map as fine as they are, holes between its cells, at the finer camera's pixels
    spread = torch.zeros(2, 5, 64, 96).double()
    spread[..., ::4, ::4] = current
    big = camera * torch.tensor([[4.0], [4.0], [1.0]]).double()
    wanted = plane_sweep(spread, finer, motion, exists, big, depths)
    both = ~found.missing & ~wanted.missing[..., ::4, ::4]
    assert both.float().mean() > 0.2
    one_frame = found.volume[1][both[1]], wanted.volume[1][..., ::4, ::4][both[1]]
    torch.testing.assert_close(*one_frame, atol=1e-9, rtol=0)


def test_patches_of_grey_hold_what_lies_around() -> None:
    image = torch.rand(1, 3, 8, 10)
    patches, grey = grey_patches(image), image.mean(1)
    assert patches.shape == (1, 16, 8, 10)
    torch.testing.assert_close(patches[0, :, 3, 5], grey[0, 2:6, 4:8].flatten())
    torch.testing.assert_close(patches[0, :, 7, 9].view(4, 4)[1:, 1:], grey[0, 7, 9].expand(3, 3))
    torch.testing.assert_close(patches[0, 5], grey[0])  # second row and column: the pixel itself


def test_the_least_cost_between_hypotheses_is_a_parabolas() -> None:
    depths = torch.tensor([1.0, 2.0, 4.0, 8.0, 16.0])
    bins = torch.arange(5.0)[None, :, None, None]
    least = torch.tensor([[[1.7, 2.0, 3.4, -3.0, 9.0]]])  # the last two beyond the ends
    volume = (bins - least.unsqueeze(1)).square() + 0.3
    missing = torch.zeros_like(volume, dtype=torch.bool)
    sweep = Sweep(volume, missing, ~missing.any(1), volume.argmin(1))
    found = subpixel_argmin(sweep, depths)
    torch.testing.assert_close(found, 2 ** least.clamp(0, 4))
    flat = Sweep(torch.ones_like(volume), missing, ~missing.any(1), torch.full((1, 1, 5), 2))
    assert (subpixel_argmin(flat, depths) == 4).all()


def test_a_frame_that_does_not_exist_may_hold_anything() -> None:
    current, matching, motion, exists, camera, depths = differing_clips()
    wanted = plane_sweep(current, matching, motion, exists, camera, depths)
    matching[1, 0], motion[1, 0] = torch.nan, torch.nan
    assert_same(plane_sweep(current, matching, motion, exists, camera, depths), wanted)
    none = plane_sweep(current, matching, motion, torch.zeros_like(exists), camera, depths)
    assert none.missing.all()
    assert not none.volume.any()
    assert not none.lowest_cost.any()


def test_a_still_camera_gives_every_depth_the_same_cost() -> None:
    current, matching = torch.rand(1, 4, 12, 30), torch.rand(1, 1, 4, 12, 30)
    found = plane_sweep(current, matching, step(0, 0, 0), ONE, CAMERA, torch.tensor([1.0, 3, 9]))
    wanted = (current - matching[:, 0]).abs().mean(1)[0, 3:-3, 3:-3]  # at 2 rounding decides what counts
    torch.testing.assert_close(found.volume[0, :, 3:-3, 3:-3], wanted.expand(3, -1, -1), atol=1e-5, rtol=0)
    assert found.confidence[0, 3:-3, 3:-3].all()
    assert found.missing[0, :, 1].all()
    assert found.missing[0, :, :, -2].all()


def test_a_sideways_step_finds_a_wall_at_its_depth() -> None:
    # f b / z = 20 * 0.5 / z: depths 2, 2.5, 4 and 5 are disparities of 5, 4, 2.5 and 2 columns
    wall = torch.rand(1, 4, 12, 36)
    matching = wall[..., 3:33]
    current = (wall[..., :30] + wall[..., 1:31]) / 2 + 0.01  # matching 2.5 columns to the left, and brighter
    depths = torch.tensor([2.0, 2.5, 4.0, 5.0])
    found = plane_sweep(current, matching[None], step(-0.5, 0, 0), ONE, CAMERA, depths)
    assert (found.lowest_cost[0, 2:-2, 5:-2] == 2).all()
    torch.testing.assert_close(found.volume[0, 2, 2:-2, 5:-2], torch.full((8, 23), 0.01), atol=1e-5, rtol=0)
    # column 5 looks at columns 0, 1, 2.5 and 3, of which the first two do not count
    assert found.missing[0, :, 5, 5].tolist() == [True, True, False, False]
    assert (found.volume[0, :2, 5, 5] == found.volume[0, 3, 5, 5]).all()
    assert not found.confidence[0, 5, :6].any()
    assert found.confidence[0, 5, 8:-2].all()


def test_on_the_street_the_lowest_cost_lies_at_the_depth() -> None:
    """Exact poses, a frame before and one after, 12 depths. Features: colours and slopes of 3x3 neighbours.

    Textured: the cost varies by 0.1 over the bins. Most errors are where these neighbours, and not the pixel,
    differ in depth; where depth changes by less than a bin around the pixel, half the texture will do.
    """
    close, close_where_flat = [], []
    for scene in range(2):
        reader = SyntheticReader(
            StreetSettings(scenes=4, frames=3, height=192, width=640, moving=False), "test"
        )
        before, now, after = (reader.frame(scene, index) for index in range(3))
        motion = torch.stack([
            torch.linalg.inv(f.world_from_camera.double()) @ now.world_from_camera.double()
            for f in (before, after)
        ]).float()  # fmt: skip
        matching = torch.cat([describe(before.image), describe(after.image)])
        depth = now.depth[::4, ::4]
        measured = depth < 40
        depths = depth_hypotheses(depth[measured].min(), torch.tensor(40.0), 12, "inverse")
        camera = now.intrinsics * torch.tensor([0.25, 0.25, 1])[:, None]
        found = plane_sweep(
            describe(now.image), matching[None], motion[None], torch.ones(1, 2).bool(), camera[None], depths
        )
        truth = (1 / depth - 1 / depths[0]) / (1 / depths[1] - 1 / depths[0])  # in bins
        within = (found.lowest_cost[0] - truth).abs() <= 1
        around = F.max_pool2d(torch.stack([truth, -truth])[None], 5, 1, 2)[0].sum(0)
        texture = found.volume[0].amax(0) - found.volume[0].amin(0)
        counts = measured & found.confidence[0]
        close.append(within[counts & (texture > 0.1)])
        close_where_flat.append(within[counts & (texture > 0.05) & (around < 1)])
    for share, pixels in ((0.9, close), (0.95, close_where_flat)):
        assert len(torch.cat(pixels)) > 1000
        assert torch.cat(pixels).float().mean() > share


def describe(image: Tensor) -> Tensor:
    """45 features at every fourth pixel: blurred colours, and slopes of their mean, of 3x3 neighbours."""
    blurred = F.avg_pool2d(F.pad(image[None] / 255, [2] * 4, mode="replicate"), 5, 1)
    grey = F.pad(blurred.mean(1, keepdim=True), [1] * 4, mode="replicate")
    slopes = torch.cat(
        [grey[..., 1:-1, 2:] - grey[..., 1:-1, :-2], grey[..., 2:, 1:-1] - grey[..., :-2, 1:-1]], 1
    )
    features = torch.cat([blurred, slopes], 1)[..., ::4, ::4]
    return F.unfold(F.pad(features, [1] * 4, mode="replicate"), 3).unflatten(2, features.shape[-2:])


def test_no_tensor_grows_with_depths_times_channels() -> None:
    # 96 warped copies of 64 channels of 48 x 160 are 47 million values; the volume is 0.7 million
    largest = 0

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, op: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            nonlocal largest
            made = op(*args, **(kwargs or {}))
            for tensor in made if isinstance(made, tuple) else [made]:
                largest = max(largest, tensor.untyped_storage().size() if isinstance(tensor, Tensor) else 0)
            return made

    current = torch.rand(1, 64, 48, 160)
    with Watch():
        plane_sweep(current, current[None] + 0.1, step(0, 0, 0), ONE, CAMERA, torch.linspace(1, 9, 96))
    assert 96 * 44 * 156 * 4 <= largest <= 2 * 64 * 48 * 160 * 4  # bytes; two maps of features


def test_averaged_costs_are_the_mean_over_the_window_inside_the_map() -> None:
    volume = torch.rand(1, 3, 5, 6)
    none = torch.zeros_like(volume, dtype=torch.bool)
    sweep = Sweep(volume, none, ~none.any(1), volume.argmin(1))
    assert torch.equal(aggregate_cost(sweep, 1).volume, volume)
    found = aggregate_cost(sweep, 3)
    torch.testing.assert_close(found.volume[0, :, 2, 3], volume[0, :, 1:4, 2:5].mean((1, 2)))
    torch.testing.assert_close(found.volume[0, :, 0, 0], volume[0, :, :2, :2].mean((1, 2)))
    assert torch.equal(found.lowest_cost, found.volume.argmin(1))
    assert torch.equal(found.confidence, sweep.confidence)
