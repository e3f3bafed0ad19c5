"""`--camera learn`: learnt cameras as camera files."""

import json
from dataclasses import asdict
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from mono2many.files import write_text
from mono2many.geometry.camera import horizontal_fov, resize_intrinsics
from mono2many.io.camera_file import camera_from_intrinsics
from mono2many.io.images import kept_rows
from mono2many.train.setup import RunState


def learnt_intrinsics(state: RunState) -> Float[Tensor, "N 3 3"] | None:
    """K of every learnt camera in pixels of the training size; None where cameras are known."""
    cameras = state.network.cameras
    if cameras is None:
        return None
    with torch.no_grad():
        every = torch.arange(len(cameras.raw), device=cameras.raw.device)
        return cameras(every, state.card.height, state.card.width).cpu()


def write_cameras(state: RunState) -> list[Path]:
    """FOLDER/cameras/N.json: learnt cameras as camera files for the videos themselves, before cropping and
    resizing; N counts the videos of --data. None where cameras are known."""
    learnt = learnt_intrinsics(state)
    if learnt is None:
        return []
    card, written = state.card, []
    for number, (k, (height, width)) in enumerate(zip(learnt, state.camera_sizes, strict=True)):
        whole = resize_intrinsics(k, (card.height, card.width), (kept_rows(height, card.crop_bottom), width))
        text = (
            json.dumps({**asdict(camera_from_intrinsics(whole, (height, width))), "learnt": True}, indent=2)
            + "\n"
        )
        path = state.folder / "cameras" / f"{number}.json"
        write_text(path, text)
        written.append(path)
    return written


def focal_lengths(state: RunState) -> dict[str, float]:
    """fx as a share of the image's width, fy of its height, of every learnt camera, for the log."""
    learnt = learnt_intrinsics(state)
    assert learnt is not None
    values = {}
    for number, k in enumerate(learnt):
        values[f"camera_{number}_fx"] = round(float(k[0, 0]) / state.card.width, 4)
        values[f"camera_{number}_fy"] = round(float(k[1, 1]) / state.card.height, 4)
    return values


def widest_fov(known: Float[Tensor, "3 3"] | None, state: RunState) -> float:
    """Horizontal field of view in degrees: of a known camera, or the widest of the learnt ones."""
    learnt = learnt_intrinsics(state) if known is None else known[None].cpu()
    assert learnt is not None
    return max(horizontal_fov(k, state.card.width) for k in learnt)
