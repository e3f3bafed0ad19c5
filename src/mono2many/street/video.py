"""The embedded street as a video with its camera and speed, where there is no footage at hand."""

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from mono2many.io.videos import VideoWriter
from mono2many.street.reader import StreetSettings, SyntheticReader
from mono2many.types import InputError, Split

FRAMES_PER_SECOND = 12.0


def write_street_video(
    path: str | Path,
    settings: StreetSettings,
    split: Split = "test",
    scene: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Path, Path]:
    """Write one scene as a video, and beside it the camera file that `mono2many train --camera` reads, with
    the camera's mean height above the road, and NAME_speed.csv for `mono2many scale --scale-from speed`.

    Raises InputError if the file cannot be a video.
    """
    path = Path(path)
    if path.suffix.lower() != ".mp4":
        raise InputError(f"{path}: the video is written as .mp4; try {path.with_suffix('.mp4')}")
    speed_path = path.with_name(f"{path.stem}_speed.csv")
    for taken in (path, path.with_suffix(".json"), speed_path):
        if taken.exists():
            raise InputError(f"{taken} exists already; remove it or name another video")
    reader = SyntheticReader(replace(settings, scenes=scene + 1), split)
    path.parent.mkdir(parents=True, exist_ok=True)
    places = []
    with VideoWriter(path, FRAMES_PER_SECOND) as writer:
        for index in range(settings.frames):
            frame = reader.frame(scene, index)
            writer.write(frame.image)
            assert frame.world_from_camera is not None
            places.append(frame.world_from_camera[:3, 3])
            if progress is not None:
                progress(index + 1, settings.frames)
    k = frame.intrinsics.tolist()
    camera: dict[str, float] = {"width": settings.width, "height": settings.height}
    camera |= {"fx": k[0][0], "fy": k[1][1], "cx": k[0][2], "cy": k[1][2]}
    centres = torch.stack(places).double()
    camera["camera_height"] = round(-float(centres[:, 1].mean()), 4)  # y points down, the road is at 0
    camera_path = path.with_suffix(".json")
    camera_path.write_text(json.dumps(camera, indent=2) + "\n")
    with speed_path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("frame", "time", "speed"))
        for index, speed in enumerate(path_speed(centres)):
            rows.writerow((index, f"{index / FRAMES_PER_SECOND:.6f}", f"{speed:.6f}"))
    return path, camera_path


def path_speed(centres: Float[Tensor, "N 3"]) -> list[float]:
    """Metres per second at each frame: the mean of the steps (straight lines) before and after it."""
    steps = (centres[1:] - centres[:-1]).norm(dim=1)
    return ((torch.cat([steps[:1], steps]) + torch.cat([steps, steps[-1:]])) / 2 * FRAMES_PER_SECOND).tolist()
