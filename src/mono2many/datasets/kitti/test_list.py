"""What is scored on KITTI raw: the frames of a test split, or of a list of one's own."""

from functools import lru_cache, partial
from pathlib import Path

from mono2many.data.image_files import ImageFile, opener, refuse_missing
from mono2many.data.marker import marked_synthetic
from mono2many.datasets.kitti import KittiScoring, OwnListsScoring
from mono2many.datasets.kitti.files import (
    Calibration,
    improved_path,
    read_calibration,
    read_velodyne,
    velodyne_path,
)
from mono2many.datasets.kitti.reader import image_camera, images_of
from mono2many.datasets.kitti.splits import (
    Eye,
    KittiFrame,
    read_split_file,
    seen_frames,
    split_frames,
)
from mono2many.evaluate.frames import EvalFrame, EvalSet
from mono2many.geometry.lidar import project_lidar
from mono2many.io.depth_files import read_depth_png16
from mono2many.metrics.protocol import Protocol, Truth
from mono2many.metrics.sparse import SparseTruth, sparse_truth
from mono2many.models.checkpoint import ModelCard
from mono2many.terminal import command
from mono2many.types import InputError

PAPERS = {"kitti_eigen": "eigen-80m", "kitti_eigen_benchmark": "eigen-improved"}
"""The protocol of each test split in the papers."""


def kitti_eval_set(datatype: str, s: KittiScoring, protocol: Protocol, card: ModelCard | None) -> EvalSet:
    """The frames of a test split or of one's own list, checked against the files: without a card stored
    predictions are scored, which need no images. InputError where files are missing, unless that is allowed
    or the tree is the procedural street's."""
    root, name, flag = s.root, datatype, "--splits"
    if isinstance(s, OwnListsScoring):
        if len(s.split_files) != 1:
            raise InputError("--split-files: scoring needs one list, --split-files TEST.txt")
        name, flag = s.split_files[0], "--split-files"
        listed = read_split_file(name)
    else:
        listed = split_frames(name, "test")

    eyes = tuple(sorted({f.eye for f in listed}))
    calibration = lru_cache(lambda date: read_calibration(root, date, eyes))

    @lru_cache
    def images(drive: str, eye: Eye) -> dict[int, ImageFile]:
        camera = image_camera(calibration(drive[:10]), eye, s.intrinsics == "reference")
        return {number: ImageFile(path, camera) for number, path in images_of(root, drive, eye).items()}

    frames, lost = list[EvalFrame](), list[KittiFrame]()
    for position, f in enumerate(listed):
        path = ground_truth_path(root, f, protocol.truth)
        if path is None or (card is not None and f.number not in images(f.drive, f.eye)):
            lost.append(f)
            continue
        truth = partial(kitti_ground_truth, path, f, protocol.truth, calibration(f.date))
        at = partial(opener, images(f.drive, f.eye), f.number)
        frames.append(EvalFrame(position, str(f), f.drive, f.number, f, at, truth))
    synthetic, note = marked_synthetic(root), ""
    what = "improved depth (data_depth_annotated)" if protocol.truth == "improved" else "laser scan"
    fetch = command("prepare", "kitti", flag, name, "--data", root)
    remedy = f"wanted image and {what}; fetch them: {fetch}"
    refuse_missing(f"{root}: {name}", lost, len(listed), remedy, s.allow_missing or synthetic)
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


def ground_truth_path(root: Path, frame: KittiFrame, kind: Truth) -> Path | None:
    """The file with a frame's measured depth; None where it is missing."""
    path = improved_path(root, frame) if kind == "improved" else velodyne_path(root, frame)
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
