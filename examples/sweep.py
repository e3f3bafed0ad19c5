"""What the plane sweep alone finds on the static street, with the true motion: how far off is the depth of
least cost, by picture size, frames matched, and window over which costs are averaged?

    python examples/sweep.py                       blurred colours as features
    python examples/sweep.py --model FOLDER        a trained ManyDepth's own
"""

from dataclasses import dataclass
from pathlib import Path

import torch
import tyro
from torch import Tensor
from torch.nn import functional as F

from mono2many.data.synthetic import StreetSettings, SyntheticReader
from mono2many.geometry.sweep import depth_hypotheses, plane_sweep
from mono2many.models.checkpoint import load_model
from mono2many.models.many import ManyDepth, chained_motion


@dataclass(frozen=True)
class Settings:
    model: Path | None = None
    scenes: int = 8
    hypotheses: int = 96
    """Even steps of 1 / depth, 3 to 80 m."""


@torch.no_grad()
def features(images: Tensor, model: ManyDepth | None) -> Tensor:
    if model is not None:
        return model.depth.features(images)[1]
    return F.avg_pool2d(images, 3, 1, 1)[..., ::4, ::4]


@torch.no_grad()
def say_of_model(s: Settings, model: ManyDepth) -> None:
    """Its teacher's depth and its steps on moving streets at 320x96, each image scaled by its median."""
    reader = SyntheticReader(StreetSettings(3 * s.scenes, 4, 96, 320), "test")
    errors, told, true = [], [], []
    for clip in range(3 * s.scenes):
        before, now = (reader.frame(clip, index) for index in (1, 2))
        images = [(frame.image / 255).unsqueeze(0) for frame in (before, now)]
        kept = (now.depth < 80) & ~now.moving
        depth = 1 / model.teacher(images[1])[0]
        ratio = now.depth[kept].median() / depth[kept].median()
        errors.append(((depth * ratio - now.depth).abs() / now.depth)[kept])
        motion = chained_motion(model.pose, images[1], images[0][:, None], (-1,), model.units(images[1]))
        told.append(float(motion[0, 0, :3, 3].norm() * ratio))
        true.append(float((now.world_from_camera - before.world_from_camera)[:3, 3].norm()))
    error, corr = torch.cat(errors), torch.corrcoef(torch.tensor([told, true]))[0, 1]
    print(f"teacher: median error {error.median():.3f}, within 10 % {(error < 0.1).float().mean():.2f}")
    for name, steps in (("predicted", told), ("true", true)):
        print(f"{name} steps, metres: {min(steps):.2f} to {max(steps):.2f}")
    print(f"their correlation: {corr:.2f}")


def main(s: Settings) -> None:
    model = None if s.model is None else load_model(s.model)[0]
    assert model is None or isinstance(model, ManyDepth), "--model wants a ManyDepth"
    depths = depth_hypotheses(torch.tensor(3.0), torch.tensor(80.0), s.hypotheses, "inverse")
    print("  size    frames  window  compared  median error  within 10 %  within a factor 2")
    if model is not None:
        say_of_model(s, model)
    for size in ((96, 320), (192, 640)):
        reader = SyntheticReader(StreetSettings(s.scenes, 4, *size, moving=False), "test")
        shown = [[reader.frame(clip, index) for index in (3, 2, 1, 0)] for clip in range(s.scenes)]
        images = torch.stack([torch.stack([f.image / 255 for f in frames]) for frames in shown])
        maps = features(images.flatten(0, 1), model).unflatten(0, images.shape[:2])
        truth = torch.stack([frames[0].depth[::4, ::4] for frames in shown])
        poses = torch.stack([torch.stack([f.world_from_camera for f in frames]) for frames in shown])
        motion = torch.linalg.inv(poses[:, 1:]) @ poses[:, :1]
        cameras = torch.stack([frames[0].intrinsics for frames in shown]) / torch.tensor([4, 4, 1])[:, None]
        for use in ((0,), (2,), (0, 1, 2)):
            there = torch.ones(s.scenes, len(use), dtype=torch.bool)
            sweep = plane_sweep(maps[:, 0], maps[:, 1:][:, use], motion[:, use], there, cameras, depths)
            kept = (truth < 80) & sweep.confidence
            share = kept.sum() / (truth < 80).sum()
            for window in (1, 5):
                volume = F.avg_pool2d(sweep.volume, window, 1, window // 2)
                found, true = depths[volume.argmin(1)][kept], truth[kept]
                error, ratio = (found - true).abs() / true, torch.maximum(found / true, true / found)
                names = ",".join(f"-{u + 1}" for u in use)
                print(
                    f"{size[1]}x{size[0]}  {names:>8}  {window:>5}  {share:>8.2f}  "
                    f"{error.median():>12.3f}  {(error < 0.1).float().mean():>11.2f}  "
                    f"{(ratio < 2).float().mean():>17.2f}"
                )


if __name__ == "__main__":
    main(tyro.cli(Settings))
