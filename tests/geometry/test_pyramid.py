import numpy as np
import torch

from mono2many.geometry.camera import intrinsics_matrix
from mono2many.geometry.pyramid import halve_lanczos, image_pyramid, level_intrinsics, shrink_mask


def test_a_level_is_the_mean_of_two_by_two() -> None:
    picture = torch.tensor([[1.0, 3], [5, 7]]).expand(3, 2, 2)
    levels = image_pyramid(picture, 2)
    assert torch.equal(levels[0], picture)
    torch.testing.assert_close(levels[1], torch.full((3, 1, 1), 4.0))


def test_sources_are_halved_with_their_batch_axes_kept() -> None:
    assert [tuple(level.shape) for level in image_pyramid(torch.rand(2, 4, 3, 8, 16), 3)] == [
        (2, 4, 3, 8, 16),
        (2, 4, 3, 4, 8),
        (2, 4, 3, 2, 4),
    ]


def test_lanczos_leaves_a_plain_picture_plain_and_a_ramp_a_ramp() -> None:
    torch.testing.assert_close(halve_lanczos(torch.full((1, 3, 16, 16), 0.3)), torch.full((1, 3, 8, 8), 0.3))
    ramp = (torch.arange(64.0) / 64).expand(1, 1, 64, 64)
    halved = halve_lanczos(ramp)[0, 0, 16, 8:24]
    torch.testing.assert_close(halved, (torch.arange(8.0, 24) * 2 + 0.5) / 64, atol=1e-4, rtol=0)


def test_lanczos_agrees_with_pillow() -> None:
    from PIL import Image

    picture = torch.rand(32, 48)
    theirs = Image.fromarray(picture.numpy()).resize((24, 16), Image.Resampling.LANCZOS)
    ours = halve_lanczos(picture[None, None])[0, 0]
    torch.testing.assert_close(ours, torch.from_numpy(np.array(theirs)).clamp(0, 1), atol=1e-5, rtol=0)


def test_a_levels_camera_keeps_the_pictures_corner_and_the_plain_one_does_not() -> None:
    camera = intrinsics_matrix(100.0, 100.0, 31.5, 15.5)
    half = level_intrinsics(camera, (32, 64), (16, 32))
    assert half[0, 2] == 15.5
    assert half[0, 0] == 50
    assert level_intrinsics(camera, (32, 64), (16, 32), "plain")[0, 2] == 15.75


def test_a_smaller_masks_pixel_is_true_where_all_that_it_covers_is() -> None:
    mask = torch.ones(4, 6, dtype=torch.bool)
    mask[3, 1] = False
    expected = torch.tensor([[True, True, True], [False, True, True]])
    assert torch.equal(shrink_mask(mask, (2, 3)), expected)
    assert torch.equal(shrink_mask(mask.expand(2, 4, 6), (2, 3)), expected.expand(2, 2, 3))
