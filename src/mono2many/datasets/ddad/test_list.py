"""What is scored on DDAD: every frame of its validation scenes, of one camera or of several."""

from functools import partial
from zlib import crc32

import torch
from jaxtyping import Bool
from torch import Tensor

from mono2many.data.image_files import opener
from mono2many.data.marker import marked_synthetic
from mono2many.datasets.ddad import DdadScoring
from mono2many.datasets.ddad.dgp import FRONT, DgpFrame, read_runs, scan_depth
from mono2many.datasets.ddad.reader import read_masks, scene_mark
from mono2many.evaluate.frames import EvalFrame, EvalSet, GroundTruthSource
from mono2many.metrics.protocol import Protocol
from mono2many.metrics.sparse import SparseTruth, sparse_truth
from mono2many.models.checkpoint import ModelCard

VALIDATION = 3950
"""Frames of DDAD's own list, on which papers report the front camera."""


def ddad_eval_set(s: DdadScoring, protocol: Protocol, card: ModelCard | None) -> EvalSet:
    """The frames of these cameras, checked against the files. Errors as of read_runs and read_masks."""
    runs = read_runs(s.root, "val", s.cameras, s.max_gap, s.max_lag)
    masks = read_masks(s.masks, [run[0] for run in runs])
    frames: list[EvalFrame] = []
    for run in runs:
        files = {i: frame.image for i, frame in enumerate(run)}
        for index, frame in enumerate(run):
            truth = _ground_truth(frame, masks.get(frame.camera))
            key, at = scene_mark(frame.scene), partial(opener, files, index)
            place = (len(frames), str(frame), str(run[0]), index)
            frames.append(EvalFrame(*place, key, at, truth, frame.camera))
    synthetic = marked_synthetic(s.root)
    papers = {f.group for f in frames} == {FRONT} and len(frames) == VALIDATION and not masks
    return EvalSet("ddad", frames, len(frames), protocol, synthetic, complete=papers and not synthetic)


def _ground_truth(frame: DgpFrame, valid_mask: Bool[Tensor, "H W"] | None) -> GroundTruthSource:
    assert frame.scan is not None, "read_runs saw to it"
    poses = [frame.world_from_camera.tolist(), frame.scan.world_from_lidar.tolist()]
    about, size = frame.scan.path.stat(), frame.image.camera.size
    hidden = None if valid_mask is None else crc32(valid_mask.numpy().tobytes())
    key = (size, frame.intrinsics.tolist(), poses, about.st_size, about.st_mtime_ns, hidden)
    return GroundTruthSource(partial(_depth, frame, valid_mask), str(frame).replace(" ", "_"), key, size)


def _depth(frame: DgpFrame, valid_mask: Bool[Tensor, "H W"] | None) -> SparseTruth:
    depth = scan_depth(frame)
    return sparse_truth(depth if valid_mask is None else torch.where(valid_mask, depth, torch.nan))
