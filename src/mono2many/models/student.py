"""ManyDepth's student: one image and what its neighbours say, from a plane sweep or from none, to disparity
(Watson et al. 2021, sec. 3)."""

from dataclasses import dataclass, replace
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from mono2many.geometry.camera import scale_intrinsics_plain
from mono2many.geometry.sweep import (
    Spacing,
    Sweep,
    aggregate_cost,
    depth_hypotheses,
    grey_patches,
    plane_sweep,
    subpixel_argmin,
)
from mono2many.models.mono import DECODER_WIDTHS, DepthNet, MonoArchitecture

MatchBy = Literal["features", "pixels"]


@dataclass(frozen=True)
class ManyArchitecture(MonoArchitecture):
    """A MonoDepth's for teacher and pose network; the student has its kinds of encoder and decoder, and:"""

    hypotheses: int = 96
    """Depths at which the sweep compares, between the nearest and the farthest that training saw."""
    spacing: Spacing = "linear"
    matching: tuple[int, ...] = (-1,)
    """The frames it compares with, counted from the target, by distance in time."""
    match_by: MatchBy = "features"
    """features: the student's at stride 4 are compared, along the motion that the network tells (the paper).
    pixels: grey values, 4 x 4 around every fourth pixel, are looked for at every pixel of the neighbour,
    along a motion that the images refined; and a gate draws depth to the least cost. Not in the paper."""

    @property
    def refines_motion(self) -> bool:
        """The network's motions are aligned with the images before they are used."""
        return self.match_by == "pixels"


@dataclass(frozen=True)
class Student:
    """What the student says of B images; h w are a quarter of H W."""

    sigmoids: list[Float[Tensor, "B 1 _ _"]]
    """Finest first."""
    lowest_cost_depth: Float[Tensor, "B h w"]
    """Of the hypothesis that matched best, in the unit of the networks' depth."""
    confidence: Bool[Tensor, "B h w"]
    """Cells that were compared at every hypothesis (by pixels: at half of them): elsewhere the networks saw
    no cost at all."""
    matching_residual: Float[Tensor, "B h w"]
    """How far the student's own log depth is from the least cost, times how far the gate is open: what it may
    still learn from matching. 0 by features."""


@dataclass(frozen=True)
class ImageFeatures:
    """Of B images, what the student knows before it looks at their neighbours."""

    stride2: Tensor | None
    """The encoder's maps; None where it has none there."""
    stride4: Float[Tensor, "B _ h w"]
    matching_features: Float[Tensor, "B C H W"]
    """What the sweep compares: h w, or finer."""


class StudentNet(nn.Module):
    """One image and its neighbours' features to disparity: a plane sweep between stride 4 and stride 8."""

    min_depth: Tensor
    max_depth: Tensor
    nearest: Tensor
    farthest: Tensor

    def __init__(self, architecture: ManyArchitecture, encoder_weights: str = "none") -> None:
        super().__init__()
        a = architecture
        self.hypotheses, self.spacing = a.hypotheses, a.spacing
        self.by_pixels = a.match_by == "pixels"
        net = DepthNet(a, encoder_weights)
        self.encoder, self.decoder = net.encoder, net.decoder
        channels = self.encoder.channels[1]
        self.reduce = nn.Conv2d(channels + a.hypotheses, channels, 3, padding=1)
        self.gate = Gate(DECODER_WIDTHS[a.decoder][2]) if self.by_pixels else None
        self.register_buffer("min_depth", net.min_depth)
        self.register_buffer("max_depth", net.max_depth)
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
        """What is computed of one image alone, before its neighbours are looked at."""
        stride2, stride4 = self.encoder.shallow(images)
        assert stride4 is not None
        return ImageFeatures(stride2, stride4, grey_patches(images) if self.by_pixels else stride4)

    def matching_features(self, images: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B C _ _"]:
        """`features(images).matching_features`: all that the sweep wants of neighbours."""
        return grey_patches(images) if self.by_pixels else self.features(images).matching_features

    def forward(
        self,
        features: ImageFeatures,
        matching: Float[Tensor, "B F C H W"],
        matching_from_current: Float[Tensor, "B F 4 4"],
        exists: Bool[Tensor, "B F"],
        intrinsics: Float[Tensor, "B 3 3"],
    ) -> Student:
        """Of what `features` says of the images and `matching_features` of their neighbours, with K in pixels
        of the images. No gradient passes through the sweep (sec. 3.1). Without any neighbour the volume is
        empty: single-frame depth."""
        sweep, depths = self.sweep(features, matching, matching_from_current, exists, intrinsics)
        volume = sweep.volume * sweep.confidence.unsqueeze(1)
        stages = self._stages(features, volume)
        sigmoids = self.decoder.maps(stages)
        matching_residual = sigmoids[0].new_zeros(sweep.confidence.shape)
        if self.gate is not None:
            own = self.disparity(sigmoids[0])
            gate_value, log_depth_residual = self.gate(stages[2], own, subpixel_argmin(sweep, depths), sweep)
            sigmoids = [self._apply_gate(sigmoid, gate_value * log_depth_residual) for sigmoid in sigmoids]
            matching_residual = (gate_value.detach() * log_depth_residual.abs()).squeeze(1)
        return Student(sigmoids, depths[sweep.lowest_cost], sweep.confidence, matching_residual)

    def _apply_gate(
        self, sigmoid: Float[Tensor, "B 1 _ _"], log_ratio: Float[Tensor, "B 1 h w"]
    ) -> Float[Tensor, "B 1 _ _"]:
        size = (sigmoid.shape[-2], sigmoid.shape[-1])
        ratio = F.interpolate(log_ratio, size, mode="bilinear").exp()
        low, high = 1 / self.max_depth, 1 / self.min_depth
        return (((low + (high - low) * sigmoid) / ratio - low) / (high - low)).clamp(0, 1)

    def sweep(
        self,
        features: ImageFeatures,
        matching: Float[Tensor, "B F C H W"],
        matching_from_current: Float[Tensor, "B F 4 4"],
        exists: Bool[Tensor, "B F"],
        intrinsics: Float[Tensor, "B 3 3"],
    ) -> tuple[Sweep, Float[Tensor, " D"]]:
        """What `forward` makes the volume of, and the depths compared at."""
        # strided convolutions put cell j at pixel 4 j: K / 4, without half-pixel shift
        camera = scale_intrinsics_plain(intrinsics, (4, 4), (1, 1))
        depths = depth_hypotheses(self.nearest, self.farthest, self.hypotheses, self.spacing)
        stride_ratio = matching.shape[-1] // features.stride4.shape[-1]
        current = features.matching_features[..., ::stride_ratio, ::stride_ratio]
        sweep = plane_sweep(current, matching, matching_from_current, exists, camera, depths)
        if self.by_pixels:  # contrast differs: relative to the cell's mean, and to one grey level
            sweep = aggregate_cost(sweep, WINDOW)
            level = sweep.volume.mean(1, keepdim=True) + 1 / 255
            seen = sweep.missing.float().mean(1) < 0.5  # nearer to the border not all depths can be
            sweep = replace(sweep, volume=sweep.volume / level, confidence=seen)
        return sweep, depths

    def sigmoids(self, features: ImageFeatures) -> list[Float[Tensor, "B 1 _ _"]]:
        """Finest first, of single images: the volume is empty."""
        current = features.stride4
        nothing = current.new_zeros(len(current), self.hypotheses, *current.shape[-2:])
        return self.decoder.maps(self._stages(features, nothing))

    def _stages(self, features: ImageFeatures, volume: Float[Tensor, "B _ h w"]) -> list[Tensor]:
        """The decoder's."""
        current = features.stride4
        reduced = self.reduce(torch.cat([current, volume.to(current.dtype)], 1)).relu()
        # the decoder's skip at stride 4 is the image's own map, as the published weights have it
        return self.decoder.stages([features.stride2, current, *self.encoder.deep(reduced)])

    def disparity(self, sigmoid: Float[Tensor, "B 1 H W"]) -> Float[Tensor, "B H W"]:
        """1 / depth, in the unit of the networks' depth."""
        low, high = 1 / self.max_depth, 1 / self.min_depth
        return low + (high - low) * sigmoid.squeeze(1)


WINDOW = 3
"""Cells across and down over which costs of pixels are averaged."""
LIMIT = 0.35
"""Of log depth: where one frame and the least cost differ by more (a factor of 1.4), something moves or is
hidden, and the gate is shut."""


class Gate(nn.Module):
    """How far each cell's depth is drawn to the depth of least cost. Not in the paper."""

    def __init__(self, channels: int, width: int = 16) -> None:
        super().__init__()
        self.opened = nn.Sequential(
            nn.Conv2d(channels + 6, width, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, 1, 3, padding=1),
        )
        nn.init.constant_(self.opened[-1].bias, 1.0)  # type: ignore[arg-type]

    def forward(
        self,
        decoded: Float[Tensor, "B C h w"],
        disparity: Float[Tensor, "B H W"],
        best: Float[Tensor, "B h w"],
        sweep: Sweep,
    ) -> tuple[Float[Tensor, "B 1 h w"], Float[Tensor, "B 1 h w"]]:
        """(how far it is open, 0 to 1; how far the log depth of least cost lies above the student's).
        decoded: at stride 4; disparity: the student's own, cells being every fourth pixel; best: depth of
        least cost."""
        with torch.autocast(disparity.device.type, enabled=False):
            log_depth_residual = ((best * disparity[:, ::4, ::4]).log() * sweep.confidence).unsqueeze(1)
            small = log_depth_residual.clamp(-1, 1)
            margin = 1 - sweep.volume.amin(1) / (sweep.volume.mean(1) + 1e-6)  # of the least below the mean
            # a camera that stands, or motion told wrong, shows in the image as a whole
            whole = (
                torch.cat([small, small.abs()], 1).mean((2, 3), keepdim=True).expand(-1, -1, *best.shape[1:])
            )
            told = [small, small.abs(), margin.unsqueeze(1), sweep.confidence.float().unsqueeze(1), whole]
            told = [decoded, *(x.to(decoded.dtype) for x in told)]
        gate_value = self.opened(torch.cat(told, 1)).float().sigmoid()
        return gate_value, torch.where(log_depth_residual.abs() < LIMIT, log_depth_residual, 0)
