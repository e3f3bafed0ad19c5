"""From frames to camera motion: source_from_target of every source (Godard et al. 2019, supplement).

The types stand in architecture.py. PoseCNN's translation (Zhou et al. 2017) is in units of the mean depth.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from mono2many.geometry.pose import invert, transform_from_pose
from mono2many.models.architecture import PoseInput, PoseType
from mono2many.models.encoder import Encoder, make_encoder
from mono2many.types import InputError


class RelativePose(NamedTuple):
    """Camera motion between the target and each source, in temporal order: `source_from_target` makes
    matrices of it."""

    axis_angle: Float[Tensor, "B S 3"]
    """Radians."""
    translation: Float[Tensor, "B S 3"]
    """In depth's unit."""


OUTPUT_SCALE = 0.01
"""Motions start near zero, where the photometric error can lead."""

POSECNN_WIDTHS = (16, 32, 64, 128, 256, 256, 256)
LIGHT_POSE_WIDTHS = (16, 32, 64, 128, 128, 128)


class PoseNet(nn.Module):
    """Camera motion between the target and each source. `pose_input` "all" fixes their number."""

    def __init__(
        self,
        pose_type: PoseType,
        pose_input: PoseInput = "pairs",
        sources: int = 2,
        encoder: str = "resnet18",
        encoder_weights: str = "none",
        depth_encoder_channels: int = 0,
    ) -> None:
        super().__init__()
        self.pose_type, self.pose_input = pose_type, pose_input
        frames, motions = (2, 1) if pose_input == "pairs" else (sources + 1, sources)
        self.trunk: nn.Module
        if pose_type == "separate":
            # of pairs the papers' head makes two motions, of which the first is used: published weights fit
            outputs = 2 if pose_input == "pairs" else motions
            encoder_net = make_encoder(encoder, encoder_weights, images=frames)
            self.trunk = FeatureTrunk(encoder_net, encoder_net.channels[-1], 1, outputs)
        elif pose_type == "shared":
            self.trunk = FeatureTrunk(None, depth_encoder_channels, frames, motions)
        elif pose_type == "posecnn":
            self.trunk = StridedTrunk(3 * frames, POSECNN_WIDTHS, motions, batch_norm=False)
        else:
            self.trunk = StridedTrunk(3 * frames, LIGHT_POSE_WIDTHS, motions, batch_norm=True)

    def forward(
        self,
        target: Float[Tensor, "B C H W"],
        sources: Float[Tensor, "B S C H W"],
        offsets: Sequence[int],
    ) -> RelativePose:
        """The pose of every source; all pairs run in one batch. Where the pose type is shared, of the depth
        encoder's last features in place of images."""
        if self.pose_type == "light":  # at half size; each frame once, not once per pair
            target = F.avg_pool2d(target, 2)
            sources = F.avg_pool2d(sources.flatten(0, 1), 2).unflatten(0, sources.shape[:2])
        if self.pose_input == "all":
            stacked = torch.cat([target.unsqueeze(1), sources], 1).flatten(1, 2)
        else:
            pairs = [
                torch.cat((source, target) if offset < 0 else (target, source), 1)
                for source, offset in zip(sources.unbind(1), offsets, strict=True)
            ]
            stacked = torch.stack(pairs, 1).flatten(0, 1)
        prediction = self.trunk(stacked).float().mean((2, 3)) * OUTPUT_SCALE
        if self.pose_input == "all":
            motions = prediction.unflatten(1, (-1, 6))
        else:
            motions = prediction[:, :6].unflatten(0, sources.shape[:2])
        return RelativePose(motions[..., :3], motions[..., 3:])


NO_POSE = (
    "this model has no pose network: it predicts depth, no camera motion; for that, train with --stereo also "
    "instead of only, or import it again with pose_encoder.pth and pose.pth"
)


class NoPose(PoseNet):
    """In place of a pose network that a model lacks: no weights; calling it raises InputError."""

    def __init__(self) -> None:
        nn.Module.__init__(self)
        self.pose_type, self.pose_input = "separate", "pairs"

    def forward(self, target: Tensor, sources: Tensor, offsets: Sequence[int]) -> RelativePose:
        if offsets:
            raise InputError(NO_POSE)
        nothing = target.new_empty(len(target), 0, 3, dtype=torch.float32)
        return RelativePose(nothing, nothing)


def source_from_target(
    motion: RelativePose,
    offsets: Sequence[int],
    pose_input: PoseInput,
    translation_scale: Float[Tensor, "B"] | None = None,
) -> Float[Tensor, "B S 4 4"]:
    """Matrices of PoseNet's output. With pairs, its output for an earlier source is target_from_source:
    inverted here. `translation_scale`: PoseCNN's translations are times the target's mean inverse depth."""
    axis_angle, translation = motion
    if not offsets:
        return axis_angle.new_empty(*axis_angle.shape[:2], 4, 4)
    if translation_scale is not None:
        translation = translation * translation_scale[:, None, None]
    matrices = transform_from_pose(axis_angle, translation)
    if pose_input == "all":
        return matrices
    each = zip(matrices.unbind(1), offsets, strict=True)
    return torch.stack([invert(matrix) if offset < 0 else matrix for matrix, offset in each], 1)


class FeatureTrunk(nn.Module):
    """An encoder's last features (without one, those of `frames` images that come in), each squeezed to 256
    channels, two 3x3 convolutions, 6 channels per motion."""

    def __init__(self, encoder: Encoder | None, channels: int, frames: int, motions: int) -> None:
        super().__init__()
        self.encoder, self.frames = encoder, frames
        self.squeeze = nn.Conv2d(channels, 256, 1)
        self.head = nn.Sequential(
            nn.Conv2d(256 * frames, 256, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(256, 256, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(256, 6 * motions, 1),
        )

    def forward(self, inputs: Float[Tensor, "B C h w"]) -> Float[Tensor, "B N _ _"]:
        features = inputs if self.encoder is None else self.encoder(inputs)[-1]
        each = features.unflatten(1, (self.frames, -1)).flatten(0, 1)
        squeezed = self.squeeze(each).relu().unflatten(0, (len(features), self.frames))
        return self.head(squeezed.flatten(1, 2))


class StridedTrunk(nn.Module):
    """Convolutions of stride 2 (kernels 7, 5, then 3) with ReLU, then 1x1 to 6 channels per motion.
    Does not normalise its input (like the papers' PoseCNN)."""

    def __init__(self, inputs: int, widths: Sequence[int], motions: int, batch_norm: bool) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        kernels = (7, 5, *(3,) * (len(widths) - 2))
        for before, width, kernel in zip((inputs, *widths[:-1]), widths, kernels, strict=True):
            layers.append(nn.Conv2d(before, width, kernel, 2, kernel // 2, bias=not batch_norm))
            layers += [nn.BatchNorm2d(width)] if batch_norm else []
            layers.append(nn.ReLU(inplace=True))
        self.convs = nn.Sequential(*layers)
        self.out = nn.Conv2d(widths[-1], 6 * motions, 1)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B N h w"]:
        for layer in self.convs:
            if isinstance(layer, nn.Conv2d) and x.shape[-2:] == (1, 1):
                # seen in torch 2.14's oneDNN: rubbish in bf16 gradients of weights that see padding only
                padded = F.pad(x, [int(layer.padding[0])] * 4)
                x = F.conv2d(padded, layer.weight, layer.bias, layer.stride)
            else:
                x = layer(x)
        return self.out(x)
