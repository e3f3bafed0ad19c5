"""How good are the depths? The seven numbers over a data set, beside two guesses that learnt nothing.

    evaluations = evaluate_each({"model": predict, **guesses(training_frames, protocol)}, reader, protocol)
    print_table(Console(), evaluations)
    compare(evaluations).ratio        below 1: the model knows more than where in an image things tend to be

A prediction is any function of a frame and its place that returns a disparity: nothing here knows about
networks.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, astuple, dataclass

import torch
from jaxtyping import Float
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torch.nn import functional as F

from mono2many.metrics.depth import DepthMetrics, mean_metrics
from mono2many.metrics.protocol import (
    Aligned,
    ImageScore,
    Protocol,
    align,
    kept_pixels,
    median,
    score_region,
)
from mono2many.metrics.published import PublishedResult
from mono2many.types import Frame, InputError, Reader

Place = tuple[int, int]
"""Of a frame in its reader: (clip, index)."""
Predict = Callable[[Frame, Place], Float[Tensor, "h w"]]
"""From a frame to a disparity map of any size, in 1 / metres or up to scale. Only its image and intrinsics
may be looked at; its place is for those who want its neighbours."""

Progress = Callable[[int, int], None]
"""Called with (frames done, frames in all)."""

MODEL, MEAN_LOG_DEPTH, CONSTANT = "model", "per-pixel mean log depth", "constant"
GUESSES = (MEAN_LOG_DEPTH, CONSTANT)
METRIC = "as metres, not aligned"
"""The same model, believed to the metre."""
SINGLE, STATIC, TEACHER = "single frame", "static camera", "teacher"
"""A ManyDepth without its neighbours, with a camera that seems to stand, and its MonoDepth."""
HOLE = 2
"""A moving pixel is in a hole where its aligned depth is wrong by more than this factor."""
COLUMNS = ("Abs Rel", "Sq Rel", "RMSE", "RMSE log", "a1", "a2", "a3")
"""The names under which papers print the fields of DepthMetrics, in order."""


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
    """One prediction function over one set of images."""

    protocol: str
    images: int
    metrics: DepthMetrics
    """The mean over images."""
    median_ratio: float
    """The middle one of the images' ratios: what turns the model's unit into metres."""
    spread: float
    """Standard deviation of ratio / median ratio: 0 if the model's unit is the same in every image."""
    regions: dict[str, DepthMetrics]
    """`static` and `moving`, each the mean over the images that have such pixels; empty if no one knows."""
    per_image: tuple[ImageResult, ...]
    ranges: tuple[RangeScore, ...] = ()
    """By true depth, near to far."""
    holes: float | None = None
    """Share of the moving pixels, a mean over the images that have some; None: no one knows what moves."""

    def to_json(self) -> dict[str, object]:
        """The same as dictionaries, lists, strings and numbers, for json.dumps."""
        return asdict(self)


@dataclass(frozen=True)
class Comparison:
    """The model against the better of the guesses."""

    model: str
    better_guess: str
    ratio: float
    """Abs Rel of the model / Abs Rel of that guess."""


def evaluate_each(
    predictions: Mapping[str, Predict],
    reader: Reader,
    protocol: Protocol,
    progress: Progress | None = None,
    frames: Sequence[Place] | None = None,
) -> dict[str, Evaluation]:
    """Evaluate several prediction functions, opening every frame once.

    `frames` are (clip, index) pairs, each of which must have a depth; without them every frame that has one
    is evaluated. Images where the protocol counts no pixel are left out. Raises InputError if a named frame
    has no depth, if nothing is left, or if a prediction has no depth where it counts.
    """
    wanted = frames if frames is not None else all_frames(reader)
    clips = reader.clips
    results: dict[str, list[ImageResult]] = {name: [] for name in predictions}
    regions: dict[str, dict[str, list[DepthMetrics]]] = {name: {} for name in predictions}
    holes: dict[str, list[float]] = {name: [] for name in predictions}
    for done, (clip, index) in enumerate(wanted, 1):
        frame = reader.frame(clip, index)
        name = clips[clip].name
        if frame.depth is not None:
            for which, predict in predictions.items():
                with torch.no_grad():
                    disparity = predict(frame, (clip, index))
                aligned = _aligned(disparity, frame.depth, protocol, f"{which}, frame {index} of {name}")
                if aligned is None:
                    continue
                whole, scores = _scores(frame, aligned)
                results[which].append(ImageResult(name, index, whole.metrics, whole.ratio))
                for region, part in scores.items():
                    regions[which].setdefault(region, []).append(part.metrics)
                holes[which] += _holes(frame, aligned)
        elif frames is not None:
            raise InputError(
                f"frame {index} of {name} has no true depth to compare with; leave it out of the list of "
                "frames, or add its depth to the data"
            )
        if progress is not None:
            progress(done, len(wanted))
    return {name: gather(protocol, results[name], regions[name], holes=holes[name]) for name in predictions}


def evaluate_depth(
    predict: Predict,
    reader: Reader,
    protocol: Protocol,
    progress: Progress | None = None,
    frames: Sequence[Place] | None = None,
) -> Evaluation:
    """Evaluate one prediction function. Arguments and errors as in `evaluate_each`."""
    return evaluate_each({MODEL: predict}, reader, protocol, progress, frames)[MODEL]


def all_frames(reader: Reader) -> list[Place]:
    """Every (clip, index) that a reader has."""
    return [(clip, index) for clip, listed in enumerate(reader.clips) for index in range(listed.frames)]


def _aligned(
    disparity: Float[Tensor, "h w"], depth: Float[Tensor, "H W"], protocol: Protocol, where: str
) -> Aligned | None:
    try:
        return align(disparity.detach(), depth, protocol)
    except InputError as error:
        raise InputError(f"{where}: {error}") from error


def _scores(frame: Frame, aligned: Aligned) -> tuple[ImageScore, dict[str, ImageScore]]:
    """Of the whole image, and of its regions that have pixels."""
    assert frame.depth is not None
    whole = score_region(aligned, frame.depth)
    assert whole is not None, "what is aligned has pixels that count"
    if frame.moving is None:
        return whole, {}
    parts = {
        "static": score_region(aligned, frame.depth, ~frame.moving),
        "moving": score_region(aligned, frame.depth, frame.moving),
    }
    return whole, {name: part for name, part in parts.items() if part is not None}


def _holes(frame: Frame, aligned: Aligned) -> list[float]:
    """The share of the moving pixels; nothing where none counts."""
    assert frame.depth is not None
    counts = aligned.kept if frame.moving is None else aligned.kept & frame.moving
    if frame.moving is None or not counts.any():
        return []
    truth, depth = frame.depth[counts], aligned.depth[counts]
    return [float((torch.maximum(truth / depth, depth / truth) > HOLE).float().mean())]


def gather(
    protocol: Protocol,
    results: Sequence[ImageResult],
    regions: Mapping[str, Sequence[DepthMetrics]],
    ranges: tuple[RangeScore, ...] = (),
    holes: Sequence[float] = (),
) -> Evaluation:
    """Means over images (at least one, else InputError) and over those that have a region."""
    if not results:
        raise InputError(
            f"no image has a true depth that protocol {protocol.name} counts "
            f"({protocol.min_depth:g} to {protocol.max_depth:g} m); evaluate on data that has depth"
        )
    ratios = torch.tensor([result.ratio for result in results], dtype=torch.float64)
    middle = median(ratios)
    return Evaluation(
        protocol=protocol.name,
        images=len(results),
        metrics=mean_metrics([result.metrics for result in results]),
        median_ratio=middle,
        spread=float((ratios / middle).std(correction=0)),
        regions={name: mean_metrics(regions[name]) for name in sorted(regions, reverse=True)},
        per_image=tuple(results),
        ranges=ranges,
        holes=sum(holes) / len(holes) if holes else None,
    )


def mean_log_depth_guess(frames: Iterable[Frame], protocol: Protocol) -> Float[Tensor, "H W"]:
    """What each pixel usually shows: exp of the mean of ln depth over frames, in metres.

    The size is that of the first frame that has a depth; others are brought to it (nearest pixel). Only
    depths that the protocol counts enter, crop aside. A pixel that never had one takes its row's mean, a
    row without any takes the nearest row's. Raises InputError if no frame has a depth.
    """
    total = count = None
    for frame in frames:
        if frame.depth is None:
            continue
        depth = frame.depth if total is None else _nearest(frame.depth, (total.shape[0], total.shape[1]))
        counts = kept_pixels(depth, protocol, cropped=False)
        logs = torch.where(counts, depth, 1.0).log().double()
        total = logs if total is None else total + logs
        count = counts.double() if count is None else count + counts
    if total is None or count is None or not count.any():
        raise InputError(
            "no training frame has a depth that can be averaged into a guess; name data with depth, or "
            "evaluate without guesses"
        )
    per_row = total.sum(1) / count.sum(1)
    measured = count.sum(1).nonzero()[:, 0]
    rows = torch.arange(total.shape[0], device=total.device)
    nearest = measured[(rows[:, None] - measured).abs().argmin(1)]
    fill = per_row[nearest, None].expand_as(total)
    return torch.where(count > 0, total / count.clamp(min=1), fill).exp().float()


def _nearest(depth: Float[Tensor, "h w"], size: tuple[int, int]) -> Float[Tensor, "H W"]:
    return F.interpolate(depth[None, None], size, mode="nearest-exact")[0, 0]


def guesses(training: Iterable[Frame], protocol: Protocol) -> dict[str, Predict]:
    """Prediction functions that ignore the image: the training depths' mean per pixel, and one constant.

    A model that is no better than these has learnt nothing from what it sees. The constant is the geometric
    mean of the per-pixel guess; under median alignment every constant is the same guess. Errors as above.
    """
    depth = mean_log_depth_guess(training, protocol)
    constant = depth.log().mean().exp().expand_as(depth)
    return {MEAN_LOG_DEPTH: lambda frame, place: 1 / depth, CONSTANT: lambda frame, place: 1 / constant}


def compare(evaluations: Mapping[str, Evaluation], model: str = MODEL) -> Comparison:
    """The model's Abs Rel over that of the better one among GUESSES (at least one)."""
    others = {name: evaluations[name].metrics.abs_rel for name in GUESSES if name in evaluations}
    assert others, "nothing to compare with"
    better = min(others, key=others.__getitem__)
    ratio = evaluations[model].metrics.abs_rel / others[better] if others[better] > 0 else float("inf")
    return Comparison(model, better, ratio)


def print_table(
    console: Console,
    evaluations: Mapping[str, Evaluation],
    published: Sequence[PublishedResult] = (),
    mark: str = "",
) -> None:
    """One row for each evaluation and, below it, for each of its regions and ranges; then what papers report.
    The title names the protocol, after `mark`."""
    protocols = sorted({evaluation.protocol for evaluation in evaluations.values()})
    images = next(iter(evaluations.values())).images
    title = f"{mark}Depth, protocol {'; '.join(protocols)}, {images} images"
    table = Table(title=title, title_justify="left", box=None, padding=(0, 1, 0, 0))
    table.add_column("", no_wrap=True)
    for column in COLUMNS:  # fits into 80 columns
        table.add_column(column, justify="right", no_wrap=True)
    best = min(e.metrics.abs_rel for e in evaluations.values())
    for name, evaluation in evaluations.items():
        style = "bold" if evaluation.metrics.abs_rel == best else None
        table.add_row(name, *_cells(evaluation.metrics), style=style)
        for region, metrics in evaluation.regions.items():
            table.add_row(f"  {region}", *_cells(metrics), style="dim")
        for part in evaluation.ranges:
            table.add_row(f"  {part.low:g} to {part.high:g} m", *_cells(part.metrics), style="dim")
    for result in published:
        cells = ("" if value is None else f"{value:.3f}" for value in result.values)
        table.add_row(result.method, *cells, style="cyan")
    console.print(table)
    for source in dict.fromkeys(result.source for result in published):
        methods = ", ".join(result.method for result in published if result.source == source)
        console.print(f"published: {methods} ({source})", highlight=False, style="cyan", soft_wrap=True)
    for name, evaluation in evaluations.items():
        if name.startswith(METRIC) or evaluation.protocol.endswith(", affine"):  # no factor
            continue
        which = "ratio" if "," in evaluation.protocol else "median ratio"  # aligned by something else
        console.print(f"{which} of {name}: {ratio_text(evaluation)}", highlight=False)


def ratio_text(evaluation: Evaluation) -> str:
    """Median ratio ± spread, as tables print it."""
    ratio = evaluation.median_ratio
    return (
        f"{ratio:.3f} ± {evaluation.spread:.3f}" if ratio >= 0.1 else f"{ratio:.2e} ± {evaluation.spread:.3f}"
    )


def holes_text(evaluations: Mapping[str, Evaluation]) -> str:
    """One line; rows whose data do not say what moves are left out."""
    shares = [f"{name} {e.holes:.1%}" for name, e in evaluations.items() if e.holes is not None]
    return f"holes, moving pixels wrong by more than a factor {HOLE}: {', '.join(shares) or 'none known'}"


def _cells(metrics: DepthMetrics) -> list[str]:
    return [f"{value:.3f}" for value in astuple(metrics)]
