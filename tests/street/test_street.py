"""The procedural street: exact depth, frames that depend on the seed alone, pictures that do not alias."""

import hashlib
import pickle
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from mono2many.geometry.pose import invert, transform
from mono2many.geometry.warp import backproject, project, sample, warp
from mono2many.street.reader import StreetSettings, SyntheticReader, build_street, camera, draw
from mono2many.types import Frame, InputError

SMALL = StreetSettings(scenes=8, frames=3, height=96, width=320, seed=5)


@pytest.fixture(scope="module")
def reader() -> SyntheticReader:
    return SyntheticReader(SMALL, "train")


def matched(target: Frame, source: Frame) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Depth that the target's points have in the source, depth found there, static pixels, seen pixels."""
    depth = target.depth.nan_to_num(1e4)[None]
    source_from_target = (invert(source.world_from_camera) @ target.world_from_camera)[None]
    points = transform(source_from_target, backproject(depth, target.intrinsics[None]))
    pixels, z = project(points, source.intrinsics[None])
    pixels = pixels.unflatten(1, depth.shape[-2:])
    disparity = (1 / source.depth).nan_to_num(0.0)[None, None]
    # in inverse depth a plane is linear in the pixel: bilinear interpolation is exact on it
    found, inside = sample(disparity, pixels)
    static = ~target.depth.isnan() & ~target.moving
    return z.reshape(depth.shape)[0], 1 / found[0, 0], static, inside[0]


def test_the_same_seed_gives_the_same_frame_in_any_order_and_process(reader: SyntheticReader) -> None:
    first = reader.frame(2, 1)
    build_street.cache_clear()
    again = pickle.loads(pickle.dumps(SyntheticReader(SMALL, "train")))
    again.frame(1, 0)
    again.frame(2, 2)
    other = again.frame(2, 1)
    assert torch.equal(first.image, other.image)
    assert torch.equal(first.depth.nan_to_num(-1), other.depth.nan_to_num(-1))
    code = (
        "from mono2many.street.reader import *; import hashlib;"
        "r = SyntheticReader(StreetSettings(scenes=8, frames=3, height=96, width=320, seed=5), 'train');"
        "print(hashlib.sha256(r.frame(2, 1).image.numpy().tobytes()).hexdigest())"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == hashlib.sha256(first.image.numpy().tobytes()).hexdigest()


def test_no_two_scenes_of_any_seed_or_split_are_alike() -> None:
    heights = [
        build_street(replace(SMALL, seed=seed), split, scene).height
        for seed in (0, 1)
        for split in ("train", "val", "test")
        for scene in (0, 3)
    ]
    assert len(set(heights)) == len(heights)


def test_a_longer_clip_shows_the_same_street(reader: SyntheticReader) -> None:
    longer = SyntheticReader(replace(SMALL, frames=30, scenes=99, moving=False), "train").frame(1, 2)
    shorter = SyntheticReader(replace(SMALL, moving=False), "train").frame(1, 2)
    near = longer.depth < 80
    assert torch.equal(longer.depth[near], shorter.depth[near])
    assert torch.equal(longer.image[:, 80:], shorter.image[:, 80:])


def test_a_camera_looks_down_on_a_road_at_height_zero(reader: SyntheticReader) -> None:
    frame = reader.frame(0, 0)
    world = transform(frame.world_from_camera, backproject(frame.depth[None], frame.intrinsics[None])[0])
    bottom = world[1].reshape(96, 320)[-1]
    assert (bottom.abs() < 1e-3).float().mean() > 0.3
    assert world[1].nan_to_num(0).max() < 1e-2  # nothing lies below the ground (y points down)


def test_road_depth_is_height_times_focal_over_rows_below_the_horizon(reader: SyntheticReader) -> None:
    street = replace(build_street(SMALL, "train", 0), sway=np.array([[0, 30, 0, 0]] * 3, float), height=1.5)
    view = camera(street, SMALL, 0)
    np.testing.assert_allclose(view.world_from_camera[1, :3], [0, 1, 0], atol=1e-12)
    picture = draw(street, view, 0).depth
    road = 1.5 * (0.58 * 320) / (95 - 47.5)  # 5.86 m, in the last row
    hits = np.isclose(picture[-1], road, rtol=1e-5)
    assert hits.mean() > 0.3
    assert np.nanmax(picture[-1]) <= road * (1 + 1e-5)


@pytest.mark.parametrize("clip", range(4))
def test_the_next_frame_shows_the_depth_that_this_one_predicts(reader: SyntheticReader, clip: int) -> None:
    z, found, static, inside = matched(reader.frame(clip, 0), reader.frame(clip, 1))
    error = ((found - z).abs() / z)[static & inside]
    assert error.median() < 1e-4
    assert (error < 0.02).float().mean() > 0.8  # the rest: edges, leaves, what the other frame hides


@pytest.mark.parametrize("clip", range(4))
def test_warping_by_exact_depth_and_pose_explains_the_colours(reader: SyntheticReader, clip: int) -> None:
    target, source = reader.frame(clip, 0), reader.frame(clip, 1)
    source_from_target = (invert(source.world_from_camera) @ target.world_from_camera)[None]
    depth = target.depth.nan_to_num(1e4)[None]
    k = target.intrinsics[None]
    view, seen = warp(source.image.float()[None] / 255, depth, source_from_target, k, k)
    z, found, static, _ = matched(target, source)
    visible = static & seen[0] & ((found - z).abs() < 0.02 * z)
    warped = (view[0] - target.image / 255).abs().mean(0)[visible].mean()
    still = ((source.image.float() - target.image) / 255).abs().mean(0)[visible].mean()
    assert warped < 0.03
    assert warped < 0.4 * still


def test_the_mask_covers_the_cars_that_drove_and_nothing_that_stood() -> None:
    driving, standing = (SyntheticReader(replace(SMALL, moving=m), "train") for m in (True, False))
    covered = 0
    for clip in range(5):
        with_cars, without = driving.frame(clip, 1), standing.frame(clip, 1)
        assert not without.moving.any()
        assert torch.equal(with_cars.world_from_camera, without.world_from_camera)
        nearer = ~with_cars.depth.isnan() & (with_cars.depth != without.depth)
        nearer |= with_cars.depth.isnan() != without.depth.isnan()
        assert torch.equal(nearer, with_cars.moving)
        covered += int(with_cars.moving.sum())
    assert covered > 500


def test_the_sky_has_no_depth_and_all_else_has(reader: SyntheticReader) -> None:
    for clip in range(4):
        depth = reader.frame(clip, 0).depth
        assert not depth[60:].isnan().any()
        assert depth[~depth.isnan()].min() > 0.5
    assert any(reader.frame(clip, 0).depth[:40].isnan().any() for clip in range(4))


def test_a_picture_of_twice_the_size_shrinks_to_this_one(reader: SyntheticReader) -> None:
    large = SyntheticReader(replace(SMALL, height=192, width=640), "train").frame(1, 0)
    small = reader.frame(1, 0)
    shrunk = torch.nn.functional.avg_pool2d(large.image.float(), 2)
    assert (shrunk - small.image).abs().mean() < 4  # of 255
    expected = small.intrinsics.clone()
    expected[:2, 2] = (small.intrinsics[:2, 2] + 0.5) * 2 - 0.5
    expected[:2, :2] *= 2
    torch.testing.assert_close(large.intrinsics, expected)


def test_most_of_the_picture_below_the_horizon_is_textured(reader: SyntheticReader) -> None:
    grey = reader.frame(0, 0).image.float().mean(0)[48:]
    change = (grey[:, 1:] - grey[:, :-1]).abs()
    assert (change > 1).float().mean() > 0.6
    assert change.mean() > 3


def test_the_camera_keeps_clear_of_everything() -> None:
    settings = replace(SMALL, scenes=12, frames=40, height=32, width=64)
    for split in ("train", "test"):
        reader = SyntheticReader(settings, split)
        for clip in range(0, 12, 3):
            for index in (13, 39):
                assert np.nanmin(reader.frame(clip, index).depth.numpy()) > 0.5


@pytest.mark.parametrize(
    ("change", "flag"),
    [
        ({"scenes": 0}, "--scenes"),
        ({"seed": -1}, "--seed"),
        ({"step": 9.0}, "--scene-step"),
        ({"width": 4}, "--width"),
    ],
)
def test_a_senseless_setting_is_named(change: dict, flag: str) -> None:
    with pytest.raises(InputError, match=flag):
        replace(SMALL, **change)
