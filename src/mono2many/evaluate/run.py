"""The command `evaluate`: which frames, by which protocol, beside which baselines, where the figures go."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import torch
from jaxtyping import UInt8
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from torch import Tensor

from mono2many.data.augment import to_batch
from mono2many.data.dataset import ClipDataset, batches, spread_out
from mono2many.datasets.base import DatasetSettings, DepthOptions, ReadOptions, ReportOption, TestListOptions
from mono2many.datasets.choice import DataConfig, all_offsets, named_in_card, time_offsets
from mono2many.evaluate.odometry import evaluate_trajectories
from mono2many.evaluate.photometric import (
    NAME,
    NO_MOTION,
    PhotometricScore,
    Prediction,
    evaluate_photometric,
    predict_batches,
)
from mono2many.evaluate.predictors import Method
from mono2many.evaluate.present import figures, print_outcome, report, write_json
from mono2many.evaluate.report.gallery import ends
from mono2many.evaluate.scoring import Scoring, choose_protocol, score_set
from mono2many.evaluate.settings import EvaluateConfig
from mono2many.models.architecture import matching_of
from mono2many.models.checkpoint import ModelCard, input_size, read_card
from mono2many.models.many import ManyDepth
from mono2many.models.starter import is_export, model_folder
from mono2many.predict.predictor import Network, Predictor, load
from mono2many.terminal import say, text_console, track
from mono2many.types import Reader, Split

CONSTANTS = 24
"""Constant depths that the photometric baseline chooses from, each the same factor from the next."""


class Notes(NamedTuple):
    """What else a report of footage shows."""

    decisions: Sequence[tuple[str, str, str, str]] = ()
    """Name, value, reason, and the flag that changes it."""
    pictures: Mapping[str, UInt8[Tensor, "3 _ _"]] = {}


def evaluate(
    config: EvaluateConfig, console: Console | None = None, notes: Notes | None = None
) -> dict[str, Any]:
    """Score a model folder and print, store and return the figures. Raises InputError."""
    dataset = config.data.dataset
    against_neighbours = partial(_against_neighbours, notes=notes or Notes())
    score = against_neighbours if dataset.test_list is None else _against_depth
    if dataset.trajectories is not None:
        score = evaluate_trajectories
    console = console or text_console()
    if config.model is not None and (note := other_data(config.model, config.data, config.dataset)):
        say(console, note, "yellow")
    found = score(config, console)
    write_json(config.json, found)
    return found


def other_data(model: str, data: DataConfig, settings: DatasetSettings) -> str | None:
    """What to say of a model that is scored on other data than its own training's; None: nothing."""
    text, scored = read_card(model).trained_on, data.dataset.in_card(settings)
    own = named_in_card(text)
    if text == scored if own is None else own.related(data.dataset):
        return None
    return f"{model} was trained on {text or 'data that it does not name'}; scored on {scored}"


def open_as_trained(data: DataConfig, settings: DatasetSettings, card: ModelCard, split: Split) -> Reader:
    """The data at the size and crop that the model was trained at; of several sizes at that which fits the
    first video."""

    def opened(height: int, width: int) -> Reader:
        options = ReadOptions(height, width, time_offsets(data.frame_step), card.resize, card.crop_bottom)
        return data.dataset.open(settings, options, split)

    reader = opened(card.height, card.width)
    size = reader.clips[0].size if card.sizes else None  # without what is cut off below
    return reader if size is None else opened(*input_size(replace(card, crop_bottom=0.0), size))


def open_samples(reader: Reader, card: ModelCard, frame_step: int, console: Console) -> ClipDataset:
    """Frames with their neighbours and what the model matches. Videos are decoded here."""
    load: Callable[[Callable[[int, int], None]], None] | None = getattr(reader, "load", None)
    if load is not None:
        with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
            task = bar.add_task("decoding", total=None)
            load(lambda done, total: bar.update(task, completed=done, total=total))
    return ClipDataset(reader, all_offsets(time_offsets(frame_step), matching_of(card.architecture)))


def predict_samples(
    network: Network,
    predictor: Predictor,
    dataset: ClipDataset,
    order: list[list[int]],
    title: str,
    console: Console,
) -> Iterator[Prediction]:
    """Depth and motion of batches of samples, by a network of the predictor's."""
    shown = track(batches(dataset, order, 0, pin=False), title, console=console)
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


def _against_neighbours(config: EvaluateConfig, console: Console, notes: Notes) -> dict[str, Any]:
    assert config.model is not None, "only depth is scored without a model"
    predictor = load(config.model, config.device, config.last)
    model, card = predictor.model, predictor.card
    reader = open_as_trained(config.data, config.dataset, card, "test")
    dataset = open_samples(reader, card, config.data.frame_step, console)
    order = spread_out(len(dataset), len(dataset), 4)
    low, high = 1 / card.architecture.max_depth, 1 / card.architecture.min_depth
    spread = torch.logspace(torch.tensor(low).log10(), torch.tensor(high).log10(), CONSTANTS)

    def predicted(network: Network) -> Iterator[Prediction]:
        return predict_samples(network, predictor, dataset, order, "held-out frames", console)

    score = evaluate_photometric(predicted(model), (1 / spread).tolist())
    teacher = evaluate_photometric(predicted(model.as_mono())) if isinstance(model, ManyDepth) else None
    rows = _photometric_rows(score, teacher)
    console.print(_photometric_table(rows, score.images))
    if score.holes is not None:
        say(console, f"holes: {score.holes:.2%} of the pixels lie below the road's plane")
    if card.scale == "metres" and score.constant_depth is not None:
        console.print(f"depths above are in the networks' unit, of {card.factor:.4g} metres", highlight=False)
    if score.verdict:
        say(console, f"{verdict(score, config)}.", "yellow")
    if isinstance(config.dataset, ReportOption) and config.dataset.report is not None:
        chosen = ends(score.per_image) + most_holes(score.holes_per_image)
        order = [[i] for _, i in chosen]  # which `predicted` predicts again
        shown = dataset, predicted(model), card
        _report_views(config.dataset.report, config, rows, score, chosen, *shown, notes)
    return score.to_json() | ({} if teacher is None else {str(Method.TEACHER): teacher.to_json()})


def most_holes(shares: Sequence[float], count: int = 3) -> list[tuple[str, int]]:
    """('Most holes 1', its index), ...: the images with the largest shares, of those that have any."""
    some = sorted((i for i, share in enumerate(shares) if share > 0), key=lambda i: -shares[i])
    return [(f"Most holes {rank}", i) for rank, i in enumerate(some[:count], 1)]


def verdict(score: PhotometricScore, config: EvaluateConfig) -> str:
    """What to say where the scores do not confirm depth and motion."""
    text = f"depth or motion is not confirmed: {score.verdict}"
    model = str(config.model)
    if score.still < NO_MOTION or other_data(model, config.data, config.dataset) is None:
        return text
    which = "the model that was exported" if is_export(model_folder(model)) else model
    return (
        f"{text}; the model was not trained on this footage, whose motion its pose network may not know: "
        f"fine-tune it (mono2many train --start-from {which}), depth may be right all the same"
    )


def _photometric_rows(
    score: PhotometricScore, teacher: PhotometricScore | None
) -> list[tuple[str, float, float]]:
    """Name, error and its ratio to the un-warped neighbours'; the first is the model's."""
    rows = [(str(Method.MODEL), score.predicted, score.ratio)]
    if teacher is not None:
        rows.append((str(Method.TEACHER), teacher.predicted, teacher.ratio))
    if score.constant is not None:
        name = f"constant depth {score.constant_depth:.2f}, same motion"
        rows.append((name, score.constant, score.constant / score.still))
    return [*rows, ("un-warped neighbour", score.still, 1.0)]


def _photometric_table(rows: Sequence[tuple[str, float, float]], images: int) -> Table:
    table = Table("", title=NAME, title_justify="left", caption=f"{images} images")
    table.add_column("error", justify="right")
    table.add_column("to un-warped", justify="right")
    for name, error, ratio in rows:
        style = "bold" if name in (Method.MODEL, Method.TEACHER) else None
        table.add_row(name, f"{error:.4f}", f"{ratio:.3f}", style=style)
    return table


def _report_views(
    path: str,
    config: EvaluateConfig,
    rows: Sequence[tuple[str, float, float]],
    score: PhotometricScore,
    chosen: Sequence[tuple[str, int]],
    dataset: ClipDataset,
    predictions: Iterator[Prediction],
    card: ModelCard,
    notes: Notes,
) -> None:
    """Write the HTML page. chosen: labels and sample numbers, as in `predictions`."""
    from mono2many.evaluate.report.views import ViewItem, view_maps, write_views  # matplotlib is slow

    items = []
    for (label, i), images in zip(chosen, view_maps(predictions), strict=True):
        clip, index = dataset.samples[i]
        caption = f"{dataset.clips[clip].name}, held-out frame {index}"
        items.append(ViewItem(label, caption, score.per_image[i], images))
    data = config.data.dataset.in_card(config.dataset)
    facts = {"Data": f"{data}, {score.images} held-out frames", "Model": str(config.model)}
    if score.holes is not None:
        facts["Holes"] = f"{score.holes:.2%} of the pixels, predicted below the road's plane"
    facts |= {"Trained on": card.trained_on, "Scale": card.scale}
    write_views(path, f"View synthesis on {data}", rows, items, facts, *notes)
