"""KITTI odometry as a data set: sequences with one calibration each, and true poses of eleven of them
(Geiger et al. 2012).

    sequences/09/image_2/000000.png (or .jpg), image_3 (the right eye); grey: image_0, image_1
    sequences/09/calib.txt, poses/09.txt
"""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from mono2many.data.lists import consecutive
from mono2many.data.marker import MARKER
from mono2many.datasets.kitti.files import read_keys
from mono2many.datasets.kitti.reader import KittiSettings, reference_intrinsics
from mono2many.datasets.kitti.splits import ODOMETRY, Eye
from mono2many.geometry.camera import Size, resize_intrinsics
from mono2many.io.images import image_size, read_image, resize_image
from mono2many.io.trajectories import read_kitti_poses
from mono2many.types import Frame, FrameSequence, InputError

CAMERAS: dict[tuple[Eye, bool], int] = {("l", False): 2, ("r", False): 3, ("l", True): 0, ("r", True): 1}
"""Of an eye, in colour or grey."""
SOURCE = "unpack data_odometry_{} from KITTI's odometry page (its folder `dataset` is --data)"

FRAMES = 1
"""Version of the frames: to be raised when the same files give other frames, so that caches are made anew."""


@dataclass(frozen=True)
class OdometrySequence:
    """One camera of a sequence."""

    name: str
    eye: Eye
    camera: int
    """The digit in image_N and of P_N in calib.txt."""
    folder: Path
    """Of its pictures."""
    files: dict[int, str]
    """Frame number to file name."""
    size: Size
    intrinsics: Float[Tensor, "3 3"]
    """In pixels of `size`."""
    first_from_eye: Float[Tensor, "4 4"]
    """From this camera to camera 0, of which the poses are; float64."""
    poses: Float[Tensor, "N 4 4"] | None
    """world_from_camera of camera 0, metres, float64; None where no one knows."""

    def image(self, number: int) -> Tensor:
        """InputError where it is damaged or of another size than the others."""
        path = self.folder / self.files[number]
        image = read_image(path)
        if tuple(image.shape[1:]) != self.size:
            raise InputError(
                f"{path}: is {image.shape[2]}x{image.shape[1]}, the first of its sequence is "
                f"{self.size[1]}x{self.size[0]}; {SOURCE.format('color.zip')} again"
            )
        return image


def open_sequence(
    root: Path, name: str, eye: Eye = "l", grey: bool = False, allow_missing: bool = False
) -> OdometrySequence | None:
    """In colour, where there are colour pictures and not `grey` ones are asked for; None without any.

    InputError where the calibration is missing or wrong, or there are not as many poses as pictures (with
    `allow_missing`: fewer).
    """
    for camera in dict.fromkeys((CAMERAS[eye, grey], CAMERAS[eye, True])):
        folder = root / "sequences" / name / f"image_{camera}"
        listed = sorted(os.listdir(folder), reverse=True) if folder.is_dir() else []  # .jpg comes last
        files = {int(n[:6]): n for n in listed if n[:6].isdigit() and n[6:] in (".jpg", ".png")}
        if files:
            break
    else:
        return None
    keys = read_keys(folder.parent / "calib.txt", SOURCE.format("calib.zip"))
    projection = keys.numbers(f"P{camera}", 12).reshape(3, 4)
    first_from_eye = torch.eye(4, dtype=torch.float64)
    first_from_eye[:3, 3] = -torch.linalg.solve(projection[:, :3], projection[:, 3])
    path = root / "poses" / f"{name}.txt"
    poses = read_kitti_poses(path) if path.exists() else None
    count = max(files) + 1
    if poses is not None and (len(poses) < count or (len(poses) > count and not allow_missing)):
        more = "; do with the pictures that are there: --allow-missing" if len(poses) > count else ""
        raise InputError(
            f"{path}: holds {len(poses)} poses for the {count} pictures of {folder}, wanted as many; "
            f"{SOURCE.format('poses.zip')}{more}"
        )
    size = image_size(folder / files[min(files)])
    k = projection[:, :3].float()
    return OdometrySequence(name, eye, camera, folder, files, size, k, first_from_eye, poses)


class OdometryReader:
    """A types.Reader: each run of consecutive frames that are targets or their neighbours is a clip. Frames
    have their camera's pose where the poses of all sequences are there.

    InputError where targets are missing, unless that is allowed or the tree is the embedded street's."""

    def __init__(self, settings: KittiSettings, grey: bool = False) -> None:
        self.settings = s = settings
        wanted: dict[tuple[str, Eye], set[int]] = {}
        for frame in s.frames:
            wanted.setdefault((frame.drive, frame.eye), set()).add(frame.number)
        some = s.allow_missing or (s.root / MARKER).exists()
        here = {w: open_sequence(s.root, *w, grey, some) for w in wanted}
        lost = {w: n - (x.files.keys() if (x := here[w]) else set()) for w, n in wanted.items()}
        count = sum(map(len, lost.values()))
        if count == len(s.frames) or (count and not some):
            names = sorted({name for (name, _), numbers in lost.items() if numbers})
            raise InputError(
                f"{s.root}: {count} of {len(s.frames)} frames of {s.split} are not there, in sequences "
                f"{' '.join(names)}; {SOURCE.format('color.zip, _gray.zip')}"
                + ("" if count == len(s.frames) else ", or do with what is there: --allow-missing")
            )
        self.sequences = [x for x in here.values() if x is not None]
        self.posed = all(x.poses is not None for x in self.sequences)
        self.runs: list[tuple[int, int, int, tuple[int, ...]]] = []
        """Of each clip: its sequence, its first and last frame, its targets."""
        before, after = min(0, *s.offsets), max(0, *s.offsets)
        for place, x in enumerate(self.sequences):
            targets = wanted[x.name, x.eye] & x.files.keys()
            near = {n + o for n in targets for o in range(before, after + 1)} & x.files.keys()
            for first, last in consecutive(sorted(near)):
                inside = tuple(n - first for n in range(first, last + 1) if n in targets)
                self.runs.append((place, first, last, inside))

    @cached_property
    def clips(self) -> Sequence[FrameSequence]:
        return [
            FrameSequence(f"{x.name} {x.eye} {a}-{b}", b - a + 1, camera=place, size=x.size, targets=targets)
            for place, a, b, targets in self.runs
            for x in (self.sequences[place],)
        ]

    def frame(self, clip: int, index: int) -> Frame:
        s, (place, first, _, _) = self.settings, self.runs[clip]
        x, size = self.sequences[place], (s.height, s.width)
        pose = x.poses[first + index] @ x.first_from_eye if self.posed and x.poses is not None else None
        return Frame(
            resize_image(x.image(first + index), size, filter=s.resize),
            intrinsics_of(x, size, s.intrinsics == "reference"),
            world_from_camera=None if pose is None else pose.float(),
        )

    def fingerprint(self) -> str:
        s = self.settings
        text = hashlib.sha256(f"{s.height} {s.width} {s.intrinsics} {s.resize}".encode())
        for place, first, last, _ in self.runs:
            x = self.sequences[place]
            stamps = [(x.folder / x.files[n]).stat() for n in range(first, last + 1)]
            text.update(f"{x.folder.resolve()} {[(t.st_size, t.st_mtime_ns) for t in stamps]}".encode())
        for x in self.sequences:
            poses = x.poses.tolist() if self.posed and x.poses is not None else None
            text.update(f"{x.intrinsics.tolist()} {x.first_from_eye.tolist()} {poses}".encode())
        return f"{ODOMETRY} {FRAMES} {text.hexdigest()}"


def intrinsics_of(sequence: OdometrySequence, size: Size, reference: bool) -> Float[Tensor, "3 3"]:
    """K at a picture size: the sequence's own, or the papers' average."""
    if reference:
        return reference_intrinsics(size)
    return resize_intrinsics(sequence.intrinsics, sequence.size, size)
