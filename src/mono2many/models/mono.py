"""MonoDepth: a depth network that sees one frame and a pose network that sees neighbours."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mono2many.geometry.depth import disparity_from_sigmoid
from mono2many.models.architecture import MonoArchitecture
from mono2many.models.cameras import LearntCameras
from mono2many.models.decoder import DepthDecoder
from mono2many.models.encoder import make_encoder
from mono2many.models.pose import NoPose, PoseNet, RelativePose, source_from_target
from mono2many.types import Batch


class DisparityNet(nn.Module):
    """An encoder, a decoder and the depths that the decoder's sigmoid spans."""

    min_depth: Tensor
    max_depth: Tensor

    def __init__(self, architecture: MonoArchitecture, encoder_weights: str = "none") -> None:
        super().__init__()
        a = architecture
        self.encoder = make_encoder(a.encoder, encoder_weights)
        self.decoder = DepthDecoder(self.encoder.channels, a.decoder, a.scales, a.padding)
        self.register_buffer("min_depth", torch.tensor(a.min_depth))
        self.register_buffer("max_depth", torch.tensor(a.max_depth))

    def disparity(self, sigmoid: Float[Tensor, "B 1 H W"]) -> Float[Tensor, "B H W"]:
        """1 / depth, in the unit of the networks' depth."""
        return disparity_from_sigmoid(sigmoid.squeeze(1), self.min_depth, self.max_depth)


class DepthNet(DisparityNet):
    """One image to disparity, at up to four scales."""

    def __init__(self, architecture: MonoArchitecture, encoder_weights: str = "none") -> None:
        super().__init__(architecture, encoder_weights)
        a, self.mask_decoder = architecture, None
        if a.predictive_mask:
            outputs = a.sources + a.stereo
            self.mask_decoder = DepthDecoder(self.encoder.channels, a.decoder, a.scales, a.padding, outputs)

    def forward(self, image: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B H W"]:
        """Disparity (1 / depth, up to scale) of RGB in [0, 1], at the image's size (multiples of 32)."""
        return self.disparity(self.decoder(self.encoder(image))[0])


class MonoOutput(NamedTuple):
    """All that training differentiates."""

    sigmoids: list[Float[Tensor, "B 1 _ _"]]
    """Finest first."""
    pose: RelativePose
    """Of every source."""
    masks: list[Float[Tensor, "B S _ _"]] | None
    """Explainability masks, finest first, if the architecture has them."""


class MonoDepth(nn.Module):
    """The depth network and the pose network that trains with it. Weights: `depth.*` and `pose.*`, and
    `cameras.*` where these are learnt."""

    def __init__(self, architecture: MonoArchitecture, encoder_weights: str = "none") -> None:
        super().__init__()
        self.architecture = a = architecture
        self.depth = DepthNet(a, encoder_weights)
        # a file holds one network's weights; ImageNet's exist for either
        same = a.pose_encoder == a.encoder or encoder_weights == "imagenet"
        pose_weights = encoder_weights if same else "none"
        rest = (a.pose_encoder, pose_weights, self.depth.encoder.channels[-1])
        self.pose = PoseNet(a.pose_type, a.pose_input, a.sources, *rest) if a.sources else NoPose()
        self.cameras = LearntCameras(a.cameras) if a.cameras else None

    def on_batch(self, batch: Batch) -> tuple[list[Float[Tensor, "B 1 _ _"]], RelativePose]:
        """Sigmoid maps and pose of a batch, as in `forward`."""
        sigmoids, pose, _ = self(*batch.first_sources(self.architecture.sources).for_networks())
        return sigmoids, pose

    def forward(
        self,
        target: Float[Tensor, "B 3 H W"],
        sources: Float[Tensor, "B S 3 H W"],
        offsets: Sequence[int],
    ) -> MonoOutput:
        """Depth of the target and the pose of every source. RGB in [0, 1], in multiples of 32 pixels."""
        if self.pose.pose_type == "shared":
            frames = torch.cat([target.unsqueeze(1), sources], 1)
            together = self.depth.encoder(frames.flatten(0, 1))
            features = [None if f is None else f.unflatten(0, frames.shape[:2])[:, 0] for f in together]
            last = together[-1]
            assert last is not None
            last = last.unflatten(0, frames.shape[:2])
            pose = self.pose(last[:, 0], last[:, 1:], offsets)
        else:
            features = self.depth.encoder(target)
            pose = self.pose(target, sources, offsets)
        sigmoids = self.depth.decoder(features)
        masks = None if self.depth.mask_decoder is None else self.depth.mask_decoder(features)
        return MonoOutput(sigmoids, pose, masks)


def head_motion(
    architecture: MonoArchitecture,
    motion: RelativePose,
    offsets: Sequence[int],
    sigmoid: Float[Tensor, "B h w"],
    stereo_from_target: Float[Tensor, "B 4 4"] | None = None,
) -> Float[Tensor, "B N 4 4"]:
    """source_from_target for one disparity map: PoseCNN's translations are times the map's mean disparity
    (Godard et al. 2019's code for the pose network of Zhou et al. 2017); the others do not look at it. The
    stereo partner's, which is known, comes last."""
    a = architecture
    scale = None
    if a.pose_scaled_by_disparity:
        scale = disparity_from_sigmoid(sigmoid, a.min_depth, a.max_depth).mean((1, 2))
    predicted = source_from_target(motion, [o for o in offsets if o], a.pose_input, scale)
    if stereo_from_target is None:
        return predicted
    return torch.cat([predicted, stereo_from_target[:, None].to(predicted)], 1)
