"""The command `evaluate`: which frames, by which protocol, beside which baselines, where the figures go."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table

from mono2many.data.augment import to_batch
from mono2many.data.dataset import ClipDataset, batches, spread_out
from mono2many.datasets.base import DatasetSettings, DepthOptions, ReadOptions, TestListOptions
from mono2many.datasets.choice import DataConfig, all_offsets, time_offsets
from mono2many.evaluate.odometry import evaluate_trajectories
from mono2many.evaluate.photometric import (
    NAME,
    PhotometricScore,
    Prediction,
    evaluate_photometric,
    predict_batches,
)
from mono2many.evaluate.predictors import Method
from mono2many.evaluate.present import figures, print_outcome, report, write_json
from mono2many.evaluate.scoring import Scoring, choose_protocol, score_set
from mono2many.evaluate.settings import EvaluateConfig
from mono2many.models.architecture import matching_of
from mono2many.models.checkpoint import ModelCard, input_size
from mono2many.models.many import ManyDepth
from mono2many.models.mono import MonoDepth
from mono2many.predict.predictor import Predictor, load
from mono2many.types import Reader, Split

CONSTANTS = 24
"""Constant depths that the photometric baseline chooses from, each the same factor from the next."""


def evaluate(config: EvaluateConfig, console: Console | None = None) -> dict[str, Any]:
    """Score a model folder and print, store and return the figures. Raises InputError."""
    dataset = config.data.dataset
    score = _against_neighbours if dataset.test_list is None else _against_depth
    if dataset.trajectories is not None:
        score = evaluate_trajectories
    found = score(config, console or Console())
    write_json(config.json, found)
    return found


def open_as_trained(data: DataConfig, settings: DatasetSettings, card: ModelCard, split: Split) -> Reader:
    """The data at the size and crop that the model was trained at; of several sizes at that which fits the
    first video."""

    def opened(height: int, width: int) -> Reader:
        options = ReadOptions(height, width, time_offsets(data.frame_step), card.resize, card.crop_bottom)
        return data.dataset.open(settings, options, split)

    reader = opened(card.height, card.width)
    size = reader.clips[0].size if card.sizes else None  # without what is cut off below
    return reader if size is None else opened(*input_size(replace(card, crop_bottom=0.0), size))


def open_samples(reader: Reader, card: ModelCard, frame_step: int) -> ClipDataset:
    """Frames with their neighbours and what the model matches."""
    return ClipDataset(reader, all_offsets(time_offsets(frame_step), matching_of(card.architecture)))


def predict_samples(
    network: MonoDepth | ManyDepth,
    predictor: Predictor,
    dataset: ClipDataset,
    order: list[list[int]],
    title: str,
    console: Console,
) -> Iterator[Prediction]:
    """Depth and motion of batches of samples, by a network of the predictor's."""
    shown = track(batches(dataset, order, 0, pin=False), title, console=console, transient=True)
    inputs = (to_batch(clips, dataset.offsets, predictor.device) for clips in shown)
    return predict_batches(network, predictor.card.architecture, inputs)


def _against_depth(config: EvaluateConfig, console: Console) -> dict[str, Any]:
    dataset, settings = config.data.dataset, config.dataset
    assert dataset.test_list is not None
    assert isinstance(settings, DepthOptions)
    options = TestListOptions(flip=settings.flip, report=settings.report)
    if isinstance(settings, TestListOptions):
        options = settings
    predictor = load(config.model, config.device, config.last) if config.model is not None else None
    scoring = Scoring(config.model or str(options.predictions), predictor, options)
    protocol = choose_protocol(dataset.protocols, scoring)
    outcome = score_set(dataset.test_list(settings, protocol, scoring.card), scoring, console)
    print_outcome(outcome, scoring, console)
    if options.report is not None:
        report(options.report, outcome, scoring)
    return figures(outcome, scoring)


def _against_neighbours(config: EvaluateConfig, console: Console) -> dict[str, Any]:
    assert config.model is not None, "only depth is scored without a model"
    predictor = load(config.model, config.device, config.last)
    model, card = predictor.model, predictor.card
    reader = open_as_trained(config.data, config.dataset, card, "test")
    dataset = open_samples(reader, card, config.data.frame_step)
    order = spread_out(len(dataset), len(dataset), 4)
    low, high = 1 / card.architecture.max_depth, 1 / card.architecture.min_depth
    spread = torch.logspace(torch.tensor(low).log10(), torch.tensor(high).log10(), CONSTANTS)

    def predicted(network: MonoDepth | ManyDepth) -> Iterator[Prediction]:
        return predict_samples(network, predictor, dataset, order, "held-out frames", console)

    score = evaluate_photometric(predicted(model), (1 / spread).tolist())
    teacher = evaluate_photometric(predicted(model.as_mono())) if isinstance(model, ManyDepth) else None
    console.print(_photometric_table(score, teacher))
    if card.scale == "metres" and score.constant_depth is not None:
        console.print(f"depths above are in the networks' unit, of {card.factor:.4g} metres", highlight=False)
    if score.verdict:
        console.print(f"The model has learnt nothing: {score.verdict}.", style="yellow", highlight=False)
    return score.to_json() | ({} if teacher is None else {str(Method.TEACHER): teacher.to_json()})


def _photometric_table(score: PhotometricScore, teacher: PhotometricScore | None) -> Table:
    table = Table("", title=NAME, title_justify="left", caption=f"{score.images} images")
    table.add_column("error", justify="right")
    table.add_column("to un-warped", justify="right")
    table.add_row(str(Method.MODEL), f"{score.predicted:.4f}", f"{score.ratio:.3f}", style="bold")
    if teacher is not None:
        table.add_row(str(Method.TEACHER), f"{teacher.predicted:.4f}", f"{teacher.ratio:.3f}", style="bold")
    if score.constant is not None:
        name = f"constant depth {score.constant_depth:.2f}, same motion"
        table.add_row(name, f"{score.constant:.4f}", f"{score.constant / score.still:.3f}")
    table.add_row("un-warped neighbour", f"{score.still:.4f}", "1.000")
    return table
