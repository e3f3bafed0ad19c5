"""ManyDepth's student: one image and its neighbours' features, compared by a plane sweep, to disparity
(Watson et al. 2021, sec. 3)."""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from mono2many.geometry.camera import scale_intrinsics_plain
from mono2many.geometry.sweep import Sweep, depth_hypotheses, plane_sweep
from mono2many.models.architecture import ManyArchitecture
from mono2many.models.mono import DisparityNet


class Student(NamedTuple):
    """What the student predicts of B images; h w are a quarter of H W."""

    sigmoids: list[Float[Tensor, "B 1 _ _"]]
    """Finest first."""
    lowest_cost_depth: Float[Tensor, "B h w"]
    """Of the hypothesis that matched best, in the unit of the networks' depth."""
    confidence: Bool[Tensor, "B h w"]
    """Cells that were compared at every hypothesis (by pixels: at half of them); the others' costs are
    zeroed."""
    matching_residual: Float[Tensor, "B h w"] | None = None
    """By pixels: |log depth before the gate - log depth of least cost|, the median around, times how far the
    gate is open. What the decoder may still learn from matching."""


class ImageFeatures(NamedTuple):
    """Of B images, what is computed of each without its neighbours."""

    stride2: Tensor | None
    """The encoder's maps; None where it has none there."""
    stride4: Float[Tensor, "B _ h w"]
    matching_features: Float[Tensor, "B C H W"]
    """What the sweep compares: h w, or finer."""


class StudentNet(DisparityNet):
    """One image and its neighbours' features to disparity: a plane sweep between stride 4 and stride 8."""

    nearest: Tensor
    farthest: Tensor

    def __init__(self, architecture: ManyArchitecture, encoder_weights: str = "none") -> None:
        super().__init__(architecture, encoder_weights)
        self.hypotheses, self.spacing = architecture.hypotheses, architecture.spacing
        self.rectified = architecture.rectified
        channels = self.encoder.channels[1]
        self.reduce = nn.Conv2d(channels + self.hypotheses, channels, 3, padding=1)
        # the sweep's range follows the teacher's depth in training (sec. 3.2): it belongs to the weights
        self.register_buffer("nearest", torch.tensor(0.1))
        self.register_buffer("farthest", torch.tensor(10.0))

    @torch.no_grad()
    def set_range(self, nearest: Float[Tensor, ""], farthest: Float[Tensor, ""]) -> None:
        """The depths between which the sweep compares; numbers that are not finite change nothing."""
        good = nearest.isfinite() & farthest.isfinite()
        self.nearest.copy_(torch.where(good, nearest, self.nearest))
        self.farthest.copy_(torch.where(good, farthest, self.farthest))

    def features(self, images: Float[Tensor, "B 3 H W"]) -> ImageFeatures:
        """What is computed of each image before it is compared with its neighbours."""
        stride2, stride4 = self.encoder.shallow(images)
        assert stride4 is not None
        return ImageFeatures(stride2, stride4, stride4)

    def matching_features(self, images: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B C _ _"]:
        """`features(images).matching_features`: all that the sweep needs of neighbours."""
        return self.features(images).matching_features

    def forward(
        self,
        features: ImageFeatures,
        matching: Float[Tensor, "B F C H W"],
        matching_from_current: Float[Tensor, "B F 4 4"],
        exists: Bool[Tensor, "B F"],
        intrinsics: Float[Tensor, "B 3 3"],
    ) -> Student:
        """`features` of the images and `matching_features` of their neighbours, with K in pixels of the
        images. No gradient passes through the sweep (sec. 3.1). Without any neighbour the volume is empty:
        single-frame depth."""
        # strided convolutions put cell j at pixel 4 j: K / 4, without half-pixel shift
        camera = scale_intrinsics_plain(intrinsics, (4, 4), (1, 1))
        depths = depth_hypotheses(self.nearest, self.farthest, self.hypotheses, self.spacing)
        stride_ratio = matching.shape[-1] // features.stride4.shape[-1]
        current = features.matching_features[..., ::stride_ratio, ::stride_ratio]
        sweep = plane_sweep(current, matching, matching_from_current, exists, camera, depths)
        return self.predict(features, sweep, depths)

    def predict(self, features: ImageFeatures, sweep: Sweep, depths: Float[Tensor, " D"]) -> Student:
        """From the cost volume at these depths."""
        sigmoids = self.decoder.maps(self.decoded(features, sweep.volume * sweep.confidence.unsqueeze(1)))
        return Student(sigmoids, depths[sweep.lowest_cost], sweep.confidence)

    def sigmoids(self, features: ImageFeatures) -> list[Float[Tensor, "B 1 _ _"]]:
        """Single-frame depth, finest first: the volume is empty."""
        current = features.stride4
        empty = current.new_zeros(len(current), self.hypotheses, *current.shape[-2:])
        return self.decoder.maps(self.decoded(features, empty))

    def decoded(self, features: ImageFeatures, volume: Float[Tensor, "B _ h w"]) -> list[Tensor]:
        """The decoder's stages."""
        current = features.stride4
        reduced = self.reduce(torch.cat([current, volume.to(current.dtype)], 1))
        reduced = reduced.relu() if self.rectified else reduced
        # the decoder's skip at stride 4 is the image's own map, as the published weights have it
        return self.decoder.stages([features.stride2, current, *self.encoder.deep(reduced)])
