"""The scoring engine: disparities against measured depth, by a protocol, of any method and data set.

frames -> a predictor's disparities, by method -> metrics.protocol.score -> scores, by Row -> Evaluation

outcome = score_frames(eval_set, from_file("p.npy", eval_set, 8), "p.npy")
print_table(Console(), outcome.rows)
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from statistics import fmean
from typing import Any, NamedTuple

import torch
from rich.console import Console
from rich.progress import Progress

from mono2many.evaluate.frames import EvalFrame, EvalSet
from mono2many.evaluate.predictors import BASELINES, Disparities, Method
from mono2many.metrics.depth import DepthMetrics, mean_metrics
from mono2many.metrics.protocol import (
    RANGES,
    ImageScore,
    Protocol,
    RegionScore,
    median,
    metric_protocol,
    score,
)
from mono2many.types import InputError

CONTAMINATED = "CONTAMINATED"
METRIC = "as metres, not aligned"


@dataclass(frozen=True)
class Row:
    """What an evaluation is of: a row of the tables."""

    method: Method
    metric: bool = False
    """Its depth is taken as metres: not aligned."""
    contaminated: bool = False
    """Some frames were in the model's training."""
    group: str = ""
    """Only these frames (EvalFrame.group)."""
    unseen: int | None = None
    """Only the frames that were not in training, so many."""

    def text(self, model: str = Method.MODEL) -> str:
        """As tables and files name it; `model`: another name for the model."""
        name = METRIC if self.metric else model if self.method == Method.MODEL else str(self.method)
        if self.unseen is not None:
            own = self.method in (Method.MODEL, Method.FILE) and not self.metric
            return f"{'' if own else f'{name}, '}never seen, {self.unseen}"
        marked = f"{name} {CONTAMINATED}" if self.contaminated else name
        return f"{marked}, {self.group}" if self.group else marked

    def __str__(self) -> str:
        return self.text()


@dataclass(frozen=True)
class ImageResult:
    """What one image contributed."""

    clip: str
    index: int
    metrics: DepthMetrics
    ratio: float
    """What the prediction was multiplied by."""


@dataclass(frozen=True)
class RangeScore:
    """The pixels whose true depth lies in [low, high) metres, each image with the scale of its whole."""

    low: float
    high: float
    pixels: int
    """Of all images together."""
    images: int
    """Images that have such pixels."""
    metrics: DepthMetrics
    """The mean over these."""


@dataclass(frozen=True)
class Evaluation:
    """One method over one set of images."""

    protocol: Protocol
    images: int
    metrics: DepthMetrics
    """The mean over images."""
    median_ratio: float
    """The middle one of the images' ratios: what turns the model's unit into metres."""
    spread: float
    """Standard deviation of ratio / median ratio: 0 if the model's unit is the same in every image."""
    regions: dict[str, DepthMetrics]
    """`static`, `moving` and `co-moving`, each the mean over the images that have such pixels; empty where
    it is not known what moves."""
    per_image: tuple[ImageResult, ...]
    ranges: tuple[RangeScore, ...] = ()
    """By true depth, near to far."""
    holes: float | None = None
    """Share of the moving pixels, a mean over the images that have some; None: it is not known what moves."""
    too_far: dict[str, float] = field(default_factory=dict)
    """Of each region: RegionScore.too_far, a mean over the images that have such pixels."""

    @property
    def ratio_text(self) -> str:
        """Median ratio ± spread, as tables print it."""
        return f"{self.median_ratio:{'.3f' if self.median_ratio >= 0.1 else '.2e'}} ± {self.spread:.3f}"

    def to_json(self) -> dict[str, Any]:
        """The same as dictionaries, lists, strings and numbers, for json.dumps."""
        return {**asdict(self), "protocol": self.protocol.name}


class Comparison(NamedTuple):
    """A method against the better of the baselines."""

    baseline: Row
    ratio: float
    """Abs Rel of the method / Abs Rel of that baseline."""


@dataclass(frozen=True)
class Outcome:
    """The scores of a set of frames, with what made them."""

    eval_set: EvalSet
    predict: Disparities
    scores: Mapping[Row, Sequence[ImageScore | None]]
    """Of each method and frame; None where no pixel counts. The first row is the method in question."""
    unseen: Sequence[int] | None = None
    """Positions in eval_set.frames of those that were not in training, where others were."""

    @property
    def main(self) -> Row:
        return next(iter(self.scores))

    @property
    def contaminated(self) -> int:
        """How many frames were in the model's training."""
        return 0 if self.unseen is None else len(self.eval_set.frames) - len(self.unseen)

    @cached_property
    def rows(self) -> dict[Row, Evaluation]:
        """Each method over all frames; then the first by group; then each over what training did not use.

        Raises InputError where no pixel of any image counts.
        """
        frames, main = self.eval_set.frames, self.main
        every = range(len(frames))
        rows = {row: self._summary(row, every, row.method == main.method) for row in self.scores}
        groups = sorted({frame.group for frame in frames})
        for group in groups if len(groups) > 1 else ():
            of_group = [i for i, frame in enumerate(frames) if frame.group == group]
            if any(self.scores[main][i] for i in of_group):
                rows[replace(main, group=group)] = self._summary(main, of_group)
        unseen = self.unseen or ()
        for row in self.scores if any(self.scores[main][i] for i in unseen) else ():
            apart = self._summary(row, unseen)
            rows[replace(row, unseen=apart.images)] = apart
        return rows

    def _summary(self, row: Row, which: Sequence[int], by_range: bool = False) -> Evaluation:
        protocol = self.eval_set.protocol
        scores = [(self.eval_set.frames[i], self.scores[row][i]) for i in which]
        scored = [(frame, found) for frame, found in scores if found is not None]
        return summarise(scored, metric_protocol(protocol) if row.metric else protocol, by_range)

    def scored_frames(self) -> list[EvalFrame]:
        """Those of the main row's per_image."""
        scores = self.scores[self.main]
        return [f for f, found in zip(self.eval_set.frames, scores, strict=True) if found is not None]


def score_frames(
    eval_set: EvalSet,
    predict: Disparities,
    source: str = "predictions",
    metric: bool = False,
    unseen: Sequence[int] | None = None,
    workers: int = 2,
    console: Console | None = None,
) -> Outcome:
    """Score every frame by the set's protocol.

    source: what errors name, a model's folder or a file. metric: the first method is in metres, and also
    scored as it is. workers: threads that read measured depth. console: for a progress bar. Raises
    InputError as score, predictors and readers do.
    """
    protocol, contaminated = eval_set.protocol, unseen is not None
    scores, done = dict[Row, list[ImageScore | None]](), 0
    bar = Progress(console=console, transient=True, disable=console is None)
    with bar, ThreadPoolExecutor(max(1, workers)) as pool:
        task = bar.add_task("images", total=len(eval_set.frames))
        for maps in predict(eval_set.frames):
            first, disparity = next(iter(maps.items()))
            frames = eval_set.frames[done : done + len(disparity)]
            truths = list(pool.map(lambda frame: frame.ground_truth(), frames))
            wanted = {Row(m, contaminated=contaminated): (x, protocol) for m, x in maps.items()}
            if metric:
                wanted[Row(first, True, contaminated)] = (disparity, metric_protocol(protocol))
            for row, (disparities, by) in wanted.items():
                for frame, one, truth in zip(frames, disparities, truths, strict=True):
                    try:
                        scores.setdefault(row, []).append(score(one, truth, by))
                    except InputError as error:
                        where = f"{source}, image {frame.position} of the list ({frame.name})"
                        raise InputError(f"{where}: {error}") from error
            done += len(frames)
            bar.update(task, completed=done)
    return Outcome(eval_set, predict, scores, unseen)


def summarise(
    scored: Sequence[tuple[EvalFrame, ImageScore]], protocol: Protocol, by_range: bool = False
) -> Evaluation:
    """Means over images (at least one, else InputError), and over those that have a region.

    by_range: also over those that have a range of depth, where it is not known what moves.
    """
    if not scored:
        raise InputError(
            f"no image has a true depth that protocol {protocol.name} counts "
            f"({protocol.min_depth:g} to {protocol.max_depth:g} m); evaluate on data that has depth"
        )
    scores = [found for _, found in scored]
    ratios = torch.tensor([s.ratio for s in scores], dtype=torch.float64)
    middle = median(ratios)
    parts: dict[str, list[RegionScore]] = {}
    for name, part in (item for s in scores for item in s.regions.items()):
        parts.setdefault(name, []).append(part)
    regions = {name: mean_metrics([part.metrics for part in of_name]) for name, of_name in parts.items()}
    holes = [s.holes for s in scores if s.holes is not None]
    ranges = [_range(scores, number) for number in range(len(RANGES))] if by_range and not regions else []
    return Evaluation(
        protocol,
        images=len(scored),
        metrics=mean_metrics([s.metrics for s in scores]),
        median_ratio=middle,
        spread=float((ratios / middle).std(correction=0)),
        regions=regions,
        per_image=tuple(ImageResult(f.sequence, f.index, s.metrics, s.ratio) for f, s in scored),
        ranges=tuple(found for found in ranges if found is not None),
        holes=sum(holes) / len(holes) if holes else None,
        too_far={name: fmean(part.too_far for part in of_name) for name, of_name in parts.items()},
    )


def _range(scores: Sequence[ImageScore], number: int) -> RangeScore | None:
    """One of RANGES; None where no image has it."""
    parts = [s.ranges[number] for s in scores]
    metrics = [found for _, found in parts if found is not None]
    pixels = sum(count for count, _ in parts)
    return RangeScore(*RANGES[number], pixels, len(metrics), mean_metrics(metrics)) if metrics else None


def compare(evaluations: Mapping[Row, Evaluation], row: Row) -> Comparison | None:
    """None where there is no baseline."""
    errors = {row: evaluation.metrics.abs_rel for row, evaluation in evaluations.items()}
    baselines = [other for other in errors if other.method in BASELINES]
    if not baselines:
        return None
    better = min(baselines, key=errors.__getitem__)
    return Comparison(better, errors[row] / errors[better] if errors[better] > 0 else float("inf"))
