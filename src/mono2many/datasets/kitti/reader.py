"""KITTI raw as a data set: the frames of a split and their neighbours (Geiger et al. 2013)."""

from collections.abc import Sequence
from functools import lru_cache, partial
from pathlib import Path

from jaxtyping import Float
from torch import Tensor

from mono2many.data.image_files import ImageCamera, ImageFile, ImageReader, refuse_missing, runs_around
from mono2many.data.marker import marked_synthetic
from mono2many.datasets.base import ReadOptions, Split
from mono2many.datasets.kitti import KittiData, OwnListsTraining
from mono2many.datasets.kitti.files import (
    CALIBRATION_AGAIN,
    CAMERAS,
    DRIVE_AGAIN,
    Calibration,
    image_folder,
    numbered_images,
    read_calibration,
)
from mono2many.datasets.kitti.splits import (
    OWN_LISTS,
    TEST_SPLITS,
    Eye,
    KittiFrame,
    read_split_file,
    split_frames,
)
from mono2many.geometry.camera import Size, intrinsics_matrix, resize_intrinsics
from mono2many.terminal import command
from mono2many.types import FrameSequence, InputError

REFERENCE = (0.58, 1.92, 0.5, 0.5)
"""The papers' camera for every drive: fx, cx as shares of the width, fy, cy of the height."""


def open_kitti(name: str, s: KittiData, options: ReadOptions, split: Split) -> ImageReader:
    """The frames of a list with their neighbours. InputError: as of kitti_sequences, or for wrong lists."""
    if name == OWN_LISTS:
        lists = s.split_files if isinstance(s, OwnListsTraining) else ()
        if len(lists) != 2:
            raise InputError("--datatype kitti needs --split-files: TRAIN.txt VAL.txt, two lists")
        frames = read_split_file(lists[0 if split == "train" else -1])
    elif name in TEST_SPLITS:
        frames = split_frames(name, "test")
    else:
        frames = split_frames(name, "val" if split == "test" else split)
    sequences = kitti_sequences(name, frames, s, options.offsets)
    return ImageReader("kitti", sequences, options.size, options.resize)


def kitti_sequences(
    name: str, frames: Sequence[KittiFrame], s: KittiData, offsets: Sequence[int]
) -> list[tuple[FrameSequence, list[ImageFile]]]:
    """Each run of consecutive frames that are targets or their neighbours is a clip; in stereo (offset 0) it
    is two, one of each camera.

    InputError where targets, or in stereo their partners, are missing, unless that is allowed or the tree is
    the procedural street's."""
    root, stereo = s.root, 0 in offsets
    if not root.is_dir():
        raise InputError(
            f"{root}: no such folder; `mono2many prepare kitti` fetches KITTI raw (--data says where to)"
        )
    wanted: dict[tuple[str, Eye], set[int]] = {}
    for frame in frames:
        wanted.setdefault((frame.drive, frame.eye), set()).add(frame.number)
    rigs: list[list[tuple[str, Eye]]] = [[camera] for camera in wanted]
    if stereo:
        rigs = [[(drive, "l"), (drive, "r")] for drive in dict.fromkeys(drive for drive, _ in wanted)]
    images = {which: images_of(root, *which) for rig in rigs for which in rig}
    there = {which: set.intersection(*(set(images[w]) for w in rig)) for rig in rigs for which in rig}
    lost = [f for f in frames if f.number not in there[f.drive, f.eye]]
    own = ("--split-files", *s.split_files) if isinstance(s, OwnListsTraining) else ("--splits", name)
    remedy = f"fetch them: {command('prepare', 'kitti', *own, '--data', root)}"
    allowed = s.allow_missing or marked_synthetic(root)
    refuse_missing(f"{root}: {name}", lost, len(frames), remedy, allowed)

    eyes = tuple(eye for eye in CAMERAS if any(which[1] == eye for which in there))
    calibration = lru_cache(lambda date: read_calibration(root, date, eyes))
    dates = sorted({which[0][:10] for which, numbers in wanted.items() if numbers & there[which]})

    @lru_cache
    def camera(date: str, eye: Eye) -> ImageCamera:
        return image_camera(calibration(date), eye, s.intrinsics == "reference")

    sequences: list[tuple[FrameSequence, list[ImageFile]]] = []
    for rig in rigs:
        shared, targets = there[rig[0]], set[int]().union(*(wanted.get(which, set()) for which in rig))
        for run, _ in runs_around(targets & shared, shared, offsets):
            for drive, eye in rig:
                date, listed = drive[:10], wanted.get((drive, eye), set())
                partner = None
                if stereo:
                    side = 1 if eye == "l" else -1
                    distance = right_of_left(root / date, calibration(date))
                    partner = (len(sequences) + side, -side * distance)
                about = FrameSequence(
                    f"{drive} {eye} {run[0]}-{run[-1]}",
                    len(run),
                    camera=2 * dates.index(date) + (eye == "r"),
                    size=camera(date, eye).size,
                    targets=tuple(i for i, number in enumerate(run) if number in listed),
                    stereo_partner=partner,
                )
                files = [ImageFile(images[drive, eye][n], camera(date, eye)) for n in run]
                sequences.append((about, files))
    return sequences


def images_of(root: Path, drive: str, eye: Eye) -> dict[int, Path]:
    """The images of a camera that are on the disk, by number."""
    return numbered_images(image_folder(root, KittiFrame(drive, 0, eye)), 10)


def image_camera(calibration: Calibration, eye: str, reference: bool) -> ImageCamera:
    """Of an eye's images; reference: with the papers' K of every drive."""
    size, k = calibration.sizes[eye], calibration.intrinsics(eye)
    intrinsics_at = reference_intrinsics if reference else partial(resize_intrinsics, k, size)
    return ImageCamera(size, intrinsics_at, f"its calibration; {DRIVE_AGAIN}")


def reference_intrinsics(size: Size) -> Float[Tensor, "3 3"]:
    """The papers' K of every drive, in pixels of an image of (height, width)."""
    (height, width), (fx, fy, cx, cy) = size, REFERENCE
    return intrinsics_matrix(fx * width, fy * height, cx * width, cy * height)


def right_of_left(folder: Path, calibration: Calibration) -> float:
    """Metres from the left eye to the right one; their y and z, millimetres in KITTI, are left out as in the
    papers. InputError where it is on the left."""
    distance = float((calibration.added("l") - calibration.added("r"))[0])
    if not distance > 1e-3:
        raise InputError(
            f"{folder / 'calib_cam_to_cam.txt'}: P_rect_03 is {distance:.3g} m to the right of P_rect_02, "
            f"wanted about 0.54; {CALIBRATION_AGAIN}"
        )
    return distance
