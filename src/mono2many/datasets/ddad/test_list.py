"""What is scored on DDAD: every frame of its validation scenes, of one camera or of several."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch
from jaxtyping import Bool
from torch import Tensor

from mono2many.data.marker import marked_synthetic
from mono2many.datasets.ddad.dgp import FRONT, DgpFrame, Run, read_runs, scan_depth
from mono2many.datasets.ddad.reader import read_masks, read_picture, scene_mark
from mono2many.evaluate.frames import EvalFrame, EvalSet, OpenFrame
from mono2many.metrics.protocol import Protocol
from mono2many.metrics.sparse import SparseTruth, sparse_truth
from mono2many.types import Frame

VALIDATION = 3950
"""Frames of DDAD's own list, on which papers report the front camera."""


def ddad_eval_set(
    root: Path,
    protocol: Protocol,
    cameras: Sequence[str] = (FRONT,),
    max_gap: float = 0.15,
    max_lag: float = 0.25,
    masks_folder: str | None = None,
) -> EvalSet:
    """The frames of these cameras, checked against the files. Arguments and errors as of read_runs and
    read_masks."""
    runs = read_runs(root, "val", cameras, max_gap, max_lag)
    masks = read_masks(masks_folder, [run[0] for run in runs])
    places = [(run, index) for run in runs for index in range(len(run))]
    frames = [_eval_frame(n, run, i, masks.get(run[i].camera)) for n, (run, i) in enumerate(places)]
    synthetic = marked_synthetic(root)
    papers = {f.group for f in frames} == {FRONT} and len(frames) == VALIDATION and not masks
    return EvalSet("ddad", frames, len(frames), protocol, synthetic, complete=papers and not synthetic)


def _eval_frame(position: int, run: Run, index: int, valid_mask: Bool[Tensor, "H W"] | None) -> EvalFrame:
    f, at, truth = run[index], partial(_frame_at, run, index), partial(_depth, run[index], valid_mask)
    return EvalFrame(position, str(f), str(run[0]), index, scene_mark(f.scene), at, truth, f.camera)


def _frame_at(run: Run, index: int, offset: int) -> OpenFrame | None:
    return partial(_frame, run[index + offset]) if 0 <= index + offset < len(run) else None


def _frame(frame: DgpFrame) -> Frame:
    return Frame(read_picture(frame), frame.intrinsics)


def _depth(frame: DgpFrame, valid_mask: Bool[Tensor, "H W"] | None) -> SparseTruth:
    depth = scan_depth(frame)
    return sparse_truth(depth if valid_mask is None else torch.where(valid_mask, depth, torch.nan))
