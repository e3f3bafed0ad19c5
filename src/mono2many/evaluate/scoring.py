"""Score a model, or any method's stored disparities, on an EvalSet. Frames of its training are refused."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from rich.console import Console

from mono2many.datasets.base import TestListOptions
from mono2many.evaluate.depth import Outcome, score_frames
from mono2many.evaluate.frames import EvalSet
from mono2many.evaluate.predictors import (
    Disparities,
    Method,
    baselines,
    from_file,
    from_network,
    with_baselines,
)
from mono2many.metrics.protocol import PROTOCOLS, Protocol, median, with_alignment
from mono2many.models.architecture import ManyArchitecture
from mono2many.models.checkpoint import ModelCard
from mono2many.predict.predictor import Predictor
from mono2many.terminal import say, track
from mono2many.types import InputError

UPSIDE_DOWN = -0.1
"""Correlation of predicted with measured disparity below which they look like depths."""


@dataclass(frozen=True)
class Scoring:
    """What is scored, and how."""

    source: str
    """The model's folder, or the file of predictions."""
    predictor: Predictor | None
    """None: predictions are read from the file."""
    options: TestListOptions = field(default_factory=TestListOptions)

    @property
    def card(self) -> ModelCard | None:
        return None if self.predictor is None else self.predictor.card

    @property
    def matching(self) -> tuple[int, ...]:
        """Offsets of the frames that a ManyDepth matches; none of other models."""
        architecture = None if self.card is None else self.card.architecture
        return architecture.matching if isinstance(architecture, ManyArchitecture) else ()


def choose_protocol(known: Sequence[str], s: Scoring) -> Protocol:
    """One of the protocols of a list, its first by default, aligned as asked for. Raises InputError."""
    name, alignment = s.options.protocol or known[0], s.options.alignment
    if name not in known:
        raise InputError(f"--protocol {name}: wanted one of {', '.join(sorted(known))}")
    protocol, card = PROTOCOLS[name], s.card
    if alignment == "stereo":
        if card is None or not card.factor_from.startswith("stereo"):
            raise InputError(
                f"--alignment stereo: {s.source} holds no factor of a training with --stereo; give one, such "
                "as 5.4 for KITTI's eyes taken as 0.1 apart, or median"
            )
        name = f"{protocol.name}, stereo factor {card.factor:.4g}"  # which its metres come from
        return replace(with_alignment(protocol, "none"), name=name)
    protocol = protocol if alignment is None else with_alignment(protocol, alignment)
    if card is not None and card.scale == "metres" and not isinstance(protocol.align, str):
        raise InputError(
            f"--alignment {alignment}: {s.source} is in metres already (factor {card.factor:g} is stored "
            "with it); leave it out, or give --alignment none"
        )
    return protocol


def score_set(eval_set: EvalSet, s: Scoring, console: Console) -> Outcome:
    """Score the frames of a set, with its baselines.

    Raises InputError for ground truth or predictions that do not fit, and for frames of the model's training.
    """
    frames, options, card = eval_set.frames, s.options, s.card
    unseen = _unseen(eval_set, s)
    if eval_set.note:
        say(console, eval_set.note, "yellow")
    if s.matching and not eval_set.baseline_frames:
        console.print(
            f"{without_neighbour(eval_set, s)} of {len(frames)} images have no neighbour to match: there "
            f"{Method.MODEL} is {Method.SINGLE_FRAME}",
            highlight=False,
            soft_wrap=True,
        )
    predict = _disparities(eval_set, s, console)
    metric = card is not None and card.scale == "metres" and eval_set.protocol.align != "none"
    outcome = score_frames(eval_set, predict, s.source, metric, unseen, options.workers, console)
    if s.predictor is None:
        _question(outcome, s.source, console)
    return outcome


def _question(outcome: Outcome, source: str, console: Console) -> None:
    """Say where predictions look like depths."""
    scored = [x.correlation for x in outcome.scores[outcome.main] if x is not None]
    found = torch.tensor([x for x in scored if not math.isnan(x)])
    if len(found) and median(found) < UPSIDE_DOWN:
        console.print(
            f"--predictions {source}: the correlation of its values with 1 / measured depth is "
            f"{median(found):.2f} in the median image: are they depths? Wanted are disparities, 1 / depth",
            style="yellow",
            highlight=False,
            markup=False,
            soft_wrap=True,
        )


def _unseen(eval_set: EvalSet, s: Scoring) -> list[int] | None:
    """Positions of the frames that were not in the model's training; None where none was."""
    seen = eval_set.keys_of(s.card.seen) if s.card is not None else frozenset()
    unseen = [i for i, frame in enumerate(eval_set.frames) if frame.key not in seen]
    known = len(eval_set.frames) - len(unseen)
    if known and not s.options.allow_contaminated:
        raise InputError(
            f"{s.source}: {known} of {len(eval_set.frames)} frames of {eval_set.name} were in this model's "
            "training (or in that of the model it began with): score it on frames it has not seen, or all "
            "the same with --allow-contaminated"
        )
    return unseen if known else None


def _disparities(eval_set: EvalSet, s: Scoring, console: Console) -> Disparities:
    if s.predictor is None:
        predict = from_file(s.source, eval_set, s.options.batch_size)
    else:
        predict = from_network(s.predictor, s.options.flip, s.options.batch_size, s.options.workers)
    if not eval_set.baseline_frames:
        return predict
    opened = track(eval_set.baseline_frames, "baselines", console=console)
    return with_baselines(predict, baselines((frame() for frame in opened), eval_set.protocol))


def without_neighbour(eval_set: EvalSet, s: Scoring) -> int:
    """How many of the frames have none that the model matches."""
    return sum(not any(frame.at(offset) for offset in s.matching) for frame in eval_set.frames)
