"""Stereo pairs in training: the unit that they give a model, and the depth that it begins with."""

from dataclasses import dataclass

import torch

from mono2many.data.dataset import ClipDataset
from mono2many.models.checkpoint import read_card
from mono2many.models.many import ManyDepth
from mono2many.models.mono import MonoDepth
from mono2many.types import InputError

START = 30
"""Times the stereo baseline: the depth of an untrained network."""
NOMINAL = 0.1
"""Stereo baseline in the papers' unit, whatever it is in metres."""


@dataclass(frozen=True)
class StereoUnit:
    """Metres per unit of a model that learns from stereo pairs, as its card stores them."""

    factor: float = 1.0
    factor_spread: float | None = None
    factor_from: str = "stereo, baseline as calibrated"


def unit_of(dataset: ClipDataset) -> StereoUnit | None:
    """The unit that these stereo pairs give a model; None where there are none."""
    pairs = [pair for clip, _ in dataset.samples if (pair := dataset.clips[clip].stereo_partner) is not None]
    if not pairs or 0 not in dataset.offsets:
        return None
    if dataset.baseline is None:
        return StereoUnit()
    metres = torch.tensor([abs(x) for _, x in pairs], dtype=torch.float64)
    mean = float(metres.mean())
    deviation = round(float(metres.std(correction=0)) / mean, 6)
    source = f"stereo, baseline {dataset.baseline:g} of {mean:.4g} m"
    return StereoUnit(mean / dataset.baseline, deviation, source)


@torch.no_grad()
def start_at(network: MonoDepth | ManyDepth, depth: float) -> None:
    """Let untrained networks predict this depth at every pixel. With sigmoid 0.5 the stereo partner is
    sampled a third of the image away, where no gradient leads back."""
    low, high = (1 / x for x in (network.architecture.max_depth, network.architecture.min_depth))
    sigmoid = torch.tensor((1 / depth - low) / (high - low))
    for net in (network.depth, network.teacher) if isinstance(network, ManyDepth) else (network.depth,):
        for head in net.decoder.heads:
            head.bias.fill_(sigmoid.logit(1e-3))  # type: ignore[operator]


def refuse_other_unit(teacher: str, unit: StereoUnit | None) -> None:
    """A student learns in the unit of its teacher, whose poses it takes: it must be the stereo pairs' too."""
    card = read_card(teacher)
    if unit and not (card.architecture.stereo and abs(card.factor / unit.factor - 1) < 0.05):
        raise InputError(
            f"--teacher {teacher}: its unit is not the stereo pairs' {unit.factor:.4g} m; wanted a teacher "
            "trained with --stereo also and the same --baseline"
        )
