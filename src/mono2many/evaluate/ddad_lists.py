"""What is scored on DDAD: every frame of its validation scenes, of one camera or of several."""

from functools import partial
from pathlib import Path
from zlib import crc32

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mono2many.commands import EvaluateConfig
from mono2many.data.marker import marked_synthetic
from mono2many.data.reader import DATASET
from mono2many.datasets.ddad.dgp import FRONT, DgpFrame, Run, read_runs, scan_depth
from mono2many.datasets.ddad.reader import read_masks, scene_mark
from mono2many.evaluate.kitti_lists import Listed, Listing
from mono2many.evaluate.truth import VERSION, TruthSource
from mono2many.metrics.protocol import Protocol

VALIDATION = 3950
"""Frames of DDAD's own list, on which papers report the front camera."""


def look_up_ddad(config: EvaluateConfig, protocol: Protocol) -> Listing:
    """The frames of the cameras in question, checked against the files. Raises InputError."""
    data = config.data
    root = Path(data.data[0] if data.data else DATASET)
    runs = read_runs(root, "val", data.cameras, data.largest_gap, data.largest_lag)
    masks = read_masks(data.masks, [run[0] for run in runs])
    frames = [_listed(run, i, masks.get(f.camera)) for run in runs for i, f in enumerate(run)]
    synthetic = marked_synthetic(root)
    papers = {f.group for f in frames} == {FRONT} and len(frames) == VALIDATION and not masks
    complete = papers and not synthetic
    return Listing("ddad", frames, list(range(len(frames))), synthetic, "", frozenset, complete)


def _listed(run: Run, at: int, valid_mask: Bool[Tensor, "H W"] | None) -> Listed:
    frame = run[at]

    def beside(offset: int) -> Path | None:
        return run[at + offset].image if 0 <= at + offset < len(run) else None

    return Listed(
        str(frame),
        str(run[0]),
        at,
        scene_mark(frame.scene),
        frame.image,
        lambda: (frame.size, frame.intrinsics),
        beside,
        partial(_truth, frame, valid_mask),
        frame.camera,
    )


def _truth(frame: DgpFrame, valid_mask: Bool[Tensor, "H W"] | None) -> TruthSource:
    assert frame.scan is not None, "read_runs saw to it"
    poses = [frame.world_from_camera.tolist(), frame.scan.world_from_lidar.tolist()]
    about = frame.scan.path.stat()
    hidden = None if valid_mask is None else crc32(valid_mask.numpy().tobytes())
    key = (VERSION, frame.size, frame.intrinsics.tolist(), poses, about.st_size, about.st_mtime_ns, hidden)
    return TruthSource(str(frame).replace(" ", "_"), key, frame.size, partial(_depth, frame, valid_mask))


def _depth(frame: DgpFrame, valid_mask: Bool[Tensor, "H W"] | None) -> Float[Tensor, "H W"]:
    depth = scan_depth(frame)
    return depth if valid_mask is None else torch.where(valid_mask, depth, torch.nan)
