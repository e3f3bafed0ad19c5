"""`--camera learn`: learnt cameras for the log, and as camera files."""

import json
from dataclasses import asdict
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from mono2many.files import write_text
from mono2many.geometry.camera import resize_intrinsics
from mono2many.io.camera_file import camera_from_intrinsics
from mono2many.io.images import kept_rows
from mono2many.train.setup import RunState


@torch.no_grad()
def learnt_intrinsics(state: RunState) -> Float[Tensor, "N 3 3"] | None:
    """K of every learnt camera in pixels of the training size; None where cameras are known."""
    cameras = state.network.cameras
    if cameras is None:
        return None
    every = torch.arange(len(cameras.raw), device=cameras.raw.device)
    return cameras(every, state.card.height, state.card.width).cpu()


def write_cameras(state: RunState, folder: Path) -> None:
    """FOLDER/cameras/N.json: learnt cameras as camera files for the videos themselves, before cropping and
    resizing; N counts the videos of --data. Nothing where cameras are known."""
    card, learnt = state.card, learnt_intrinsics(state)
    for number, (height, width) in enumerate(state.origin.camera_sizes):
        assert learnt is not None
        own_size = (kept_rows(height, card.crop_bottom), width)
        whole = resize_intrinsics(learnt[number], (card.height, card.width), own_size)
        camera = {**asdict(camera_from_intrinsics(whole, (height, width))), "learnt": True}
        write_text(folder / "cameras" / f"{number}.json", json.dumps(camera, indent=2) + "\n")


def focal_lengths(learnt: Float[Tensor, "N 3 3"], state: RunState) -> dict[str, float]:
    """fx as a share of the image's width, fy of its height, of every learnt camera, for the log."""
    values = {}
    for number, k in enumerate(learnt):
        values[f"camera_{number}_fx"] = round(float(k[0, 0]) / state.card.width, 4)
        values[f"camera_{number}_fy"] = round(float(k[1, 1]) / state.card.height, 4)
    return values
