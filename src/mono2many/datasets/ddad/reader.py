"""DDAD as a data set (Guizilini et al. 2020): the runs of its cameras, and what hides the view."""

from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from jaxtyping import Bool
from torch import Tensor

from mono2many.data.image_files import ImageReader, opener
from mono2many.data.marker import marked_synthetic
from mono2many.datasets.base import ReadOptions, Split
from mono2many.datasets.ddad import DdadData, DdadScoring
from mono2many.datasets.ddad.dgp import FRONT, DgpFrame, read_runs, scan_depth, scene_files
from mono2many.evaluate.frames import EvalFrame, EvalSet
from mono2many.geometry.pose import invert
from mono2many.io.images import read_image
from mono2many.metrics.protocol import Protocol
from mono2many.metrics.sparse import SparseTruth, sparse_truth
from mono2many.models.checkpoint import ModelCard
from mono2many.types import FrameSequence, InputError

MOST_HIDDEN = 0.6
"""Share of an image beyond which a mask is probably the wrong way round."""
VALIDATION = 3950
"""Frames of DDAD's own list, on which papers report the front camera."""


def open_ddad(s: DdadData, options: ReadOptions, split: Split) -> ImageReader:
    """Each run of a camera is a clip, its world the place of the run's first frame. InputError as of
    read_runs and read_masks."""
    runs = read_runs(s.root, split, s.cameras, s.max_gap)
    masks = read_masks(s.masks, [run[0] for run in runs])
    cameras = sorted({run[0].camera for run in runs})
    sequences = []
    for run in runs:
        first = run[0]
        name = f"{first} to {run[-1].image.path.stem}"
        times = tuple(frame.seconds - first.seconds for frame in run)
        number, size = cameras.index(first.camera), first.image.camera.size
        first_from_world, valid_mask = invert(first.world_from_camera), masks.get(first.camera)
        files = [
            replace(f.image, world_from_camera=first_from_world @ f.world_from_camera, valid_mask=valid_mask)
            for f in run
        ]
        sequences.append((FrameSequence(name, len(run), times, number, size), files))
    return ImageReader("ddad", sequences, options.size, options.resize)


def read_masks(folder: str | None, frames: Iterable[DgpFrame]) -> dict[str, Bool[Tensor, "H W"]]:
    """FOLDER/CAMERA.png of these frames' cameras, where there is one: False where it is dark, which is where
    the camera sees its own car. InputError where no camera has one, or one does not fit."""
    if folder is None:
        return {}
    masks: dict[str, Bool[Tensor, "H W"]] = {}
    sizes = {frame.camera: frame.image.camera.size for frame in frames}
    for camera, size in sizes.items():
        path = Path(folder) / f"{camera}.png"
        if not path.exists():
            continue
        mask = read_image(path)[0] >= 128
        if tuple(mask.shape) != size:
            raise InputError(
                f"--masks: {path} is {mask.shape[1]}x{mask.shape[0]}, the camera's images are "
                f"{size[1]}x{size[0]}; give a mask of that size"
            )
        hidden = 1 - float(mask.float().mean())
        if hidden > MOST_HIDDEN:
            raise InputError(
                f"--masks: {path} hides {hidden:.0%} of the image; wanted black where the camera sees its "
                "own car and white elsewhere: turn it round"
            )
        masks[camera] = mask
    if not masks:
        raise InputError(f"--masks {folder}: holds none of {', '.join(f'{c}.png' for c in sorted(sizes))}")
    return masks


def scene_mark(scene: str) -> str:
    """By which a model's card knows a scene that it was trained on."""
    return f"ddad {scene}"


def marks(s: DdadData) -> list[str]:
    return [scene_mark(name) for name in scene_files(s.root, "train")[1]]


def ddad_eval_set(s: DdadScoring, protocol: Protocol, card: ModelCard | None) -> EvalSet:
    """The frames of these cameras, checked against the files. Errors as of read_runs and read_masks."""
    runs = read_runs(s.root, "val", s.cameras, s.max_gap, s.max_lag)
    masks = read_masks(s.masks, [run[0] for run in runs])
    frames: list[EvalFrame] = []
    for run in runs:
        files = {i: frame.image for i, frame in enumerate(run)}
        for index, frame in enumerate(run):
            truth = partial(_depth, frame, masks.get(frame.camera))
            key, at = scene_mark(frame.scene), partial(opener, files, index)
            place = (len(frames), str(frame), str(run[0]), index)
            frames.append(EvalFrame(*place, key, at, truth, frame.camera))
    synthetic = marked_synthetic(s.root)
    papers = {f.group for f in frames} == {FRONT} and len(frames) == VALIDATION and not masks
    return EvalSet("ddad", frames, len(frames), protocol, synthetic, complete=papers and not synthetic)


def _depth(frame: DgpFrame, valid_mask: Bool[Tensor, "H W"] | None) -> SparseTruth:
    depth = scan_depth(frame)
    return sparse_truth(depth if valid_mask is None else torch.where(valid_mask, depth, torch.nan))
