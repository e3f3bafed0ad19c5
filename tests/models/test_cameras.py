import math

import pytest
import torch
from torch import nn

from mono2many.geometry.camera import intrinsics_matrix, mirror_intrinsics
from mono2many.models.cameras import LearntCameras, scale_pose_by_focal, with_learnt_cameras
from mono2many.models.pose import RelativePose
from mono2many.types import Batch

FIRST = intrinsics_matrix(50.0, 60.0, 31.5, 20.0)
SECOND = intrinsics_matrix(30.0, 30.0, 30.0, 31.5)


def cameras() -> LearntCameras:
    learnt = LearntCameras(2)
    learnt.start_from(torch.stack([FIRST, SECOND]), 64, 64)
    return learnt


def test_a_learnt_camera_is_what_it_starts_from_and_a_picture_of_half_the_size_has_half_of_it() -> None:
    k = cameras()(torch.tensor([1, 0]), 64, 64)
    torch.testing.assert_close(k[1], FIRST)
    half = cameras()(torch.tensor([0]), 32, 32)[0]
    torch.testing.assert_close(half, intrinsics_matrix(25.0, 30.0, 15.5, 9.75))  # (31.5 + 0.5) / 2 - 0.5


def test_each_sample_gets_its_own_camera_mirrored_where_the_picture_is() -> None:
    learnt, images = cameras(), torch.zeros(2, 3, 64, 64)
    batch = Batch(
        target=images,
        sources=images[:, None],
        source_exists=torch.ones(2, 1, dtype=torch.bool),
        intrinsics=torch.eye(3).expand(2, 3, 3),
        source_intrinsics=torch.eye(3).expand(2, 1, 3, 3),
        target_jittered=images,
        sources_jittered=images[:, None],
        source_offsets=(1,),
        index=torch.arange(2),
        camera=torch.tensor([0, 1]),
        mirrored=torch.tensor([False, True]),
    )
    assert with_learnt_cameras(batch, None) is batch
    seen = with_learnt_cameras(batch, learnt)
    torch.testing.assert_close(seen.intrinsics[0], FIRST)
    torch.testing.assert_close(seen.intrinsics[1], mirror_intrinsics(SECOND, 64))
    assert torch.equal(seen.source_intrinsics[:, 0], seen.intrinsics)
    seen.intrinsics[0, 0, 0].backward()
    assert learnt.raw.grad is not None
    assert learnt.raw.grad[0, 0] > 0
    assert learnt.raw.grad[1].abs().max() == 0


def test_square_pixels_and_a_centred_axis_are_the_most_likely() -> None:
    learnt = LearntCameras(1)
    learnt.start_from(FIRST[None], 64, 64)
    assert learnt.intrinsics_prior().item() < 1e-12
    shares = torch.tensor([[2 * 50 / 64, 2 * 60 / 64, 32 / 64, 20.5 / 64]])
    with torch.no_grad():
        learnt.raw.copy_(shares.expm1().log())  # another field of view: as likely
        assert learnt.intrinsics_prior().item() < 1e-10
        shares[0, 0] *= math.e  # ln e = 1
        shares[0, 2] += 0.1
        learnt.raw.copy_(shares.expm1().log())
    assert learnt.intrinsics_prior().item() == pytest.approx(1.01, rel=1e-4)


def test_a_longer_focal_length_turns_the_camera_less_so_that_the_picture_moves_as_far() -> None:
    class Model(nn.Module):
        cameras = cameras()  # the first starts at fx = 50, the second at 30: a mean of 40 pixels

    motion = RelativePose(torch.tensor([[[0.1, 0.2, 0.3]]]), torch.tensor([[[1.0, 2.0, 3.0]]]))
    k = intrinsics_matrix(80.0, 80.0, 31.5, 31.5)[None]
    angle, shift = scale_pose_by_focal(Model(), motion, k, 64)
    torch.testing.assert_close(angle, torch.tensor([[[0.05, 0.1, 0.3]]]))  # 40 / 80 but for roll
    torch.testing.assert_close(shift, torch.tensor([[[0.5, 1.0, 3.0]]]))  # but for the step ahead
    assert scale_pose_by_focal(nn.Identity(), motion, k, 64) is motion
