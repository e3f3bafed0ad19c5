"""What the plane sweep alone finds on the static street, with the true motion: how far off is the depth of
least cost, by picture size, frames matched, and window over which costs are averaged?

    python examples/sweep.py                       blurred colours at stride 4, and grey patches at stride 1
    python examples/sweep.py --model FOLDER        a ManyDepth's own; and how good a model's motion is
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import torch
import tyro
from torch import Tensor
from torch.nn import functional as F

from mono2many.geometry.align import refine_motions
from mono2many.geometry.pose import invert, rotation_angle
from mono2many.geometry.sweep import (
    aggregate_cost,
    depth_hypotheses,
    grey_patches,
    plane_sweep,
    subpixel_argmin,
)
from mono2many.models.chain import chained_motion
from mono2many.models.checkpoint import load_model
from mono2many.models.many import ManyDepth
from mono2many.models.mono import MonoDepth
from mono2many.street.reader import StreetSettings, SyntheticReader


@dataclass(frozen=True)
class Settings:
    model: Path | None = None
    scenes: int = 8
    hypotheses: int = 96
    """Even steps of 1 / depth, 3 to 80 m."""
    scene_step: float = 0.75
    """Metres from frame to frame; each street a quarter more or less."""


Compared = Callable[[Tensor], Tensor]


def blurred(images: Tensor) -> Tensor:
    return F.avg_pool2d(images, 3, 1, 1)[..., ::4, ::4]


@torch.no_grad()
def say_of_model(s: Settings, model: MonoDepth | ManyDepth, size: tuple[int, int]) -> None:
    """Its (teacher's) depth and its motion on moving streets, as the network says it and refined on the
    pictures, each image scaled by its median."""
    reader = SyntheticReader(StreetSettings(3 * s.scenes, 4, *size, step=s.scene_step), "test")
    net = model.teacher if isinstance(model, ManyDepth) else model.depth
    errors, true = [], []
    told: dict[str, list[tuple[float, float]]] = {"network": [], "refined": []}
    for clip in range(3 * s.scenes):
        before, now = (reader.frame(clip, index) for index in (1, 2))
        images = [(frame.image / 255).unsqueeze(0) for frame in (before, now)]
        kept = (now.depth < 80) & ~now.moving
        depth = 1 / net(images[1])[0]
        ratio = now.depth[kept].median() / depth[kept].median()
        errors.append(((depth * ratio - now.depth).abs() / now.depth)[kept])
        unit = net(images[1]).mean((1, 2)) if model.pose.pose_type == "posecnn" else None
        motion = chained_motion(model.pose, images[1], images[0][:, None], (-1,), unit)
        k, sources = now.intrinsics[None], images[0][:, None]
        better = refine_motions(motion, images[1], sources, 1 / depth[None], k)
        exact = invert(before.world_from_camera) @ now.world_from_camera
        true.append(float(exact[:3, 3].norm()))
        for name, found in (("network", motion[0, 0]), ("refined", better[0, 0])):
            turn = rotation_angle(found[:3, :3] @ exact[:3, :3].mT)
            told[name].append((float(found[:3, 3].norm() * ratio), math.degrees(turn)))
    error = torch.cat(errors)
    print(f"single frame: median error {error.median():.3f}, within 10 % {(error < 0.1).float().mean():.2f}")
    for name, both in told.items():
        lengths, turns = torch.tensor(both).T
        ratios = lengths / torch.tensor(true)
        correlation = torch.corrcoef(torch.stack([lengths, torch.tensor(true)]))[0, 1]
        print(
            f"motion, {name}: turn off by {turns.mean():.3f} degrees (median {turns.median():.3f}); length "
            f"{ratios.mean():.2f} of the true one, +- {ratios.std():.2f}; correlation {correlation:.2f}"
        )


def main(s: Settings) -> None:
    model, card = (None, None) if s.model is None else load_model(s.model)
    depths = depth_hypotheses(torch.tensor(3.0), torch.tensor(80.0), s.hypotheses, "inverse")
    ways: dict[str, Compared] = {"blurred": blurred, "pixels": grey_patches}
    if model is not None and card is not None:
        if isinstance(model, ManyDepth):
            ways = {"model": model.depth.compared}
        say_of_model(s, model, (card.height, card.width))
    print("what      size     frames  window  compared  median error  within 10 %  within a factor 2")
    for size in ((96, 320), (192, 640)):
        reader = SyntheticReader(StreetSettings(s.scenes, 4, *size, step=s.scene_step, moving=False), "test")
        shown = [[reader.frame(clip, index) for index in (3, 2, 1, 0)] for clip in range(s.scenes)]
        images = torch.stack([torch.stack([f.image / 255 for f in frames]) for frames in shown])
        truth = torch.stack([frames[0].depth[::4, ::4] for frames in shown])
        poses = torch.stack([torch.stack([f.world_from_camera for f in frames]) for frames in shown])
        motion = torch.linalg.inv(poses[:, 1:]) @ poses[:, :1]
        cameras = torch.stack([frames[0].intrinsics for frames in shown]) / torch.tensor([4, 4, 1])[:, None]
        for (way, compared), use in product(ways.items(), ((0,), (2,), (0, 1, 2))):
            with torch.no_grad():
                maps = compared(images.flatten(0, 1)).unflatten(0, images.shape[:2])
            stride_ratio = 4 * maps.shape[-1] // size[1]
            here, there = (
                maps[:, 0, :, ::stride_ratio, ::stride_ratio],
                torch.ones(s.scenes, len(use), dtype=torch.bool),
            )
            sweep = plane_sweep(here, maps[:, 1:][:, use], motion[:, use], there, cameras, depths)
            kept = (truth < 80) & sweep.confidence
            share = kept.sum() / (truth < 80).sum()
            for window in (1, 3, 5):
                found, true = subpixel_argmin(aggregate_cost(sweep, window), depths)[kept], truth[kept]
                error, ratio = (found - true).abs() / true, torch.maximum(found / true, true / found)
                names = ",".join(f"-{u + 1}" for u in use)
                print(
                    f"{way:8}  {size[1]}x{size[0]}  {names:>8}  {window:>5}  {share:>8.2f}  "
                    f"{error.median():>12.3f}  {(error < 0.1).float().mean():>11.2f}  "
                    f"{(ratio < 2).float().mean():>17.2f}"
                )


if __name__ == "__main__":
    main(tyro.cli(Settings))
