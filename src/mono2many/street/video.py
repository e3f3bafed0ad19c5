"""The embedded street as a video with its camera and speed, and as recordings with depth maps."""

import csv
import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from mono2many.files import write_text, writing
from mono2many.io.depth_files import write_depth_npy
from mono2many.io.images import write_image
from mono2many.io.trajectories import write_poses
from mono2many.io.videos import VideoWriter
from mono2many.street.reader import StreetSettings, SyntheticReader
from mono2many.street.tree import StreetTree
from mono2many.types import Frame, InputError

FRAMES_PER_SECOND = 12.0


def write_street_video(path: str | Path, settings: StreetSettings, scene: int = 0) -> tuple[Path, Path]:
    """Write a test scene as a video, and beside it the camera file of `mono2many train --camera`, with
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
    reader = SyntheticReader(replace(settings, scenes=scene + 1), "test")
    places = []
    with VideoWriter(path, FRAMES_PER_SECOND) as writer:
        for index in range(settings.frames):
            frame = reader.frame(scene, index)
            writer.write(frame.image)
            assert frame.world_from_camera is not None
            places.append(frame.world_from_camera[:3, 3])
    camera = camera_file(frame)
    centres = torch.stack(places).double()
    camera["camera_height"] = round(-float(centres[:, 1].mean()), 4)  # y points down, the road is at 0
    camera_path = path.with_suffix(".json")
    write_text(camera_path, json.dumps(camera, indent=2) + "\n")
    with writing(speed_path) as temporary, temporary.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("frame", "time", "speed"))
        for index, speed in enumerate(path_speed(centres)):
            rows.writerow((index, f"{index / FRAMES_PER_SECOND:.6f}", f"{speed:.6f}"))
    return path, camera_path


def camera_file(frame: Frame) -> dict[str, float | int]:
    """Size and intrinsics, as a camera file has them."""
    height, width = frame.image.shape[1:]
    (fx, _, cx), (_, fy, cy), _ = frame.intrinsics.tolist()
    return {"width": width, "height": height, "fx": fx, "fy": fy, "cx": cx, "cy": cy}


def path_speed(centres: Float[Tensor, "N 3"]) -> list[float]:
    """Metres per second at each frame: the mean of the steps (straight lines) before and after it."""
    steps = (centres[1:] - centres[:-1]).norm(dim=1)
    return ((torch.cat([steps[:1], steps]) + torch.cat([steps, steps[-1:]])) / 2 * FRAMES_PER_SECOND).tolist()


def write_recordings(tree: StreetTree) -> Path:
    """A folder for each street: see StreetTree.write. Depth in metres (.npy)."""
    reader = SyntheticReader(tree.settings(tree.drives, tree.frames), "train")
    what = "embedded streets of mono2many as images with depth maps"
    size = {"drives": tree.drives, "frames": tree.frames}
    return tree.write(what, size, lambda part: (partial(write_drive, part, reader), range(tree.drives)))


def write_drive(root: Path, reader: SyntheticReader, drive: int) -> None:
    folder, poses = root / f"street_{drive:02d}", []
    for index in range(reader.settings.frames):
        frame = reader.frame(drive, index)
        assert frame.depth is not None
        assert frame.world_from_camera is not None
        write_image(folder / "images" / f"{index:04d}.jpg", frame.image)
        write_depth_npy(folder / "depth" / f"{index:04d}.npy", frame.depth)
        poses.append(frame.world_from_camera)
    write_text(folder / "camera.json", json.dumps(camera_file(frame), indent=2) + "\n")
    times = [index / FRAMES_PER_SECOND for index in range(len(poses))]
    write_poses(folder / "trajectory.txt", torch.stack(poses).double(), "tum", times)
