import colorsys

import pytest
import torch
from torch import Tensor

from mono2many.data import augment
from mono2many.data.augment import (
    Augmentation,
    change_brightness,
    change_contrast,
    change_hue,
    change_saturation,
    to_batch,
)
from mono2many.data.rng import uniform
from mono2many.geometry.camera import intrinsics_matrix
from mono2many.geometry.pose import transform
from mono2many.geometry.warp import project, warp
from mono2many.types import RawBatch


def clips(count: int = 16) -> RawBatch:
    frames = torch.randint(0, 256, (count, 3, 3, 4, 6), dtype=torch.uint8)
    camera = intrinsics_matrix(5.0, 5.0, 2.0, 1.5).expand(count, 3, 3, 3)
    depth = torch.rand(count, 4, 6)
    return RawBatch(
        frames,
        torch.ones(count, 3, dtype=torch.bool),
        camera,
        torch.arange(count),
        depth,
        depth > 0.5,
        valid_mask=depth > 0.2,
    )


def test_without_augmentation_pictures_are_the_frames_over_255() -> None:
    given = clips()
    batch = to_batch(given, (-1, 1), "cpu")
    torch.testing.assert_close(batch.target, given.frames[:, 0] / 255)
    torch.testing.assert_close(batch.sources, given.frames[:, 1:] / 255)
    assert torch.equal(batch.target_jittered, batch.target)
    assert batch.source_offsets == (-1, 1)


def test_a_mirrored_sample_is_mirrored_in_all_its_frames_its_depth_and_its_camera() -> None:
    given = clips()
    batch = to_batch(given, (-1, 1), "cpu", Augmentation(jitter=False))
    plain = given.frames / 255
    assert given.depth is not None
    assert batch.depth is not None
    mirrored = 0
    for i in range(16):
        flipped = batch.intrinsics[i, 0, 2] == 3  # width 6: cx 2 becomes 6 - 1 - 2
        mirrored += int(flipped)
        picture = plain[i].flip(-1) if flipped else plain[i]
        torch.testing.assert_close(torch.cat([batch.target[i, None], batch.sources[i]]), picture)
        assert torch.equal(batch.depth[i], given.depth[i].flip(-1) if flipped else given.depth[i])
        assert batch.valid_mask is not None
        assert torch.equal(batch.valid_mask[i], batch.depth[i] > 0.2)
    assert 3 <= mirrored <= 13


def test_the_reference_leaves_the_principal_point() -> None:
    batch = to_batch(clips(), (-1, 1), "cpu", Augmentation(jitter=False, mirror_camera=False))
    assert (batch.intrinsics[:, 0, 2] == 2).all()


def test_half_of_the_samples_change_colours_all_frames_alike_and_the_losses_see_none_of_it() -> None:
    given = clips()
    same = given.frames[:, :1].expand(-1, 3, -1, -1, -1)
    batch = to_batch(
        RawBatch(same, given.exists, given.intrinsics, given.index),
        (-1, 1),
        "cpu",
        Augmentation(mirror=False),
    )
    torch.testing.assert_close(batch.target, same[:, 0] / 255)
    changed = (batch.target_jittered != batch.target).flatten(1).any(1)
    assert 3 <= changed.sum() <= 13
    torch.testing.assert_close(
        batch.sources_jittered, batch.target_jittered[:, None].expand(-1, 2, -1, -1, -1)
    )


def test_a_sample_is_changed_in_the_same_way_in_whatever_batch_it_comes() -> None:
    given = clips()
    some = RawBatch(given.frames[5:9], given.exists[5:9], given.intrinsics[5:9], given.index[5:9])
    whole, part = (to_batch(c, (-1, 1), "cpu", Augmentation(), 3, 11) for c in (given, some))
    assert torch.equal(whole.target_jittered[5:9], part.target_jittered)


def grey(rgb: Tensor) -> Tensor:
    return (rgb * torch.tensor([0.299, 0.587, 0.114])[:, None, None]).sum(-3, keepdim=True)


def plain_hue(rgb: Tensor, amount: float) -> Tensor:
    """To HSV, turned, and back."""
    value, low = rgb.amax(-3), rgb.amin(-3)
    red, green, blue = rgb.unbind(-3)
    chroma = value - low
    safe = torch.where(chroma > 0, chroma, 1)
    toward_green, toward_blue = (blue - red) / safe + 2, (red - green) / safe + 4
    hue = torch.where(value == green, toward_green, toward_blue)
    hue = torch.where(value == red, (green - blue) / safe, hue)
    k = (hue[..., None, :, :] + 6 * amount + torch.tensor([5.0, 3.0, 1.0])[:, None, None]).remainder(6)
    return value.unsqueeze(-3) - chroma.unsqueeze(-3) * torch.minimum(k, 4 - k).clamp(0, 1)


def plain_jitter(picture: Tensor, u: Tensor, a: Augmentation) -> Tensor:
    """Change after change on the whole picture, by the formulas as one writes them down."""
    result = picture.clone()
    for kind in u[6:10].argsort().tolist() if a.jitter and u[1] < 0.5 else []:
        span = (a.brightness, a.contrast, a.saturation, a.hue)[kind]
        amount = float((2 * u[2 + kind] - 1) * span)
        mean = grey(result).mean((-2, -1), keepdim=True)
        result = (
            (result * (1 + amount)).clamp(0, 1),
            (mean + (result - mean) * (1 + amount)).clamp(0, 1),
            (grey(result) + (result - grey(result)) * (1 + amount)).clamp(0, 1),
            plain_hue(result, amount),
        )[kind]
    return result


@pytest.mark.parametrize("pictures", [augment._images_in_bands, augment._images_at_once])
@pytest.mark.parametrize(
    "a",
    [
        Augmentation(),
        Augmentation(hue=0.3, saturation=0.0, contrast=0.5),
        Augmentation(hue=0.0),
        Augmentation(jitter=False),
    ],
)
def test_both_ways_of_working_give_the_values_of_the_plain_formulas(pictures, a, monkeypatch) -> None:
    monkeypatch.setattr(augment, "BAND", 60)  # bands of 5 rows, the last of 3
    frames = torch.randint(0, 256, (16, 2, 3, 13, 12), dtype=torch.uint8)
    frames[::2, 0] = frames[::2, 0, :1]  # grey
    frames[1::2, 0, :2] = frames[1::2, 0, 1:]  # two channels alike, or three
    u = uniform(0, 5, torch.arange(16), 10)
    mirrored = u[:, 0] < 0.5
    plain, jittered = pictures(frames, mirrored, u, a)
    expected = torch.where(mirrored[:, None, None, None, None], frames.flip(-1), frames) / 255
    torch.testing.assert_close(plain, expected)
    wanted = torch.stack([plain_jitter(p, draws, a) for p, draws in zip(expected, u, strict=True)])
    torch.testing.assert_close(jittered, wanted, atol=3e-6, rtol=0)


def pixel(red: float, green: float, blue: float) -> Tensor:
    return torch.tensor([red, green, blue])[:, None, None]


def test_each_change_of_colour_is_what_its_name_says() -> None:
    colour = (0.2, 0.4, 0.6)
    torch.testing.assert_close(change_brightness(pixel(*colour), 0.1), pixel(0.22, 0.44, 0.66))
    mean = 0.299 * 0.2 + 0.587 * 0.4 + 0.114 * 0.6
    expected = pixel(*(mean + 1.2 * (c - mean) for c in colour))
    torch.testing.assert_close(change_saturation(pixel(*colour), 0.2), expected)
    torch.testing.assert_close(change_contrast(pixel(*colour), 0.2, mean), expected)
    assert change_brightness(pixel(1.0, 0.5, 0.0), 0.2).max() == 1


@pytest.mark.parametrize("amount", [0.07, -0.1, 0.33])
def test_hue_turns_as_in_hsv(amount: float) -> None:
    colours = torch.rand(50, 3)
    turned = change_hue(colours.T[:, :, None].clone(), amount)[:, :, 0].T
    for before, after in zip(colours.tolist(), turned.tolist(), strict=True):
        hue, saturation, value = colorsys.rgb_to_hsv(*before)
        torch.testing.assert_close(
            torch.tensor(after),
            torch.tensor(colorsys.hsv_to_rgb((hue + amount) % 1, saturation, value)),
            atol=1e-5,
            rtol=0,
        )
    torch.testing.assert_close(change_hue(pixel(0.3, 0.3, 0.3), 0.05), pixel(0.3, 0.3, 0.3))


def test_where_a_neighbour_is_absent_the_networks_see_the_target_and_the_losses_see_black() -> None:
    given = clips(2)
    exists = torch.tensor([[True, False, True], [True, True, True]])
    batch = to_batch(
        RawBatch(given.frames * exists[..., None, None, None], exists, given.intrinsics, given.index),
        (-1, 1),
        "cpu",
    )
    assert torch.equal(batch.sources_jittered[0, 0], batch.target[0])
    assert batch.sources[0, 0].max() == 0
    assert torch.equal(batch.sources_jittered[1], batch.sources[1])


def test_a_point_lies_f_b_over_z_further_left_in_the_right_eye_and_mirrored_to_the_right() -> None:
    """Focal length 10, baseline 0.1, a wall at depth 0.5: the right eye's picture is 2 pixels to the left."""
    given = clips(16)
    left = given.frames[:, :1]
    frames = torch.cat([left, left.roll(-2, -1)], 1)
    k = torch.tensor([[10.0, 0, 3], [0, 10, 2], [0, 0, 1]]).expand(16, 2, 3, 3)
    batch = to_batch(
        RawBatch(frames, given.exists[:, :2], k, given.index, stereo_x=torch.full((16,), -0.1)),
        (0,),
        "cpu",
        Augmentation(),
    )
    rig, mirrored = batch.stereo_from_target, batch.mirrored
    assert rig is not None
    assert mirrored is not None
    assert 0 < int(mirrored.sum()) < 16
    assert torch.equal(rig[:, 0, 3], torch.where(mirrored, 0.1, -0.1))
    assert torch.equal(rig[:, :3, :3], torch.eye(3).expand(16, 3, 3))
    point = torch.tensor([[0.2], [0.1], [0.5]]).expand(16, 3, 1)
    seen = [
        project(points, camera)[0][:, 0, 0]
        for points, camera in (
            (point, batch.intrinsics),
            (transform(rig, point), batch.source_intrinsics[:, 0]),
        )
    ]
    torch.testing.assert_close(seen[1] - seen[0], torch.where(mirrored, 2.0, -2.0), rtol=0, atol=1e-4)
    wall = torch.full((16, *frames.shape[-2:]), 0.5)
    view, inside = warp(batch.sources[:, 0], wall, rig, batch.intrinsics, batch.source_intrinsics[:, 0])
    assert inside.float().mean() == pytest.approx(4 / 6)
    off = (view - batch.target).abs().amax(1)[inside]
    assert off.max() < 1e-3
    # one draw of colours for both eyes: each pixel of the wall has one colour in both
    jittered, _ = warp(batch.sources_jittered[:, 0], wall, rig, batch.intrinsics, batch.intrinsics)
    assert (jittered - batch.target_jittered).abs().amax(1)[inside].max() < 0.02
