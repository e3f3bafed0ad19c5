"""The model that a training begins from (--start-from): kept in the run's folder, and what stays of it."""

from dataclasses import replace
from pathlib import Path

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from mono2many.data.dataset import ClipDataset, spread_out
from mono2many.models.checkpoint import load_model, save_model
from mono2many.models.many import ManyDepth
from mono2many.models.mono import DepthNet, MonoDepth
from mono2many.models.pose import NoPose
from mono2many.types import InputError

FOLDER = "start"
"""Of a run: the depth network that it is anchored to, so that --resume needs nothing from outside."""


def open_start(folder: str | Path) -> DepthNet:
    """A model folder's depth network as a constant: on the CPU, in evaluation mode, without gradients."""
    model, _ = load_model(folder)
    assert isinstance(model, MonoDepth)
    return model.depth.requires_grad_(False)


def reopen_start(run: Path) -> DepthNet:
    """The same from a run that is resumed. InputError where the run has kept none."""
    try:
        return open_start(run / FOLDER)
    except InputError as error:
        raise InputError(f"{error}; or go on without the anchor: add --anchor 0") from error


def keep_start(run: Path, start: str | Path) -> None:
    """Store the depth network of the model folder `start` in the run."""
    model, card = load_model(start)
    assert isinstance(model, MonoDepth)
    model.pose = NoPose()
    save_model(run / FOLDER, model, replace(card, has_pose=False))


@torch.no_grad()
def typical_depth(start: DepthNet, dataset: ClipDataset) -> float:
    """Median depth of 8 training frames, in the start's unit."""
    frames = [i for batch in spread_out(len(dataset), 8, 8) for i in batch]
    targets = dataset.batch(frames).frames[:, 0].float() / 255
    return float(1 / start(targets).median())


def batch_norms(network: nn.Module) -> list[_BatchNorm]:
    """All of them but the pose network's."""
    named = network.named_modules()
    return [m for name, m in named if isinstance(m, _BatchNorm) and not name.startswith("pose.")]


def freeze_statistics(norms: list[_BatchNorm]) -> None:
    """Normalise by running statistics and leave these as they are; after every `network.train()`."""
    for norm in norms:
        norm.eval()


def freeze_teacher(network: ManyDepth, frozen: bool) -> None:
    """Teacher and pose network learn, or are fixed with their batch statistics (Watson et al. 2021, sec. 4).
    A pose network whose poses are refined need not learn: frozen, it keeps the unit."""
    for part, fixed in (
        (network.teacher, frozen),
        (network.pose, frozen or network.architecture.refines_motion),
    ):
        part.train(not fixed).requires_grad_(not fixed)
