"""KITTI odometry as a data set: sequences with one calibration each, and true poses of eleven of them
(Geiger et al. 2012).

    sequences/09/image_2/000000.png (or .jpg), image_3 (the right eye); grey: image_0, image_1
    sequences/09/calib.txt, poses/09.txt
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from mono2many.data.image_files import ImageCamera, ImageFile, ImageReader, refuse_missing, runs_around
from mono2many.data.marker import marked_synthetic
from mono2many.datasets.base import ReadOptions, Split
from mono2many.datasets.kitti.files import numbered_images, read_keys
from mono2many.datasets.kitti.reader import reference_intrinsics
from mono2many.datasets.kitti.splits import ODOMETRY, Eye, KittiFrame, as_raw, seen_frames, split_frames
from mono2many.datasets.kitti_odometry import OdometryData, OdometryScoring
from mono2many.evaluate.frames import TrajectorySequence, TrajectorySet
from mono2many.geometry.camera import Size, resize_intrinsics
from mono2many.io.images import image_size
from mono2many.io.trajectories import read_kitti_poses
from mono2many.types import FrameSequence, InputError

CAMERAS: dict[tuple[Eye, bool], int] = {("l", False): 2, ("r", False): 3, ("l", True): 0, ("r", True): 1}
"""Of an eye, in colour or grey."""
SOURCE = "unpack data_odometry_{} from KITTI's odometry page (its folder `dataset` is --data)"
TESTS = ("09", "10")
"""The papers' sequences."""


@dataclass(frozen=True)
class OdometrySequence:
    """One camera of a sequence."""

    name: str
    eye: Eye
    camera: int
    """The digit in image_N and of P_N in calib.txt."""
    files: dict[int, Path]
    """By frame number."""
    size: Size
    intrinsics: Float[Tensor, "3 3"]
    """In pixels of `size`."""
    first_from_eye: Float[Tensor, "4 4"]
    """From this camera to camera 0, of which the poses are; float64."""
    poses: Float[Tensor, "N 4 4"] | None
    """world_from_camera of camera 0, metres, float64; None where no one knows."""

    def images(self, posed: bool = False, reference: bool = False) -> dict[int, ImageFile]:
        """By frame number; posed: with this camera's poses, reference: with the papers' average K."""
        own = partial(resize_intrinsics, self.intrinsics, self.size)
        remedy = SOURCE.format("color.zip")
        camera = ImageCamera(self.size, reference_intrinsics if reference else own, f"its sequence; {remedy}")
        if not posed or self.poses is None:
            return {number: ImageFile(path, camera) for number, path in self.files.items()}
        poses = [pose @ self.first_from_eye for pose in self.poses]
        return {number: ImageFile(path, camera, poses[number]) for number, path in self.files.items()}


def open_sequence(
    root: Path, name: str, eye: Eye = "l", grey: bool = False, allow_missing: bool = False
) -> OdometrySequence | None:
    """In colour, where there are colour images and not `grey` ones are asked for; None without any.

    InputError where the calibration is missing or wrong, or there are not as many poses as images (with
    `allow_missing`: fewer).
    """
    folders = {n: root / "sequences" / name / f"image_{n}" for n in (CAMERAS[eye, grey], CAMERAS[eye, True])}
    images = {camera: numbered_images(folder, 6) for camera, folder in folders.items()}
    camera = next((camera for camera, files in images.items() if files), None)
    if camera is None:
        return None
    files, count = images[camera], max(images[camera]) + 1
    keys, size = (
        read_keys(folders[camera].parent / "calib.txt", SOURCE.format("calib.zip")),
        image_size(files[min(files)]),
    )
    projection = keys.projection(f"P{camera}", size)
    first_from_eye = torch.eye(4, dtype=torch.float64)
    first_from_eye[:3, 3] = -torch.linalg.solve(projection[:, :3], projection[:, 3])
    path = root / "poses" / f"{name}.txt"
    poses = read_kitti_poses(path) if path.exists() else None
    if poses is not None and (len(poses) < count or (len(poses) > count and not allow_missing)):
        more = ", or do with the images that are there: --allow-missing" if len(poses) > count else ""
        raise InputError(
            f"{path}: holds {len(poses)} poses for the {count} images of {folders[camera]}, wanted as many; "
            f"{SOURCE.format('poses.zip')}{more}"
        )
    return OdometrySequence(name, eye, camera, files, size, projection[:, :3].float(), first_from_eye, poses)


def open_odometry(s: OdometryData, options: ReadOptions, split: Split) -> ImageReader:
    """Each run of consecutive frames that are targets or their neighbours is a clip. Frames have their
    camera's pose where the poses of all sequences are there.

    InputError where targets are missing, unless that is allowed or the tree is the procedural street's."""
    frames = split_frames(ODOMETRY, split)
    wanted: dict[tuple[str, Eye], set[int]] = {}
    for frame in frames:
        wanted.setdefault((frame.drive, frame.eye), set()).add(frame.number)
    some = s.allow_missing or marked_synthetic(s.root)
    opened = {which: open_sequence(s.root, *which, s.grey, some) for which in wanted}
    here = {which: x for which, x in opened.items() if x is not None}
    lost = [f for f in frames if (f.drive, f.eye) not in here or f.number not in here[f.drive, f.eye].files]
    refuse_missing(f"{s.root}: {ODOMETRY}", lost, len(frames), SOURCE.format("color.zip, _gray.zip"), some)
    posed = all(x.poses is not None for x in here.values())
    sequences = []
    for camera, (which, x) in enumerate(here.items()):
        images = x.images(posed, s.intrinsics == "reference")
        for run, targets in runs_around(wanted[which] & images.keys(), images.keys(), options.offsets):
            name = f"{x.name} {x.eye} {run[0]}-{run[-1]}"
            about = FrameSequence(name, len(run), camera=camera, size=x.size, targets=targets)
            sequences.append((about, [images[number] for number in run]))
    return ImageReader(ODOMETRY, sequences, options.size, options.resize)


def trajectory_set(s: OdometryScoring) -> TrajectorySet:
    """Sequences by name, by default TESTS, or, where neither is there, those with poses. Raises InputError
    for files that are missing."""
    sequences = [_sequence(s, name) for name in s.sequences or _default(s.root)]
    return TrajectorySet(ODOMETRY, sequences, marked_synthetic(s.root), seen_frames)


def _default(root: Path) -> list[str]:
    there = [path.name for path in sorted((root / "sequences").glob("*")) if path.is_dir()]
    names = [n for n in there if n in TESTS] or [n for n in there if (root / "poses" / f"{n}.txt").exists()]
    if not names:
        raise InputError(
            f"{root}: no sequence with poses to score against (poses/NN.txt beside sequences/NN); "
            f"{SOURCE.format('poses.zip, _color.zip')}"
        )
    return names


def _sequence(s: OdometryScoring, name: str) -> TrajectorySequence:
    """All of its images must be there, from the first on, with their poses."""
    x = open_sequence(s.root, name, "l", s.grey, s.allow_missing)
    files = {} if x is None else x.files
    listed = max(files, default=-1) + 1
    if x is None or len(files) < max(2, listed):
        raise InputError(
            f"{s.root / 'sequences' / name}: {len(files)} images of {listed}, wanted two or more, no gap; "
            f"{SOURCE.format('color.zip')}, or name others: --sequences"
        )
    if x.poses is None:
        raise InputError(
            f"{s.root / 'poses' / name}.txt: no such file, no poses to score against (KITTI has those of 00 "
            f"to 10); {SOURCE.format('poses.zip')}, or name others: --sequences"
        )
    images = x.images()
    keys = [as_raw(KittiFrame(name, number, x.eye)) for number in range(len(files))]
    return TrajectorySequence(
        name, lambda number: images[number].image(), x.intrinsics, x.poses[: len(files)], keys, x.camera < 2
    )
