"""The command `evaluate`: which protocol, beside which guesses, where the figures go."""

from collections.abc import Sequence
from typing import Any

import torch
from rich.console import Console
from rich.progress import Progress, track
from rich.table import Table

from mono2many.commands import EvaluateConfig, ScaleConfig
from mono2many.data.augment import to_batch
from mono2many.data.dataset import ClipDataset, batches, spread_out
from mono2many.data.reader import SourceSettings, open_reader
from mono2many.datasets.kitti.splits import ODOMETRY
from mono2many.evaluate.depth import (
    METRIC,
    MODEL,
    TEACHER,
    compare,
    evaluate_depth,
    evaluate_each,
    guesses,
    holes_text,
    print_table,
)
from mono2many.evaluate.figures import training_curve, write_json
from mono2many.evaluate.kitti import evaluate_list
from mono2many.evaluate.many import predictions
from mono2many.evaluate.odometry import evaluate_odometry
from mono2many.evaluate.photometric import (
    NAME,
    PhotometricScore,
    evaluate_photometric,
    predict_batches,
)
from mono2many.evaluate.report.gallery import gallery
from mono2many.evaluate.report.page import write_report
from mono2many.metrics.protocol import PROTOCOLS
from mono2many.models.architecture import matching_of
from mono2many.models.checkpoint import ModelCard, input_size
from mono2many.models.many import ManyDepth
from mono2many.models.mono import MonoDepth
from mono2many.models.starter import model_folder
from mono2many.predict.predictor import Predictor, load
from mono2many.types import InputError, Reader, Split

CONSTANTS = 24
"""Constant depths that the photometric guess chooses from, each the same factor from the next."""


def evaluate(config: EvaluateConfig, console: Console | None = None) -> dict[str, Any]:
    """Score a model folder and print, store and return the figures. Raises InputError."""
    console = console or Console()
    if config.data.datatype == ODOMETRY:
        figures = evaluate_odometry(config, console)
    elif config.data.listed:
        figures = evaluate_list(config, console)
    else:
        assert config.model is not None, "only lists are scored without a model"
        predictor = load(config.model, config.device)
        reader = open_as_trained(config, predictor.card, config.test_scenes, config.split)
        against = _against_depth if config.data.datatype == "synthetic" else _against_neighbours
        figures = against(config, predictor, reader, console)
    write_json(config.json, figures)
    return figures


def open_as_trained(
    config: EvaluateConfig | ScaleConfig, card: ModelCard, scenes: int, split: Split
) -> Reader:
    """The data at the size and crop that the model was trained at; of several sizes at that which fits the
    first film."""

    def opened(height: int, width: int) -> Reader:
        settings = config.data.reader(height, width, card.crop_bottom, scenes, card.resize)
        return open_reader(SourceSettings(**settings), split)

    reader = opened(card.height, card.width)
    film = reader.clips[0].size if card.sizes else None
    return reader if film is None else opened(*input_size(card, film))


def _against_depth(
    config: EvaluateConfig, predictor: Predictor, reader: Reader, console: Console
) -> dict[str, Any]:
    assert config.model is not None
    protocol = PROTOCOLS["synthetic-80m"]
    known = open_as_trained(config, predictor.card, config.baseline_scenes, "train")
    training = (known.frame(clip, 0) for clip in range(len(known.clips)))
    guessed = guesses(
        track(training, "the no-learning guesses", config.baseline_scenes, console=console, transient=True),
        protocol,
    )
    predict = predictions(predictor, reader, config.flip)
    offsets = matching_of(predictor.card.architecture)
    before, after = -min((0, *offsets)), max((0, *offsets))
    every_other = [
        (clip, index)
        for clip, listed in enumerate(reader.clips)
        for index in range(before, listed.frames - after, 2)
    ]
    if not every_other:
        raise InputError(
            f"--scene-frames {config.data.scene_frames}: no frame of a street has all neighbours that this "
            f"model matches ({' '.join(map(str, offsets))}); ask for at least {before + after + 1}"
        )
    with Progress(console=console, transient=True) as bar:
        task = bar.add_task("unseen scenes", total=len(every_other))
        evaluations = evaluate_each(
            {**predict, **guessed},
            reader,
            protocol,
            lambda done, total: bar.update(task, completed=done),
            every_other,
        )
        if predictor.card.scale == "metres":
            metric = PROTOCOLS["synthetic-80m-metric"]
            evaluations[METRIC] = evaluate_depth(predict[MODEL], reader, metric, None, every_other)
    print_table(console, evaluations)
    if isinstance(predictor.model, ManyDepth):
        console.print(holes_text({row: evaluations[row] for row in predict}), highlight=False, soft_wrap=True)
    against = compare(evaluations)
    console.print(
        f"Abs Rel {evaluations[MODEL].metrics.abs_rel:.3f}: {against.ratio:.2f} of the better guess "
        f"({against.better_guess})",
        highlight=False,
    )
    card = predictor.card
    unit = (
        f"in metres (factor {card.factor:.4g} from {card.factor_from})"
        if METRIC in evaluations
        else card.scale
    )
    console.print(f"depth is {unit}", highlight=False, soft_wrap=True)
    if config.report is not None:
        facts = {
            "Data": f"embedded street, {len(reader.clips)} unseen scenes",
            "Model": config.model,
            "Trained on": predictor.card.trained_on,
            "Depth": unit,
        }
        pictures = gallery(predict[MODEL], reader, protocol, evaluations[MODEL])
        curve = training_curve(model_folder(config.model))
        write_report(config.report, "Depth on unseen streets", evaluations, pictures, facts, curve or None)
    rows = {name: evaluation.to_json() for name, evaluation in evaluations.items()}
    scale = {"scale": card.scale, "factor": card.factor, "factor_from": card.factor_from}
    return {
        "rows": rows,
        **scale,
        "ratio_to_better_guess": against.ratio,
        "better_guess": against.better_guess,
    }


def _against_neighbours(
    config: EvaluateConfig, predictor: Predictor, reader: Reader, console: Console
) -> dict[str, Any]:
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
    return score.to_json() | ({} if teacher is None else {TEACHER: teacher.to_json()})


def _photometric_table(score: PhotometricScore, teacher: PhotometricScore | None) -> Table:
    table = Table(title=NAME, title_justify="left")
    for column in ("", "error", "to un-warped"):
        table.add_column(column, justify="left" if not column else "right")
    for name, row in ((MODEL, score), (TEACHER, teacher)):
        if row is not None:
            table.add_row(name, f"{row.predicted:.4f}", f"{row.ratio:.3f}", style="bold")
    if score.constant is not None:
        name = f"constant depth {score.constant_depth:.2f}, same motion"
        table.add_row(name, f"{score.constant:.4f}", f"{score.constant / score.still:.3f}")
    table.add_row("un-warped neighbour", f"{score.still:.4f}", "1.000")
    table.caption = f"{score.images} images"
    return table
