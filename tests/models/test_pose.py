import pytest
import torch

from mono2many.geometry.pose import invert, transform_from_pose
from mono2many.models.architecture import MonoArchitecture, PoseInput, PoseType
from mono2many.models.mono import MonoDepth, head_motion
from mono2many.models.pose import PoseNet, RelativePose, source_from_target


@pytest.mark.parametrize("pose_type", ["separate", "shared", "posecnn", "light"])
@pytest.mark.parametrize("pose_input", ["pairs", "all"])
def test_every_variant_gives_one_small_motion_per_source(pose_type: PoseType, pose_input: PoseInput) -> None:
    model = MonoDepth(
        MonoArchitecture("light", "light", pose_type=pose_type, pose_input=pose_input, pose_encoder="light")
    )
    _, motion, masks = model(torch.rand(2, 3, 64, 96), torch.rand(2, 2, 3, 64, 96), (-1, 1))
    assert motion[0].shape == motion[1].shape == (2, 2, 3)
    assert motion[0].abs().max() < 0.1
    assert masks is None
    sum(part.square().sum() for part in motion).backward()
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in model.pose.parameters())


def test_pairs_enter_in_temporal_order_and_earlier_sources_are_inverted() -> None:
    net = PoseNet("light").eval()
    target, source = torch.rand(1, 3, 64, 64), torch.rand(1, 1, 3, 64, 64)
    turn, shift = net(target, source, (1,))  # the pair (target, source)
    back_turn, back_shift = net(
        source[:, 0], target[:, None], (-1,)
    )  # the same pair, seen from the later frame
    torch.testing.assert_close((turn, shift), (back_turn, back_shift))
    later = source_from_target(RelativePose(turn, shift), (1,), "pairs")
    torch.testing.assert_close(later, transform_from_pose(turn, shift))
    torch.testing.assert_close(source_from_target(RelativePose(turn, shift), (-1,), "pairs"), invert(later))


def test_with_all_frames_nothing_is_inverted() -> None:
    turn, shift = torch.rand(1, 2, 3), torch.rand(1, 2, 3)
    matrices = source_from_target(RelativePose(turn, shift), (-1, 1), "all")
    torch.testing.assert_close(matrices, transform_from_pose(turn, shift))


def test_posecnns_translation_is_in_units_of_the_mean_disparity() -> None:
    architecture = MonoArchitecture(pose_type="posecnn", min_depth=1.0, max_depth=2.0)
    motion = RelativePose(torch.zeros(1, 1, 3), torch.ones(1, 1, 3))
    nearest = torch.ones(1, 4, 4)  # sigmoid 1: disparity 1; sigmoid 0: 1/2
    assert head_motion(architecture, motion, (1,), nearest)[0, 0, 0, 3] == 1.0
    assert head_motion(architecture, motion, (1,), 0 * nearest)[0, 0, 0, 3] == 0.5


def test_the_papers_pose_head_has_the_papers_channels() -> None:
    trunk = PoseNet("separate", encoder="resnet18").trunk
    convs = [m for m in trunk.modules() if isinstance(m, torch.nn.Conv2d)]
    assert convs[0].in_channels == 6
    assert [(c.in_channels, c.out_channels) for c in convs[-4:]] == [
        (512, 256),
        (256, 256),
        (256, 256),
        (256, 12),
    ]
    shared = PoseNet("shared", depth_encoder_channels=512).trunk
    assert [m.out_channels for m in shared.modules() if isinstance(m, torch.nn.Conv2d)] == [256, 256, 256, 6]
    cnn = [m for m in PoseNet("posecnn").trunk.modules() if isinstance(m, torch.nn.Conv2d)]
    assert [c.out_channels for c in cnn] == [16, 32, 64, 128, 256, 256, 256, 6]


def test_half_precision_gradients_of_a_picture_of_which_one_pixel_is_left_are_no_rubbish() -> None:
    frames = torch.rand(4, 2, 3, 64, 64)
    gradients = []
    for dtype in (torch.float32, torch.bfloat16):
        torch.manual_seed(0)
        net = PoseNet("light")
        for _ in range(3):
            net.zero_grad()
            rubbish = [torch.full((128, 128, 3, 3), 1e30) for _ in range(3)]
            del rubbish  # what memory holds before it is used
            with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
                angle, shift = net(frames[:, 0], frames[:, 1:], (1,))
            (angle.sum() + shift.sum()).backward()
        gradients.append(torch.cat([p.grad.flatten() for p in net.parameters() if p.grad is not None]))
    assert gradients[1].abs().max() < 2 * gradients[0].abs().max()
