"""The command `evaluate`: which frames, by which protocol, beside which baselines, where the figures go."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table

from mono2many.commands import EvaluateConfig, ScaleConfig
from mono2many.data.augment import to_batch
from mono2many.data.cityscapes import CITYSCAPES
from mono2many.data.dataset import ClipDataset, batches, spread_out
from mono2many.data.kitti_splits import ODOMETRY, OWN_LISTS
from mono2many.data.reader import DATASET, SourceSettings, open_reader
from mono2many.evaluate.cityscapes_list import cityscapes_eval_set
from mono2many.evaluate.ddad_list import ddad_eval_set
from mono2many.evaluate.figures import write_json
from mono2many.evaluate.frames import EvalSet, TestList
from mono2many.evaluate.kitti_list import kitti_eval_set
from mono2many.evaluate.odometry import evaluate_odometry
from mono2many.evaluate.photometric import (
    NAME,
    PhotometricScore,
    evaluate_photometric,
    predict_batches,
)
from mono2many.evaluate.predictors import Method
from mono2many.evaluate.present import figures, print_outcome, report
from mono2many.evaluate.scoring import Scoring, choose_protocol, score_set
from mono2many.evaluate.street_list import street_eval_set
from mono2many.metrics.protocol import Protocol
from mono2many.models.checkpoint import ModelCard, input_size
from mono2many.models.many import ManyDepth, matching_of
from mono2many.models.mono import MonoDepth
from mono2many.predict.predictor import load
from mono2many.types import InputError, Reader, Split

CONSTANTS = 24
"""Constant depths that the photometric baseline chooses from, each the same factor from the next."""


def evaluate(config: EvaluateConfig, console: Console | None = None) -> dict[str, Any]:
    """Score a model folder and print, store and return the figures. Raises InputError."""
    commands = {ODOMETRY: evaluate_odometry, "video": _against_neighbours}
    found = commands.get(config.data.datatype, _against_depth)(config, console or Console())
    write_json(config.json, found)
    return found


def _root(config: EvaluateConfig) -> Path:
    return Path(config.data.data[0] if config.data.data else DATASET)


def _kitti(config: EvaluateConfig, protocol: Protocol, card: ModelCard | None) -> EvalSet:
    data = config.data
    return kitti_eval_set(
        _root(config),
        data.datatype,
        protocol,
        list_file=data.split_files[0] if data.datatype == OWN_LISTS else None,
        reference_camera=data.intrinsics == "reference",
        allow_missing=data.allow_missing,
        needs_images=card is not None,
    )


def _ddad(config: EvaluateConfig, protocol: Protocol, card: ModelCard | None) -> EvalSet:
    data = config.data
    return ddad_eval_set(
        _root(config), protocol, data.cameras_used, data.largest_gap, data.largest_lag, data.masks
    )


def _cityscapes(config: EvaluateConfig, protocol: Protocol, card: ModelCard | None) -> EvalSet:
    data = config.data
    return cityscapes_eval_set(
        _root(config),
        config.split,
        protocol,
        list_file=data.split_files[0] if data.split_files else None,
        allow_missing=data.allow_missing,
        needs_images=card is not None,
    )


def _street(config: EvaluateConfig, protocol: Protocol, card: ModelCard | None) -> EvalSet:
    assert card is not None, "the settings say so"
    reader = open_as_trained(config, card, config.test_scenes, config.split)
    training = open_as_trained(config, card, config.guess_scenes, "train")
    return street_eval_set(reader, training, protocol, matching_of(card.architecture))


LISTS: Mapping[str, TestList[EvaluateConfig]] = {
    "synthetic": TestList(("synthetic-80m",), _street),
    "ddad": TestList(("ddad-200m",), _ddad),
    CITYSCAPES: TestList(("cityscapes-80m",), _cityscapes),
    "kitti_eigen_benchmark": TestList(("eigen-improved", "eigen-80m", "eigen-80m-z"), _kitti),
}
"""By datatype; others are KITTI's."""
KITTI_LIST = TestList(("eigen-80m", "eigen-80m-z", "eigen-improved"), _kitti)


def open_as_trained(
    config: EvaluateConfig | ScaleConfig, card: ModelCard, scenes: int, split: Split
) -> Reader:
    """The data at the size and crop that the model was trained at; of several sizes at that which fits the
    first film."""

    def opened(height: int, width: int) -> Reader:
        settings = config.data.reader(height, width, card.crop_bottom, scenes, card.resize)
        return open_reader(SourceSettings(**settings), split)

    reader = opened(card.height, card.width)
    film = reader.clips[0].size if card.sizes else None  # without what is cut off below
    return reader if film is None else opened(*input_size(replace(card, crop_bottom=0.0), film))


def _against_depth(config: EvaluateConfig, console: Console) -> dict[str, Any]:
    predictor = load(config.model, config.device) if config.model is not None else None
    scoring = Scoring(
        config.model or str(config.predictions),
        predictor,
        config.flip,
        config.batch_size,
        config.workers,
        config.cache_dir,
        config.allow_contaminated,
    )
    tests = LISTS.get(config.data.datatype, KITTI_LIST)
    protocol = choose_protocol(tests.protocols, config.protocol, config.alignment, scoring)
    outcome = score_set(tests.load(config, protocol, scoring.card), scoring, console)
    print_outcome(outcome, scoring, console)
    if config.report is not None:
        report(config.report, outcome, scoring)
    return figures(outcome, scoring)


def _against_neighbours(config: EvaluateConfig, console: Console) -> dict[str, Any]:
    assert config.model is not None, "the settings say so"
    predictor = load(config.model, config.device)
    reader = open_as_trained(config, predictor.card, config.test_scenes, config.split)
    if config.flip:
        raise InputError("--flip blends depth maps; the photometric score of footage takes them as they are")
    if config.report is not None:
        raise InputError("--report shows depth against exact depth, which footage has not; leave it out")
    model, architecture = predictor.model, predictor.card.architecture
    offsets = config.data.offsets_with(matching_of(architecture))
    dataset = ClipDataset(reader, offsets)
    loader = batches(dataset, spread_out(len(dataset), len(dataset), 4), 0, pin=False)
    low, high = 1 / architecture.max_depth, 1 / architecture.min_depth
    spread = torch.logspace(torch.tensor(low).log10(), torch.tensor(high).log10(), CONSTANTS)

    def scored(network: MonoDepth | ManyDepth, constants: Sequence[float] = ()) -> PhotometricScore:
        shown = track(loader, "held-out frames", console=console, transient=True)
        inputs = (to_batch(clips, offsets, predictor.device) for clips in shown)
        return evaluate_photometric(predict_batches(network, architecture, inputs), constants)

    score = scored(model, (1 / spread).tolist())
    teacher = scored(model.as_mono()) if isinstance(model, ManyDepth) else None
    console.print(_photometric_table(score, teacher))
    card = predictor.card
    if card.scale == "metres" and score.constant_depth is not None:
        console.print(f"depths above are in the networks' unit, of {card.factor:.4g} metres", highlight=False)
    if score.ratio >= 1:
        console.print("The model has learnt nothing: standing still explains as much.", style="yellow")
    return score.to_json() | ({} if teacher is None else {str(Method.TEACHER): teacher.to_json()})


def _photometric_table(score: PhotometricScore, teacher: PhotometricScore | None) -> Table:
    table = Table(title=NAME, title_justify="left")
    for column in ("", "error", "to un-warped"):
        table.add_column(column, justify="left" if not column else "right")
    for name, row in ((str(Method.MODEL), score), (str(Method.TEACHER), teacher)):
        if row is not None:
            table.add_row(name, f"{row.predicted:.4f}", f"{row.ratio:.3f}", style="bold")
    if score.constant is not None:
        name = f"constant depth {score.constant_depth:.2f}, same motion"
        table.add_row(name, f"{score.constant:.4f}", f"{score.constant / score.still:.3f}")
    table.add_row("un-warped neighbour", f"{score.still:.4f}", "1.000")
    table.caption = f"{score.images} images"
    return table
