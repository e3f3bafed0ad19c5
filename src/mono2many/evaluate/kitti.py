"""Scores on KITTI's lists, DDAD's and Cityscapes': of a model, or of any method's stored disparities.

Raw-laser and improved truth, the papers' protocols (metrics.protocol), refused where training saw the frames.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, astuple, dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any, Literal

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from mono2many.commands import EvaluateConfig, ModelTestConfig
from mono2many.config import Datatype, SourceConfig
from mono2many.data.marker import SYNTHETIC
from mono2many.datasets.cityscapes.reader import CITYSCAPES
from mono2many.datasets.kitti.files import improved_path
from mono2many.datasets.kitti.splits import split_frames
from mono2many.evaluate.cityscapes_lists import look_up_city
from mono2many.evaluate.ddad_lists import look_up_ddad
from mono2many.evaluate.depth import (
    METRIC,
    MODEL,
    SINGLE,
    Evaluation,
    ImageResult,
    RangeScore,
    gather,
    print_table,
    ratio_text,
)
from mono2many.evaluate.figures import training_curve, write_json
from mono2many.evaluate.kitti_lists import (
    PAPERS,
    Disparities,
    Listed,
    Listing,
    from_file,
    from_model,
    look_up,
    without_neighbour,
)
from mono2many.evaluate.report.gallery import GalleryItem, best_and_worst, gallery_item
from mono2many.evaluate.report.page import write_report
from mono2many.evaluate.truth import open_truths
from mono2many.metrics.depth import mean_metrics
from mono2many.metrics.protocol import PROTOCOLS, Protocol, with_alignment
from mono2many.metrics.published import PublishedResult, published
from mono2many.metrics.sparse import RANGES, SparseScore, SparseTruth, score_sparse
from mono2many.models.many import ManyDepth
from mono2many.models.starter import model_folder
from mono2many.predict.predictor import Predictor, load
from mono2many.types import InputError

IMPROVED: Literal["kitti_eigen_benchmark"] = "kitti_eigen_benchmark"
CONTAMINATED = "CONTAMINATED"


@dataclass(frozen=True)
class Outcome:
    """One list, scored. The first row is the answer, further ones are other looks at it."""

    listing: Listing
    protocol: Protocol
    rows: dict[str, Evaluation]
    marks: list[str]
    """What must not be overlooked."""
    figures: dict[str, Any]
    scores: list[SparseScore | None]
    """Of the first row; None where no pixel counts."""
    truths: Callable[[Sequence[int]], list[SparseTruth]]
    """Of images by their number."""
    predict: Disparities

    @property
    def published(self) -> list[PublishedResult]:
        """Where the images are those of the papers, all of them."""
        papers = self.listing.complete and PAPERS[self.listing.name] == self.protocol.name
        return published(self.protocol.name) if papers else []


def evaluate_list(config: EvaluateConfig, console: Console) -> dict[str, Any]:
    """Score a model or stored disparities on a list; print, report and return the figures.

    Raises InputError for files that are missing, predictions that do not fit, and frames seen in training.
    """
    predictor = load(config.model, config.device) if config.model is not None else None
    outcome = _score(config, predictor, console)
    for mark in outcome.marks:
        console.print(mark, style="bold red", soft_wrap=True)
    print_table(console, outcome.rows, outcome.published, "SYNTHETIC. " if outcome.listing.synthetic else "")
    for row, server in outcome.figures["server"].items():
        said = f"SILog {server['silog']:.2f}, iRMSE {server['irmse']:.2f} 1/km of {row}"
        console.print(f"{said} (the formulas of KITTI's server)", highlight=False)
    _report(config.report, outcome, config.model or str(config.predictions), predictor)
    return outcome.figures


def model_test(config: ModelTestConfig, console: Console | None = None) -> dict[str, Any]:
    """Score the newest model on both of KITTI's test lists, in one table; return the figures by list."""
    console = console or Console()
    folder = model_folder(config.model) if config.model is not None else newest_model(Path(config.out))
    predictor = load(folder, config.device)
    console.print(f"model {folder}", highlight=False, soft_wrap=True)
    table = Table(box=None, padding=(0, 1, 0, 0))
    table.add_column("")
    for column in ("abs_rel", "sqrt_rel", "rmse", "rmse_log", "a1", "a2", "a3"):
        table.add_column(column, justify="right", no_wrap=True)
    figures: dict[str, Any] = {"model": str(folder), "lists": {}}
    said: list[str] = []
    tests: tuple[Datatype, ...] = ("kitti_eigen", IMPROVED)
    for name in tests:
        if name == IMPROVED and not any(
            improved_path(Path(config.data), frame) for frame in split_frames(name, "test")
        ):
            said.append(f"no improved depth (data_depth_annotated.zip) is there: {name} not scored")
            continue
        # improved depth is a download of its own: what there is of it counts
        source = SourceConfig(name, (config.data,), allow_missing=config.allow_missing or name == IMPROVED)
        options = EvaluateConfig(
            model=str(folder),
            data=source,
            allow_contaminated=True,
            flip=config.flip,
            batch_size=config.batch_size,
            workers=config.workers,
        )
        outcome = _score(options, predictor, console)
        figures["lists"][name] = outcome.figures
        table.title = SYNTHETIC if outcome.listing.synthetic else None
        for row, evaluation in outcome.rows.items():
            cells = [f"{value:.3f}" for value in astuple(evaluation.metrics)]
            table.add_row(row.replace(MODEL, name), *cells)
        (main, *_) = outcome.rows.values()
        said += [f"{name}: {mark}" for mark in outcome.marks if mark != SYNTHETIC]  # the table's title
        said.append(
            f"{name}: {main.images} of {len(outcome.listing.frames)} images, protocol {main.protocol}, "
            f"median ratio {ratio_text(main)}"
        )
        if name != IMPROVED:
            _report(config.report, outcome, str(folder), predictor)
    console.print(table)
    for line in said:
        console.print(line, highlight=False, soft_wrap=True)
    write_json(config.json, figures)
    return figures


def newest_model(out: Path) -> Path:
    """The model folder below `out` that was written last; of a run its best model. InputError: none."""
    found = sorted(out.rglob("model.safetensors"), key=lambda path: path.stat().st_mtime)
    if not found:
        raise InputError(f"{out}: no model in it; train one (--out), or name one: --model FOLDER")
    run = found[-1].parent.parent if found[-1].parent.name == "best" else found[-1].parent
    return run / "best" if (run / "best" / "model.safetensors").exists() else run


def _score(config: EvaluateConfig, predictor: Predictor | None, console: Console) -> Outcome:
    protocol = _protocol(config, predictor)
    special = {"ddad": look_up_ddad, CITYSCAPES: look_up_city}
    listing = special.get(config.data.datatype, look_up)(config, protocol)
    if predictor is not None and listing.name == CITYSCAPES:  # its pictures come without the hood
        predictor = Predictor(predictor.model, replace(predictor.card, crop_bottom=0.0), predictor.device)
    if predictor is not None and predictor.card.scale == "metres" and not isinstance(protocol.align, str):
        raise InputError(
            f"--alignment {config.alignment}: {config.model} is in metres already (factor "
            f"{predictor.card.factor:g} is stored with it); leave it out, or give --alignment none"
        )
    frames = [listing.frames[place] for place in listing.places]
    card = predictor.card if predictor is not None else None
    seen = listing.seen(card.seen) if card is not None else set()
    unseen = [i for i, frame in enumerate(frames) if frame.key not in seen]
    known = len(frames) - len(unseen)
    if known and not config.allow_contaminated:
        raise InputError(
            f"{config.model}: {known} of {len(frames)} frames of {listing.name} were in this model's "
            "training (or in that of the model it began with): score it on frames it has not seen, or all "
            "the same with --allow-contaminated"
        )
    if listing.note:
        console.print(listing.note, style="yellow", highlight=False, soft_wrap=True)
    predict = from_file(config, listing) if predictor is None else from_model(config, predictor, listing)
    marked = f" {CONTAMINATED}" if known else ""
    label = (MODEL if card is not None else "predictions") + marked
    metric = with_alignment(protocol, "none")
    in_metres = card is not None and card.scale == "metres" and protocol.align != "none"
    alone = None
    if predictor is not None and isinstance(predictor.model, ManyDepth):
        alone = without_neighbour(listing, predictor.model.architecture.matching)
        console.print(
            f"{alone} of {len(frames)} images have no neighbour to match: there {MODEL} is {SINGLE}",
            highlight=False,
            soft_wrap=True,
        )
    every = range(len(frames))
    with Progress(console=console, transient=True) as bar:
        task = bar.add_task("true depth", total=len(frames))
        truths = open_truths(
            [frame.truth() for frame in frames],
            config.cache_dir,
            config.workers,
            lambda done, total: bar.update(task, completed=done),
        )
        task = bar.add_task("images", total=len(frames))
        scores: dict[str, list[SparseScore | None]] = {label: []}
        for maps in predict(listing.places):
            done, count = len(scores[label]), len(next(iter(maps.values())))
            part = slice(done, done + count)
            true = truths(every[part])
            names = [f"{config.predictions or config.model}, image {p} of the list ({listing.frames[p].name})"
                     for p in listing.places[part]]  # fmt: skip
            for row, disparity in maps.items():
                found = score_sparse(disparity, true, protocol, names)
                scores.setdefault(row + marked, []).extend(found)
            if in_metres:
                found = score_sparse(next(iter(maps.values())), true, metric, names)
                scores.setdefault(METRIC + marked, []).extend(found)
            bar.update(task, completed=done + count)
    protocols = {row: metric if row.startswith(METRIC) else protocol for row in scores}
    rows = {row: _summary(protocols[row], frames, of_row, every) for row, of_row in scores.items()}
    for row in rows.keys() - {label, METRIC + marked}:
        rows[row] = replace(rows[row], ranges=())
    groups = sorted({frame.group for frame in frames})
    for group in groups if len(groups) > 1 else ():
        of_group = [i for i, frame in enumerate(frames) if frame.group == group and scores[label][i]]
        if of_group:
            rows[f"{label}, {group}"] = replace(
                _summary(protocol, frames, scores[label], of_group), ranges=()
            )
    marks = [SYNTHETIC] if listing.synthetic else []
    if known:
        mark = f"{CONTAMINATED}: {known} of {len(frames)} images were in this model's training"
        for row in protocols if any(scores[label][i] for i in unseen) else ():
            apart = _summary(protocols[row], frames, scores[row], unseen)
            name = "" if row == label else f"{row.removesuffix(marked)}, "
            rows[f"{name}never seen, {apart.images}"] = replace(apart, ranges=())
        marks.append(mark)
    outcome = Outcome(listing, protocol, rows, marks, {}, scores[label], truths, predict)
    figures = {
        "list": listing.name,
        "listed": len(listing.frames),
        "protocol": asdict(protocol),
        "synthetic": listing.synthetic,
        "contaminated": known,
        **({} if alone is None else {"without_neighbour": alone}),
        "model": config.model,
        "predictions": config.predictions,
        **({"scale": card.scale, "factor": card.factor, "factor_from": card.factor_from} if card else {}),
        "rows": {row: evaluation.to_json() for row, evaluation in rows.items()},
        "server": {
            row: {
                name: fmean(getattr(score, name) for score in of_row if score) for name in ("silog", "irmse")
            }
            for row, of_row in scores.items()
        },
        "published": [asdict(result) for result in outcome.published],
    }
    return replace(outcome, figures=figures)


def _protocol(config: EvaluateConfig, predictor: Predictor | None) -> Protocol:
    family = config.data.datatype if config.data.datatype in ("ddad", CITYSCAPES) else "eigen"
    known = [name for name in PROTOCOLS if name.startswith(family)]
    name = config.protocol or PAPERS.get(config.data.datatype, "eigen-80m")
    if name not in known:
        raise InputError(f"--protocol {name}: wanted one of {', '.join(known)}")
    protocol = PROTOCOLS[name]
    if config.alignment != "stereo":
        return protocol if config.alignment is None else with_alignment(protocol, config.alignment)
    if predictor is None or not predictor.card.factor_from.startswith("stereo"):
        raise InputError(
            f"--alignment stereo: {config.model or config.predictions} holds no factor of a training with "
            "--stereo; give one, such as 5.4 for KITTI's eyes taken as 0.1 apart, or median"
        )
    name = f"{protocol.name}, stereo factor {predictor.card.factor:.4g}"  # which its metres come from
    return replace(with_alignment(protocol, "none"), name=name)


def _summary(
    protocol: Protocol,
    frames: Sequence[Listed],
    scores: Sequence[SparseScore | None],
    which: Sequence[int],
) -> Evaluation:
    found = [(frames[i], score) for i in which if (score := scores[i]) is not None]
    results = [ImageResult(frame.clip, frame.number, score.metrics, score.ratio) for frame, score in found]
    ranges = []
    for number, (low, high) in enumerate(RANGES):
        parts = [score.ranges[number] for _, score in found]
        metrics = [m for _, m in parts if m is not None]
        if metrics:
            pixels = sum(n for n, _ in parts)
            ranges.append(RangeScore(low, high, pixels, len(metrics), mean_metrics(metrics)))
    return gather(protocol, results, {}, tuple(ranges))


def _pictures(outcome: Outcome) -> Iterator[GalleryItem]:
    """The best and the worst images, as far as they are there, predicted again."""
    listing, counted = outcome.listing, [i for i, score in enumerate(outcome.scores) if score is not None]
    (main, *_) = outcome.rows.values()
    chosen = [(label, n, listing.places[counted[n]]) for label, n in best_and_worst(main.per_image)]
    chosen = [c for c in chosen if listing.frames[c[2]].image.exists()]
    batches = outcome.predict([place for *_, place in chosen])
    maps = (disparity for batch in batches for disparity in next(iter(batch.values())))
    for (label, n, place), disparity in zip(chosen, maps, strict=True):
        frame, error = listing.frames[place], main.per_image[n].metrics.abs_rel
        image, truth = frame.open(frame.image), outcome.truths([counted[n]])[0].dense()
        yield gallery_item(label, frame.name, error, image, disparity, truth, outcome.protocol)


def _report(path: str | None, outcome: Outcome, source: str, predictor: Predictor | None) -> None:
    if path is None:
        return
    listing = outcome.listing
    facts = {
        "Data": f"{listing.name}, {len(listing.places)} of {len(listing.frames)} images",
        "Model" if predictor is not None else "Predictions": source,
    }
    if predictor is not None:
        facts |= {"Trained on": predictor.card.trained_on, "Depth": predictor.card.scale}
    write_report(
        path,
        f"Depth on {listing.name}",
        outcome.rows,
        list(_pictures(outcome)),
        facts,
        training_curve(Path(source)) or None,
        next(iter(outcome.rows)),
        outcome.published,
        outcome.marks,
    )
