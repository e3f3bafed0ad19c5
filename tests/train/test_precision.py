"""A whole step in mixed precision against the same step in float32."""

import io
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest
import torch
from rich.console import Console
from torch import Tensor

from mono2many.data.augment import to_batch
from mono2many.datasets.street import StreetTraining
from mono2many.models.many import ManyDepth
from mono2many.train.fabric import make_fabric
from mono2many.train.plan import plan_at
from mono2many.train.recipes import recipe
from mono2many.train.settings import ManyConfig
from mono2many.train.setup import build_run, open_dataset
from mono2many.train.steps import many_step, mono_step

Kind = Literal["mono", "many"]


def step(kind: Kind, precision: Literal["fp32", "bf16"]) -> tuple[float, dict[str, Tensor]]:
    """Loss and each network's gradient of the first step of a small training."""
    base = recipe("scratch")
    config = replace(
        base,
        data=replace(base.data, height=64, width=96, workers=0, cache="off"),
        dataset=StreetTraining(scenes=1, scene_frames=4),
        model=replace(base.model, model=kind),
        many=ManyConfig(hypotheses=8),
        loss=replace(base.loss, automask_from=0.0),
        run=replace(base.run, precision=precision, device="cpu"),
    )
    fabric, dataset = make_fabric(config), open_dataset(config, "train", Console(file=io.StringIO()))
    torch.manual_seed(0)
    state = build_run(config, fabric, Path(), dataset)
    batch = to_batch(dataset.batch([1, 2]), config.offsets, fabric.device)
    plan = plan_at(config, state.card.architecture, 1.0)
    take = many_step if isinstance(state.network, ManyDepth) else mono_step
    loss, _ = take(state.model, batch, plan)
    fabric.backward(loss)
    gradients: dict[str, list[Tensor]] = {}
    for name, p in state.network.named_parameters():
        if p.grad is not None:
            gradients.setdefault(name.split(".")[0], []).append(p.grad.flatten())
    return loss.item(), {name: torch.cat(parts) for name, parts in gradients.items()}


@pytest.mark.parametrize("kind", ["mono", "many"])
def test_a_step_in_mixed_precision_is_nearly_that_in_single(kind: Kind) -> None:
    (full, gradients), (half, others) = step(kind, "fp32"), step(kind, "bf16")
    assert half == pytest.approx(full, rel=0.01)
    assert half != full
    for network, least in {"depth": 0.95, "pose": 0.7}.items():  # no motion yet: every bit of it counts
        assert torch.cosine_similarity(gradients[network], others[network], 0) > least


def test_convolutions_on_gpus_are_rounded_to_tf32_unless_the_reference_is_wanted() -> None:
    for name, rounded in {"default": True, "reference": False}.items():
        base = recipe(name)
        make_fabric(replace(base, run=replace(base.run, device="cpu")))
        assert torch.backends.cudnn.allow_tf32 == rounded
