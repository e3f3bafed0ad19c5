"""A good start in stop-and-go traffic, with the anchor and without: python anchored.py FOLDER [SEED]

Prints Abs Rel (median scaled) on streets never seen, as JSON: of the start, which exact depth taught, and
after a self-supervised training on frames between which the camera hardly moves.
"""

import io
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from rich.console import Console

from mono2many.datasets.street import StreetTraining
from mono2many.geometry.depth import disparity_from_sigmoid
from mono2many.train import loop
from mono2many.train.recipes import recipe
from mono2many.train.settings import TrainConfig
from mono2many.train.steps import StepResult
from mono2many.types import Batch, StepOutput


def settings(out: Path, name: str, seed: int, steps: int, scene_step: float) -> TrainConfig:
    base = recipe("scratch")
    return replace(
        base,
        data=replace(base.data, height=64, width=96, workers=0),
        dataset=StreetTraining(scenes=32, val_scenes=8, scene_frames=3, scene_step=scene_step),
        loss=replace(base.loss, multi_scale="full"),
        model=replace(base.model, min_depth=1.0),  # exact depth is far from sigmoid 0, where nothing learns
        optim=replace(base.optim, steps=steps, batch_size=4, warm_up=0.15),
        run=replace(
            base.run,
            name=name,
            out=str(out),
            seed=seed,
            device="cpu",
            precision="fp32",
            val_every=steps,
            log_every=steps,
        ),
    )


def supervised_step(model: torch.nn.Module, batch: Batch, *_: Any) -> StepResult:
    """|log depth - log exact depth|."""
    assert batch.depth is not None
    sigmoids, _, _ = model(*batch.for_networks())
    disparity = disparity_from_sigmoid(sigmoids[0].squeeze(1), 1.0, 100.0)
    known = batch.depth.isfinite() & (batch.depth < 80)
    error = (disparity.log() + torch.where(known, batch.depth, 1).log()).abs()[known].mean()
    return error, StepOutput({"sigmoid": sigmoids[0].mean(), "disparity_variation": disparity.std()})


def abs_rel(config: TrainConfig) -> float:
    """Of a whole training, at its end."""
    log = loop.train(config, Console(file=io.StringIO())) / "log.jsonl"
    events = [json.loads(line) for line in log.read_text().splitlines()]
    return float(next(e["abs_rel"] for e in events if e["event"] == "val" and e["step"] > 0))


def main(out: Path, seed: int) -> None:
    torch.set_num_threads(1)
    with mock.patch.object(loop, "mono_step", supervised_step):
        found = {"start": abs_rel(settings(out, "start", seed, 100, 1.5))}
    for name, anchor in (("anchored", None), ("free", 0.0)):
        config = settings(out, name, seed, 40, 0.05)
        found[name] = abs_rel(
            replace(
                config,
                loss=replace(config.loss, anchor=anchor),
                run=replace(config.run, start_from=str(out / "start")),
            )
        )
    print(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int((sys.argv[2:] or ["0"])[0]))
