"""Matching by pixels instead of features. Not in the paper.

Grey values, 4 x 4 around every fourth pixel, are compared with every pixel of the neighbour, along poses that
direct alignment refined (geometry/align.py); and a gate moves depth towards the least cost.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from mono2many.geometry.align import refine_motions
from mono2many.geometry.precision import full_precision
from mono2many.geometry.sweep import Sweep, aggregate_cost, grey_patches, subpixel_argmin
from mono2many.models.architecture import ManyArchitecture
from mono2many.models.decoder import WIDTHS
from mono2many.models.student import ImageFeatures, Student, StudentNet
from mono2many.types import select

WINDOW = 3
"""Cells across and down over which costs are averaged."""
LIMIT = 0.35
"""Of log depth: where single-frame depth and the least cost differ by more (a factor of 1.4), something moves
or is occluded, and the gate is shut."""
AROUND = 5
"""Cells across and down whose median difference counts: single cells of a road match anywhere."""


class PixelStudentNet(StudentNet):
    """A student that compares grey values; its weights are the paper's student's and the gate's."""

    def __init__(self, architecture: ManyArchitecture, encoder_weights: str = "none") -> None:
        super().__init__(architecture, encoder_weights)
        self.gate = Gate(WIDTHS[architecture.decoder][2])

    def features(self, images: Float[Tensor, "B 3 H W"]) -> ImageFeatures:
        return super().features(images)._replace(matching_features=grey_patches(images))

    def matching_features(self, images: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B C _ _"]:
        return grey_patches(images)

    def predict(self, features: ImageFeatures, sweep: Sweep, depths: Float[Tensor, " D"]) -> Student:
        """As StudentNet's; the gate moves its depth."""
        sweep = relative_costs(sweep)
        stages = self.decoded(features, sweep.volume * sweep.confidence.unsqueeze(1))
        sigmoids = self.decoder.maps(stages)
        best = subpixel_argmin(sweep, depths)
        opening, log_depth_residual = self.gate(stages[2], self.disparity(sigmoids[0]), best, sweep)
        sigmoids = [self._apply_gate(sigmoid, opening * log_depth_residual) for sigmoid in sigmoids]
        residual = (opening.detach() * log_depth_residual.abs()).squeeze(1)
        return Student(sigmoids, depths[sweep.lowest_cost], sweep.confidence, residual)

    def _apply_gate(
        self, sigmoid: Float[Tensor, "B 1 _ _"], log_ratio: Float[Tensor, "B 1 h w"]
    ) -> Float[Tensor, "B 1 _ _"]:
        size = (sigmoid.shape[-2], sigmoid.shape[-1])
        ratio = F.interpolate(log_ratio, size, mode="bilinear").exp()
        low, high = 1 / self.max_depth, 1 / self.min_depth
        return (((low + (high - low) * sigmoid) / ratio - low) / (high - low)).clamp(0, 1)


def relative_costs(sweep: Sweep) -> Sweep:
    """Contrast differs: costs averaged, relative to the cell's mean and to one grey level."""
    sweep = aggregate_cost(sweep, WINDOW)
    volume = sweep.volume / (sweep.volume.mean(1, keepdim=True) + 1 / 255)
    confidence = sweep.missing.float().mean(1) < 0.5  # near the border some depths are out of view
    return replace(sweep, volume=volume, confidence=confidence)


class Gate(nn.Module):
    """How far each cell's depth is moved to the depth of least cost."""

    def __init__(self, channels: int, width: int = 16) -> None:
        super().__init__()
        self.opened = nn.Sequential(  # a name in stored weights
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
        """(how far it is open, 0 to 1; log depth of least cost - the student's, 0 beyond LIMIT, the median of
        the AROUND x AROUND cells around each).
        decoded: at stride 4; disparity: the student's, cells being every fourth pixel; best: depth of least
        cost."""
        with full_precision(disparity):
            residual = ((best * disparity[:, ::4, ::4]).log() * sweep.confidence).unsqueeze(1)
            small = residual.clamp(-1, 1)
            margin = 1 - sweep.volume.amin(1) / (sweep.volume.mean(1) + 1e-6)  # of the least below the mean
            # a static camera, or a wrong pose, shows in the image as a whole
            of_image = (
                torch.cat([small, small.abs()], 1).mean((2, 3), keepdim=True).expand(-1, -1, *best.shape[1:])
            )
            confidence = sweep.confidence.float().unsqueeze(1)
            inputs = [small, small.abs(), margin.unsqueeze(1), confidence, of_image]
            inputs = [decoded, *(x.to(decoded.dtype) for x in inputs)]
        opening = self.opened(torch.cat(inputs, 1)).float().sigmoid()
        return opening, median_around(torch.where(residual.abs() < LIMIT, residual, 0))


def median_around(cells: Float[Tensor, "B 1 h w"]) -> Float[Tensor, "B 1 h w"]:
    """Of the AROUND x AROUND cells around each; beyond the border lie the border's."""
    padded = F.pad(cells, (AROUND // 2,) * 4, mode="replicate")
    around = F.unfold(padded, AROUND)
    return around.median(1, keepdim=True).values.unflatten(2, cells.shape[2:])


class PosedFrames(NamedTuple):
    """Frames at these offsets, and frame_from_target of each."""

    offsets: Sequence[int]
    images: Float[Tensor, "B S 3 H W"]
    from_target: Float[Tensor, "B S 4 4"]


def refine_together(
    sources: PosedFrames,
    matching: PosedFrames,
    target: Float[Tensor, "B 3 H W"],
    disparity: Float[Tensor, "B H W"],
    intrinsics: Float[Tensor, "B 3 3"],
    valid_mask: Bool[Tensor, "B H W"] | None = None,
) -> tuple[Float[Tensor, "B S 4 4"], Float[Tensor, "B F 4 4"]]:
    """refine_motions of the loss's sources and of the frames to match; a frame that is both is aligned once,
    from its pose as a source."""
    more = [i for i, offset in enumerate(matching.offsets) if offset not in sources.offsets]
    offsets = [*sources.offsets, *(matching.offsets[i] for i in more)]
    poses = torch.cat([sources.from_target, select(matching.from_target, more)], 1)
    images = torch.cat([sources.images, select(matching.images, more)], 1)
    refined = refine_motions(poses, target, images, disparity, intrinsics, None, valid_mask)
    at = [offsets.index(offset) for offset in matching.offsets]
    return refined[:, : len(sources.offsets)], select(refined, at)
