"""The embedded street as recordings: images, depth maps, camera file and trajectory in folders."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from mono2many.io.depth_files import write_depth_npy
from mono2many.io.images import write_image
from mono2many.io.trajectories import write_poses
from mono2many.street.reader import StreetSettings, SyntheticReader
from mono2many.street.tree import Jobs, made, write_tree

FRAMES_PER_SECOND = 12.0


def write_recordings(
    root: Path,
    drives: int,
    frames: int,
    height: int,
    width: int,
    seed: int,
    progress: Callable[[int, int], None] | None = None,
    workers: int = 2,
) -> Path:
    """Write `drives` streets below `root`, a folder each: see write_tree. Depth in metres (.npy)."""
    reader = SyntheticReader(StreetSettings(drives, frames, height, width, seed), "train")
    about: dict[str, object] = {
        "what": "embedded streets of mono2many as images with depth maps",
        "drives": drives,
        "frames": frames,
        "size": [height, width],
        "seed": seed,
    }
    return write_tree(root, about, lambda part: Jobs(_Writer(part, reader), range(drives)), progress, workers)


@dataclass(frozen=True)
class _Writer:
    root: Path
    reader: SyntheticReader

    def __call__(self, drive: int) -> None:
        folder = self.root / f"street_{drive:02d}"
        poses: list[Tensor] = []
        for index in range(self.reader.clips[drive].frames):
            frame = self.reader.frame(drive, index)
            assert frame.depth is not None
            assert frame.world_from_camera is not None
            write_image(made(folder / "images" / f"{index:04d}.jpg"), frame.image)
            write_depth_npy(made(folder / "depth" / f"{index:04d}.npy"), frame.depth)
            poses.append(frame.world_from_camera)
        height, width = frame.image.shape[1:]
        (fx, _, cx), (_, fy, cy), _ = frame.intrinsics.tolist()
        camera = {"width": width, "height": height, "fx": fx, "fy": fy, "cx": cx, "cy": cy}
        (folder / "camera.json").write_text(json.dumps(camera, indent=2) + "\n")
        times = [index / FRAMES_PER_SECOND for index in range(len(poses))]
        write_poses(folder / "trajectory.txt", torch.stack(poses).double(), "tum", times)
