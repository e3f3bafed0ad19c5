"""What a user should know of a training before it begins."""

from collections.abc import Iterator

from mono2many.data.dataset import ClipDataset
from mono2many.data.marker import SYNTHETIC
from mono2many.evaluate.check import camera, cameras_of
from mono2many.train.settings import TrainConfig
from mono2many.train.setup import RunState
from mono2many.types import Reader


def remarks(config: TrainConfig, state: RunState, dataset: ClipDataset) -> Iterator[str]:
    """What a user should know of this training before it begins."""
    card = state.card
    if dataset.without_neighbour:
        yield f"left out: {dataset.without_neighbour} training frames without a neighbour to learn from"
    yield from camera_remarks(config, dataset.reader)
    if config.data.dataset.synthetic(config.dataset):
        yield SYNTHETIC
    if card.architecture.stereo:
        deviation = 100 * (card.factor_spread or 0)
        yield f"the model's unit is {card.factor:.4g} m ± {deviation:.1f} %: {card.factor_from}"
    if state.origin.fresh_pose:
        kind = card.architecture.pose_type
        yield f"{config.run.start_from} has no pose network: one of type {kind} starts from random weights"
    if state.origin.was_metric:
        yield "its scale in metres is forgotten, since the weights change: mono2many scale again"


def camera_remarks(config: TrainConfig, reader: Reader) -> Iterator[str]:
    """Of each camera that cannot be that of its footage: what `check` says of it."""
    settings, size = config.dataset, (config.data.height, config.data.width)
    for first, clip in cameras_of(reader):
        found = camera(first.intrinsics, clip, size, settings.crop_bottom, settings.learns_camera)
        if found.verdict == "problem":
            yield f"camera of {clip.name}: {found.figure}; {found.remedy}"
