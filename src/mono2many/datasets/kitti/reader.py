"""KITTI raw as a data set: the frames of a split and their neighbours (Geiger et al. 2013)."""

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal, cast

from jaxtyping import Float, UInt8
from torch import Tensor

from mono2many.data.lists import consecutive
from mono2many.data.marker import MARKER
from mono2many.datasets.kitti.files import (
    CAMERAS,
    OTHER_EYE,
    Calibration,
    drive_folder,
    image_path,
    read_calibration,
)
from mono2many.datasets.kitti.splits import OWN_LISTS, Eye, KittiFrame
from mono2many.geometry.camera import Size, intrinsics_matrix, resize_intrinsics
from mono2many.io.images import read_image, resize_image
from mono2many.types import Frame, FrameSequence, InputError

REFERENCE = (0.58, 1.92, 0.5, 0.5)
"""The papers' camera for every drive: fx, cx as shares of the width, fy, cy of the height."""

FRAMES = 1
"""Version of the frames: to be raised when the same files give other frames, so that caches are made anew."""


@dataclass(frozen=True)
class KittiSettings:
    """Which frames, at what size."""

    root: Path
    frames: tuple[KittiFrame, ...]
    """The targets."""
    height: int
    width: int
    offsets: tuple[int, ...] = (-1, 1)
    """Of the neighbours that shall be there too, where they were recorded; 0: the other eye, which must."""
    intrinsics: Literal["calibrated", "reference"] = "calibrated"
    resize: Literal["bilinear", "lanczos"] = "bilinear"
    allow_missing: bool = False
    split: str = "kitti_eigen_zhou"
    """The list's name, for messages."""


class KittiReader:
    """A types.Reader of KITTI raw: each run of consecutive frames that are targets or their neighbours is a
    clip (in stereo two, of the left eye and of the right). Frames have their drive's own intrinsics.

    InputError where targets are missing, unless that is allowed or the tree is the embedded street's."""

    def __init__(self, settings: KittiSettings) -> None:
        self.settings = settings
        root = settings.root
        if not root.is_dir():
            raise InputError(
                f"{root}: no such folder; `mono2many prepare kitti` fetches KITTI raw (--data says where to)"
            )
        wanted: dict[tuple[str, str], set[int]] = {}
        for frame in settings.frames:
            wanted.setdefault((frame.drive, frame.eye), set()).add(frame.number)
        here = {camera: images_of(root, *camera) for camera in wanted}
        missing = {c: lost for c, numbers in wanted.items() if (lost := numbers - here[c].keys())}
        if missing and not (settings.allow_missing or (root / MARKER).exists()):
            raise InputError(_missing_text(settings, wanted, missing))
        self.runs: list[tuple[KittiFrame, list[str], tuple[int, ...]]] = []
        """Of each clip: its first frame, its files, its targets."""
        before, after = min(settings.offsets), max(settings.offsets)
        self.stereo = 0 in settings.offsets
        rigs = [[camera] for camera in wanted]
        if self.stereo:
            rigs = [[(drive, "l"), (drive, "r")] for drive in dict.fromkeys(drive for drive, _ in wanted)]
            here |= {camera: images_of(root, *camera) for rig in rigs for camera in rig}
            if not settings.allow_missing:
                _refuse_one_eye(settings, wanted, here)
        for rig in rigs:
            there = set.intersection(*(set(here[camera]) for camera in rig))
            targets = [wanted.get(camera, set()) & there for camera in rig]
            near = {n + o for n in set().union(*targets) for o in range(min(0, before), max(0, after) + 1)}
            for first, last in consecutive(sorted(near & there)):
                for (drive, eye), own in zip(rig, targets, strict=True):
                    files = [here[drive, eye][n] for n in range(first, last + 1)]
                    inside = tuple(n - first for n in range(first, last + 1) if n in own)
                    self.runs.append((KittiFrame(drive, first, cast(Eye, eye)), files, inside))
        if not self.runs:
            raise InputError(
                f"{root}: holds none of the {len(settings.frames)} frames of {settings.split}; "
                f"`mono2many prepare kitti{_asked(settings)} --data {root}` fetches them"
            )
        self._calibrations = {d: read_calibration(root, d) for d in sorted({f.date for f, *_ in self.runs})}
        self._right_of_left = {
            d: right_of_left(root / d, c) for d, c in self._calibrations.items() if self.stereo
        }

    @cached_property
    def clips(self) -> Sequence[FrameSequence]:
        return [
            FrameSequence(
                f"{first.drive} {first.eye} {first.number}-{first.number + len(names) - 1}",
                len(names),
                camera=2 * list(self._calibrations).index(first.date) + (first.eye == "r"),
                size=self._calibrations[first.date].sizes[first.eye],
                targets=targets,
                stereo_partner=(place ^ 1, self._right_of_left[first.date] * (1 if first.eye == "r" else -1))
                if self.stereo
                else None,
            )
            for place, (first, names, targets) in enumerate(self.runs)
        ]

    def frame(self, clip: int, index: int) -> Frame:
        s, (first, names, _) = self.settings, self.runs[clip]
        path = drive_folder(s.root, first) / CAMERAS[first.eye] / "data" / names[index]
        calibration = self._calibrations[first.date]
        image, size = read_image(path), calibration.sizes[first.eye]
        if tuple(image.shape[1:]) != size:
            raise InputError(wrong_size(path, image, size))
        return Frame(
            resize_image(image, (s.height, s.width), filter=s.resize),
            self.intrinsics(first, (s.height, s.width)),
        )

    def intrinsics(self, frame: KittiFrame, size: Size) -> Float[Tensor, "3 3"]:
        """K at a picture size, as the settings say."""
        if self.settings.intrinsics == "reference":
            return reference_intrinsics(size)
        calibration = self._calibrations[frame.date]
        return resize_intrinsics(calibration.intrinsics(frame.eye), calibration.sizes[frame.eye], size)

    def fingerprint(self) -> str:
        s = self.settings
        text = hashlib.sha256(f"{s.height} {s.width} {s.intrinsics} {s.resize}".encode())
        for first, names, _ in self.runs:
            folder = drive_folder(s.root, first) / CAMERAS[first.eye] / "data"
            stamps = [(name, (folder / name).stat()) for name in names]
            text.update(f"{folder.resolve()} {[(n, t.st_size, t.st_mtime_ns) for n, t in stamps]}".encode())
        for date, calibration in self._calibrations.items():
            text.update(f"{date} {calibration}".encode())
        return f"kitti {FRAMES} {text.hexdigest()}"


def right_of_left(folder: Path, calibration: Calibration) -> float:
    """Metres from the left eye to the right one; their y and z, millimetres in KITTI, are left out as in the
    papers. InputError where it is on the left."""
    distance = float((calibration.added("l") - calibration.added("r"))[0])
    if not distance > 1e-3:
        raise InputError(
            f"{folder / 'calib_cam_to_cam.txt'}: P_rect_03 is {distance:.3g} m to the right of P_rect_02, "
            "wanted about 0.54; unpack the date's _calib.zip again"
        )
    return distance


def reference_intrinsics(size: Size) -> Float[Tensor, "3 3"]:
    """The papers' K of every drive, in pixels of a picture of (height, width)."""
    (height, width), (fx, fy, cx, cy) = size, REFERENCE
    return intrinsics_matrix(fx * width, fy * height, cx * width, cy * height)


def wrong_size(path: Path, image: UInt8[Tensor, "3 H W"], size: Size) -> str:
    """What to say of a picture that is not of its calibration's height and width."""
    return (
        f"{path}: is {image.shape[2]}x{image.shape[1]}, its calibration says {size[1]}x{size[0]}; unpack its "
        "drive's archive again"
    )


def images_of(root: Path, drive: str, eye: str) -> dict[int, str]:
    """The pictures of a camera that are on the disk: number to file name, JPEG rather than PNG."""
    folder = root / drive[:10] / drive / CAMERAS[eye] / "data"
    names = sorted(os.listdir(folder), reverse=True) if folder.is_dir() else []  # .jpg comes last
    return {int(n[:10]): n for n in names if n[:10].isdigit() and n[10:] in (".jpg", ".png")}


def _asked(settings: KittiSettings) -> str:
    return f" --splits {settings.split}" if settings.split != OWN_LISTS else " --split-files LISTS"


def _refuse_one_eye(
    settings: KittiSettings,
    wanted: Mapping[tuple[str, str], set[int]],
    here: Mapping[tuple[str, str], Mapping[int, str]],
) -> None:
    lost = [
        KittiFrame(drive, number, cast(Eye, OTHER_EYE[eye]))
        for (drive, eye), numbers in wanted.items()
        for number in sorted((numbers & here[drive, eye].keys()) - here[drive, OTHER_EYE[eye]].keys())
    ]
    if lost:
        raise InputError(
            f"{image_path(settings.root, lost[0])}: no such picture: {len(lost)} of {len(settings.frames)} "
            f"frames of {settings.split} lack their other eye, which --stereo wants; `mono2many prepare kitti"
            f"{_asked(settings)} --data {settings.root}` fetches it, or leave them out: --allow-missing"
        )


def _missing_text(
    settings: KittiSettings,
    wanted: Mapping[tuple[str, str], set[int]],
    missing: Mapping[tuple[str, str], set[int]],
) -> str:
    lost = sorted({drive for drive, _ in missing})
    count, of = sum(map(len, missing.values())), sum(map(len, wanted.values()))
    return (
        f"{settings.root}: {len(lost)} of {len({d for d, _ in wanted})} drives of {settings.split} are not "
        f"(all) there ({count} of {of} frames): {', '.join(lost[:5])}{' ...' if len(lost) > 5 else ''}; "
        f"`mono2many prepare kitti{_asked(settings)} --data {settings.root}` fetches them, or do with what "
        "is there: --allow-missing"
    )
