"""Train the starter model that ships with mono2many, again from the beginning.

    python recipes/starter.py --out outputs/first
    python recipes/starter.py --out outputs/second --start-from outputs/first --steps 900 --new-pairs 0.75
    python recipes/starter.py --out outputs/starter --start-from outputs/second --steps 3400 --new-pairs 0.75

A depth network with ImageNet weights learns from exact depth of the procedural street, drawn anew all the
time by worker processes, and a pose network learns from its exact camera motion. Nothing else is seen. What
the network predicts is depth as a camera of focal length 0.58 x width would have it: the images do not tell
focal length from size, hence depth and translation are supervised times 0.58 x width / focal length.
"""

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import torch
import tyro
from starter_loss import supervised_objective
from starter_samples import Pool, Sample, Size, Streets
from torch import Tensor
from torch.utils.data import DataLoader

from mono2many.geometry.pose import transform_from_pose
from mono2many.metrics.protocol import PROTOCOLS, score
from mono2many.models.architecture import MonoArchitecture
from mono2many.models.checkpoint import ModelCard, load_weights, read_card, save_model
from mono2many.models.mono import MonoDepth
from mono2many.street.reader import StreetSettings, SyntheticReader
from mono2many.train.optim import learning_rate


class Shape(NamedTuple):
    """One kind of batch."""

    drawn: Size
    """Height and width of the frames that are drawn."""
    size: Size
    """Of the samples cut out of them."""
    samples: int
    """In a batch."""
    variety: Literal["town", "wide"] = "wide"


SMALL = (
    Shape((128, 416), (96, 320), 8),
    Shape((224, 384), (160, 288), 5),
    Shape((240, 320), (192, 256), 5),
)
"""Of the first stage's steps, in turn."""
LARGE = (
    Shape((192, 640), (192, 640), 2),
    Shape((288, 512), (288, 512), 2),
    Shape((288, 384), (288, 384), 3),
)
"""Of its last part."""
MEDIUM = (
    Shape((160, 512), (128, 416), 6),
    Shape((224, 384), (192, 352), 4),
    Shape((160, 512), (128, 416), 6, "town"),
    Shape((240, 320), (192, 256), 6),
)
"""Of the second stage."""
SIZES = ((160, 512), (224, 384), (224, 288))
"""At which the model predicts: on unseen streets, better than larger ones."""
LARGE_FROM = 0.5
"""Share of the training's steps after which it is at large sizes."""
TESTED = 20
"""Unseen streets of each kind that a score looks at."""


@dataclass(frozen=True)
class Settings:
    """Train the starter model."""

    out: Path = Path("outputs/starter")
    """Model folder to write."""
    steps: int = 1900
    """Length of the training."""
    variety: Literal["town", "wide"] | None = None
    """Streets of one kind only, to compare: those of the demo, or all kinds."""
    start_from: Path | None = None
    """Folder of a first stage: go on with its weights, at medium sizes."""
    encoder_weights: str = "imagenet"
    """imagenet (from the extra `weights`), none, or a file."""
    new_pairs: float = 1.0
    """Pairs of frames drawn anew for each step."""
    workers: int = 1
    """Processes that draw."""
    seed: int = 0
    """Of first weights, streets and augmentation."""
    report_every: int = 475
    """Steps between scores on unseen streets."""
    large: bool = True
    """End the first stage at large sizes; else all its steps are at small ones."""


def step_loss(model: MonoDepth, batch: Sample) -> tuple[Tensor, dict[str, Tensor]]:
    """Depth of one frame of each pair, and the motion between the two."""
    place = torch.arange(len(batch.second))
    target = batch.images[place, batch.second.long()].contiguous(memory_format=torch.channels_last)
    loss, parts = supervised_objective(model.depth(target), batch.depth, batch.reach)
    axis_angle, translation = model.pose(batch.images[:, 0], batch.images[:, 1:], (1,))
    found = transform_from_pose(axis_angle[:, 0], translation[:, 0])
    turn = (found[:, :3, :3] - batch.second_from_first[:, :3, :3]).abs().mean()
    shift = (found[:, :3, 3] - batch.second_from_first[:, :3, 3]).abs().mean()
    # a pixel moves by focal length x rotation, and by focal length x translation / depth: about 10
    return loss + 10 * turn + shift, {**parts, "rotation": turn, "translation": shift}


@torch.no_grad()
def scores(model: MonoDepth, seed: int) -> dict[str, float]:
    """Abs Rel with median scaling on unseen streets of both kinds, quick."""
    found = {}
    model.eval()
    for variety, size in (("town", (96, 320)), ("wide", (160, 288))):
        settings = StreetSettings(TESTED, 2, *size, seed=seed, variety=variety)  # type: ignore[arg-type]
        reader, errors = SyntheticReader(settings, "test"), []
        for scene in range(settings.scenes):
            frame = reader.frame(scene, 0)
            assert frame.depth is not None
            disparity = model.depth(frame.image[None].float() / 255)[0]
            result = score(disparity, frame.depth, PROTOCOLS["synthetic-80m"])
            assert result is not None
            errors.append(result.metrics.abs_rel)
        found[f"abs_rel_{variety}"] = round(sum(errors) / len(errors), 4)
    model.train()
    return found


def make_model(s: Settings) -> MonoDepth:
    architecture = MonoArchitecture(
        encoder="tf_efficientnet_lite0", decoder="medium", padding="zeros", scales=1, pose_type="light",
        max_depth=200.0,
    )  # fmt: skip
    model = MonoDepth(architecture, s.encoder_weights if s.start_from is None else "none")
    torch.nn.init.constant_(model.depth.decoder.heads[0].bias, -4.5)  # about 10 m
    if s.start_from is not None:
        load_weights(model, s.start_from)
    return model.to(memory_format=torch.channels_last)


def make_optimiser(model: MonoDepth) -> torch.optim.Optimizer:
    encoder = list(model.depth.encoder.parameters())
    rest = [*model.depth.decoder.parameters(), *model.pose.parameters()]
    groups = [{"params": encoder, "speed": 0.2}, {"params": rest, "speed": 1.0}]
    return torch.optim.AdamW(groups, lr=1.5e-3, weight_decay=1e-2, fused=True)


def pools(s: Settings, shapes: tuple[Shape, ...], first: int) -> list[Pool]:
    """One pool a shape, each with its own processes' streets."""
    found = []
    for number, shape in enumerate(shapes):
        streets = Streets(shape.drawn, s.variety or shape.variety, s.seed, first + 10**8 * number)
        loader = DataLoader(streets, batch_size=None, num_workers=s.workers, prefetch_factor=4)
        found.append(Pool(iter(loader), shape.size, shape.samples))
    return found


def train(s: Settings) -> None:
    torch.manual_seed(s.seed)
    generator = torch.Generator().manual_seed(s.seed)
    model = make_model(s).train()
    optimiser = make_optimiser(model)
    s.out.mkdir(parents=True, exist_ok=True)
    large_from = round(LARGE_FROM * s.steps) if s.large and s.start_from is None else s.steps
    ready = pools(s, SMALL, 0) if s.start_from is None else pools(s, MEDIUM, 15 * 10**8)
    began = time.monotonic()
    with open(s.out / "log.jsonl", "w") as log:
        for step in range(s.steps):
            if step == large_from:
                ready = pools(s, LARGE, 10**9)
            for group in optimiser.param_groups:
                group["lr"] = group["speed"] * learning_rate(step, s.steps, 1.5e-3, "cosine", 0.02)
            batch = ready[step % len(ready)].batch(s.new_pairs, generator)
            loss, parts = step_loss(model, batch)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
            optimiser.step()
            done = step + 1
            if done % 25 == 0 or done == s.steps:
                values = {name: round(v.item(), 4) for name, v in parts.items()}
                seconds = round(time.monotonic() - began)
                event = {"step": done, "seconds": seconds, "loss": round(loss.item(), 4), **values}
                if done % s.report_every == 0 or done == s.steps:
                    event |= scores(model, s.seed)
                    save(model, s, done)
                print(json.dumps(event), file=log, flush=True)
                print(event, flush=True)


def save(model: MonoDepth, s: Settings, steps: int) -> None:
    before = "" if s.start_from is None else f"{read_card(s.start_from).trained_on}; then "
    card = ModelCard(
        model.architecture,
        *SIZES[0],
        sizes=SIZES,
        trained_on=f"{before}the procedural street's exact depth, {steps} steps, seed {s.seed}",
    )
    save_model(s.out, model, card, half=True)


if __name__ == "__main__":
    train(tyro.cli(Settings))
