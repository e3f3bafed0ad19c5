"""Where no one measured depth: how well do depth and motion together explain the neighbours?

Three errors on the same pixels: the views warped by the predicted depth, the un-warped neighbours (where a
model does not beat these, depth or motion is wrong), and the views warped by one constant depth with the same
predicted motion (a model that does not beat this has learnt motion, not depth).
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, replace
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mono2many.geometry.align import refine_motions
from mono2many.geometry.depth import depth_from_sigmoid
from mono2many.geometry.ground import hole_score
from mono2many.losses.objective import MonoTerms, PyramidLevel, pyramid_level, synthesise
from mono2many.losses.photometric import patches, photometric_error
from mono2many.losses.reprojection import minimum_over_sources
from mono2many.models.architecture import ManyArchitecture, MonoArchitecture
from mono2many.models.cameras import scale_pose_by_focal
from mono2many.models.mono import head_motion
from mono2many.models.pose import NO_POSE
from mono2many.predict.predictor import Network
from mono2many.types import Batch, InputError

NAME = "photometric: 0.85 SSIM + 0.15 L1, best neighbour, pixels that a neighbour sees"
AS_MUCH = 1.05
"""A ratio to the un-warped neighbours up to which they explain as much."""
NO_MOTION = 2e-3
"""Error of un-warped neighbours that hardly differ from their image. Highway 0.043, street 0.15."""


@dataclass(frozen=True)
class PhotometricScore:
    """Means over the pixels that some neighbour sees, then over images. An image of which the prediction lets
    no neighbour see anything counts as if it stood still."""

    images: int
    predicted: float
    still: float
    """Of the un-warped neighbours."""
    constant: float | None = None
    """Of the best single depth for all images and pixels, found among `constants`; None if not asked for."""
    constant_depth: float | None = None
    """That depth, in the model's unit."""
    per_image: Sequence[float] = ()
    """predicted / still of each image, in order."""
    holes: float | None = None
    """Share of the pixels below the road's plane, a mean over the images that show one; None: none does."""
    holes_per_image: Sequence[float] = ()
    """The same of each image, in order; NaN where no road is found."""

    @property
    def ratio(self) -> float:
        """predicted / still: below 1 depth and motion explain something."""
        return self.predicted / self.still if self.still > 0 else 1.0

    @property
    def verdict(self) -> str:
        """Why the scores do not confirm depth and motion; empty where they do."""
        if self.ratio < 1:
            if self.constant is None or self.predicted < self.constant:
                return ""
            return f"its error is {self.predicted / self.constant:.2f} times that of the best constant depth"
        if self.still < NO_MOTION:
            return f"the images hardly differ from their neighbours (error {self.still:.4f}): nothing moves"
        if self.ratio < AS_MUCH:
            return "the un-warped neighbour explains the images as well"
        return f"its error is {self.ratio:.2f} times that of the un-warped neighbour"

    def to_json(self) -> dict[str, object]:
        means = {name: value for name, value in asdict(self).items() if "per_image" not in name}
        return {"protocol": NAME, **means, "ratio": self.ratio}


@dataclass(frozen=True)
class Prediction:
    """Depth and motion of one batch."""

    batch: Batch
    depth: Float[Tensor, "B H W"]
    source_from_target: Float[Tensor, "B S 4 4"]


@torch.no_grad()
def predict_batches(
    model: Network,
    architecture: MonoArchitecture,
    batches: Iterable[Batch],
    precision: Callable[[], AbstractContextManager[object]] = nullcontext,
) -> Iterator[Prediction]:
    """Run a model (in evaluation mode) over batches that are not augmented. `precision` surrounds the
    networks only: geometry in half precision would be pixels off."""
    for batch in batches:
        loss_batch = batch.first_sources(architecture.sources)
        if not loss_batch.source_offsets:  # neighbours only, of a model that learnt from the other eye only
            raise InputError(NO_POSE)
        with precision():
            sigmoids, motion = model.on_batch(batch)
        batch = loss_batch
        motion = scale_pose_by_focal(model, motion, batch.intrinsics, batch.target.shape[-1])
        sigmoid = sigmoids[0].squeeze(1)
        depth = depth_from_sigmoid(sigmoid, architecture.min_depth, architecture.max_depth)
        eye = batch.stereo_from_target
        moved = head_motion(architecture, motion, batch.source_offsets, sigmoid, eye)
        if isinstance(architecture, ManyArchitecture) and architecture.refines_motion:
            there = len(batch.for_networks()[2])  # the other eye, which comes last, is known
            cameras = (batch.intrinsics, batch.source_intrinsics[:, :there])
            seen = (batch.target, batch.sources[:, :there], 1 / depth, *cameras, batch.valid_mask)
            moved = torch.cat([refine_motions(moved[:, :there], *seen), moved[:, there:]], 1)
        yield Prediction(batch, depth, moved)


@torch.no_grad()
def evaluate_photometric(
    predictions: Iterable[Prediction], constants: Sequence[float] = ()
) -> PhotometricScore:
    """Score depth and motion by the views they make. `constants`: depths to try for the constant guess."""
    rows = torch.cat([_errors(prediction, constants) for prediction in predictions]).cpu().double()
    means = rows.mean(0).tolist()
    ratios, below = (rows[:, 0] / rows[:, 1]).tolist(), rows[:, 2]
    score = PhotometricScore(len(rows), means[0], means[1], per_image=ratios, holes_per_image=below.tolist())
    if below.isfinite().any():
        score = replace(score, holes=float(below.nanmean()))
    if not constants:
        return score
    best = min(range(len(constants)), key=lambda i: means[3 + i])
    return replace(score, constant=means[3 + best], constant_depth=constants[best])


class Reconstruction(NamedTuple):
    """The target of each sample as its neighbours show it, by predicted depth and motion."""

    views: Float[Tensor, "B S 3 H W"]
    seen: Bool[Tensor, "B S H W"]
    """Pixels that the view has from inside its source."""
    error: Float[Tensor, "B H W"]
    """Photometric error of the best view; where none sees anything, of the best un-warped neighbour."""
    known: Bool[Tensor, "B H W"]
    """Pixels that count."""


def reconstruct(prediction: Prediction) -> tuple[Reconstruction, PyramidLevel]:
    """Views of a batch, and the images that they are compared with."""
    batch = prediction.batch
    level = pyramid_level(
        batch.target,
        batch.sources,
        batch.source_exists,
        batch.intrinsics,
        batch.source_intrinsics,
        MonoTerms(),
        valid_mask=batch.valid_mask,
    )
    views, in_view = synthesise(prediction.depth, prediction.source_from_target, level)
    seen = level.source_valid & in_view
    error, known = minimum_over_sources(photometric_error(views, patches(batch.target.unsqueeze(1))), seen)
    nothing = ~known.flatten(1).any(1)[:, None, None]
    error = torch.where(nothing, level.identity_error, error)
    return Reconstruction(views, seen, error, known | nothing), level


def _errors(prediction: Prediction, constants: Sequence[float]) -> Float[Tensor, "B N"]:
    """Per image: predicted, still, share of holes, and one column per constant; errors on the pixels that the
    prediction sees."""
    (_, _, predicted, known), level = reconstruct(prediction)
    target = patches(prediction.batch.target.unsqueeze(1))

    def mean(error: Tensor) -> Tensor:
        return error.masked_fill(~known, 0).sum((1, 2)) / known.sum((1, 2))

    batch = prediction.batch
    below = hole_score(1 / prediction.depth.float(), batch.intrinsics, batch.valid_mask).to(predicted)
    columns = [mean(predicted), mean(level.identity_error), below]
    for constant in constants:
        flat, _ = synthesise(
            torch.full_like(prediction.depth, constant), prediction.source_from_target, level
        )
        columns.append(mean(minimum_over_sources(photometric_error(flat, target), level.source_valid)[0]))
    return torch.stack(columns, 1)
