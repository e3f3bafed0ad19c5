"""What is scored on KITTI raw: the frames of a test split, or of a list of one's own."""

from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path

from jaxtyping import Float
from torch import Tensor

from mono2many.data.marker import marked_synthetic
from mono2many.datasets.kitti.files import (
    Calibration,
    image_path,
    improved_path,
    read_calibration,
    read_velodyne,
    velodyne_path,
)
from mono2many.datasets.kitti.reader import reference_intrinsics, wrong_size
from mono2many.datasets.kitti.splits import (
    TEST_SPLITS,
    KittiFrame,
    read_split_file,
    seen_frames,
    split_frames,
)
from mono2many.evaluate.frames import EvalFrame, EvalSet, OpenFrame
from mono2many.geometry.camera import Size
from mono2many.geometry.lidar import project_lidar
from mono2many.io.depth_files import read_depth_png16
from mono2many.io.images import read_image
from mono2many.metrics.protocol import Protocol, Truth
from mono2many.metrics.sparse import SparseTruth, sparse_truth
from mono2many.types import Frame, InputError

PAPERS = {"kitti_eigen": "eigen-80m", "kitti_eigen_benchmark": "eigen-improved"}
"""The protocol of each test split in the papers."""


def kitti_eval_set(
    root: Path,
    split: str,
    protocol: Protocol,
    list_file: str | None = None,
    reference_camera: bool = False,
    allow_missing: bool = False,
    needs_images: bool = True,
) -> EvalSet:
    """The frames of a test split or of `list_file`, checked against the files.

    reference_camera: one average K for all. needs_images: False where stored predictions are scored. Raises
    InputError where files are missing, unless allowed or `root` holds the embedded street.
    """
    if list_file is None and split not in TEST_SPLITS:
        raise InputError(f"--datatype {split} is a list to train on; score on {' or '.join(TEST_SPLITS)}")
    name = list_file or split
    listed = read_split_file(list_file) if list_file is not None else split_frames(split, "test")
    calibration = lru_cache(lambda date: read_calibration(root, date))
    frames, lost = list[EvalFrame](), list[KittiFrame]()
    for position, f in enumerate(listed):
        path = ground_truth_path(root, f, protocol.truth)
        if path is None or (needs_images and not image_path(root, f).exists()):
            lost.append(f)
            continue
        about = calibration(f.date)
        at = partial(_frame_at, root, f, about, reference_camera)
        truth = partial(kitti_ground_truth, path, f, protocol.truth, about)
        frames.append(EvalFrame(position, str(f), f.drive, f.number, f, at, truth))
    synthetic, note = marked_synthetic(root), ""
    what = "improved depth (data_depth_annotated)" if protocol.truth == "improved" else "laser scan"
    if lost and (not frames or not (synthetic or allow_missing)):
        drives, every = sorted({frame.drive for frame in lost}), len({frame.drive for frame in listed})
        flag = "--splits" if list_file is None else "--split-files"
        raise InputError(
            f"{root}: the image or {what} of {len(lost)} of {len(listed)} frames of {name} is missing, in "
            f"{len(drives)} of {every} drives ({', '.join(drives[:5])}{' ...' if len(drives) > 5 else ''}); "
            f"fetch them: mono2many prepare kitti {flag} {name} --data {root}"
            + (", or score what is there with --allow-missing" if frames else "")
        )
    if lost:
        note = (
            f"{len(frames)} of {len(listed)} frames of {name} are there with their {what}; only these count"
        )
    return EvalSet(
        name,
        frames,
        len(listed),
        protocol,
        synthetic,
        note,
        complete=not (lost or synthetic) and PAPERS.get(name) == protocol.name,
        keys_of=seen_frames,
    )


def _frame_at(
    root: Path, frame: KittiFrame, calibration: Calibration, reference_camera: bool, offset: int
) -> OpenFrame | None:
    number, size = frame.number + offset, calibration.sizes[frame.eye]
    path = image_path(root, replace(frame, number=max(0, number)))
    k = reference_intrinsics(size) if reference_camera else calibration.intrinsics(frame.eye)
    return partial(_frame, path, size, k) if number >= 0 and path.exists() else None


def _frame(path: Path, size: Size, k: Float[Tensor, "3 3"]) -> Frame:
    image = read_image(path)
    if tuple(image.shape[1:]) != size:
        raise InputError(wrong_size(path, image, size))
    return Frame(image, k)


def ground_truth_path(root: Path, frame: KittiFrame, kind: Truth) -> Path | None:
    """The file with a frame's measured depth; None where it is missing."""
    if kind == "improved":
        return improved_path(root, frame)
    path = velodyne_path(root, frame)
    return path if path.exists() else None


def kitti_ground_truth(path: Path, frame: KittiFrame, kind: Truth, calibration: Calibration) -> SparseTruth:
    """Out of the file `path`."""
    size, image_from_velodyne = calibration.sizes[frame.eye], calibration.image_from_velodyne(frame.eye)
    if kind != "improved":
        scan, forward = read_velodyne(path), kind == "lidar-forward"
        return sparse_truth(project_lidar(scan, image_from_velodyne, size, "forward" if forward else "z"))
    depth = read_depth_png16(path)
    if tuple(depth.shape) != size:
        raise InputError(
            f"{path}: {depth.shape[1]}x{depth.shape[0]} pixels, the calibration says "
            f"{size[1]}x{size[0]}; unpack data_depth_annotated.zip again"
        )
    return sparse_truth(depth)
