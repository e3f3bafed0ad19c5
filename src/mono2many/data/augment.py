"""Augmentation on whole batches, on the training device, one draw per sample (Godard et al. 2019, sec. 4).

Half of the samples are mirrored, half change colours; which, and how much, is a function of
(seed, step, sample). The jittered copies go to the networks; the losses see the plain ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from mono2many.data.draws import uniform
from mono2many.geometry.camera import mirror_intrinsics
from mono2many.types import Batch, Clips


@dataclass(frozen=True)
class Augmentation:
    """Chances and ranges; the papers' by default."""

    mirror: bool = True
    jitter: bool = True
    mirror_camera: bool = True
    """Mirror the principal point too (the reference does not)."""
    brightness: float = 0.2
    contrast: float = 0.2
    saturation: float = 0.2
    hue: float = 0.1


def to_batch(
    clips: Clips,
    offsets: Sequence[int],
    device: torch.device | str,
    augmentation: Augmentation | None = None,
    seed: int = 0,
    step: int = 0,
) -> Batch:
    """Float pictures on `device`, augmented unless `augmentation` is None."""
    u = uniform(seed, step, clips.index, 10)  # on the host: nothing waits for the device
    mirrored = u[:, 0] < 0.5 if augmentation is not None and augmentation.mirror else None
    frames = clips.frames.to(device, non_blocking=True).float().div_(255)
    intrinsics = clips.intrinsics
    depth, moving = clips.depth, clips.moving
    if mirrored is not None:
        flip = mirrored.to(device, non_blocking=True)
        frames = torch.where(flip[:, None, None, None, None], frames.flip(-1), frames)
        if augmentation is not None and augmentation.mirror_camera:
            other = mirror_intrinsics(intrinsics, frames.shape[-1])
            intrinsics = torch.where(mirrored[:, None, None, None], other, intrinsics)
        depth = None if depth is None else torch.where(mirrored[:, None, None], depth.flip(-1), depth)
        moving = None if moving is None else torch.where(mirrored[:, None, None], moving.flip(-1), moving)
    jittered = frames
    if augmentation is not None and augmentation.jitter:
        jittered = jitter(frames, u, augmentation)
    exists = clips.exists.to(device, non_blocking=True)
    # the networks see the target where there is no neighbour: black would upset their statistics
    seen_by_networks = torch.where(exists[..., None, None, None], jittered, jittered[:, :1])
    intrinsics = intrinsics.to(device, non_blocking=True)
    return Batch(
        target=frames[:, 0],
        sources=frames[:, 1:],
        source_exists=exists[:, 1:],
        intrinsics=intrinsics[:, 0],
        source_intrinsics=intrinsics[:, 1:],
        target_jittered=seen_by_networks[:, 0],
        sources_jittered=seen_by_networks[:, 1:],
        source_offsets=tuple(offsets),
        index=clips.index.to(device, non_blocking=True),
        depth=None if depth is None else depth.to(device, non_blocking=True),
        moving=None if moving is None else moving.to(device, non_blocking=True),
    )


def jitter(
    frames: Float[Tensor, "B F 3 H W"], u: Float[Tensor, "B 10"], a: Augmentation
) -> Float[Tensor, "B F 3 H W"]:
    """Brightness, contrast, saturation and hue in an order of its own for each sample; half stay as they are.

    u[:, 1]: whether; u[:, 2:6]: how much; u[:, 6:10]: the order (by rank). On the host.
    """
    spans = (a.brightness, a.contrast, a.saturation, a.hue)
    result = frames.clone()
    orders = u[:, 6:10].argsort(1)
    chosen = u[:, 1] < 0.5
    for turn in range(4):
        for kind, span in enumerate(spans):
            rows = (chosen & (orders[:, turn] == kind)).nonzero().flatten()
            if len(rows) == 0 or span == 0:
                continue
            amount = ((2 * u[rows, 2 + kind] - 1) * span).to(frames.device)[:, None, None, None, None]
            rows = rows.to(frames.device)
            result[rows] = _CHANGES[kind](result[rows], amount)
    return result


def change_brightness(rgb: Tensor, amount: Tensor) -> Tensor:
    """Times 1 + amount, clipped to [0, 1]."""
    return (rgb * (1 + amount)).clamp(0, 1)


def change_contrast(rgb: Tensor, amount: Tensor) -> Tensor:
    """Away from the mean grey of each picture by the factor 1 + amount."""
    mean = _grey(rgb).mean((-2, -1), keepdim=True)
    return (mean + (rgb - mean) * (1 + amount)).clamp(0, 1)


def change_saturation(rgb: Tensor, amount: Tensor) -> Tensor:
    """Away from each pixel's grey by the factor 1 + amount."""
    grey = _grey(rgb)
    return (grey + (rgb - grey) * (1 + amount)).clamp(0, 1)


def change_hue(rgb: Tensor, amount: Tensor) -> Tensor:
    """Turn the hue by `amount` of a full circle: to HSV and back, all pixels at once."""
    value = rgb.amax(-3, keepdim=True)
    chroma = value - rgb.amin(-3, keepdim=True)
    red, green, blue = rgb.split(1, -3)
    safe = torch.where(chroma > 0, chroma, 1)
    hue = torch.where(
        value == red,
        (green - blue) / safe,
        torch.where(value == green, (blue - red) / safe + 2, (red - green) / safe + 4),
    )
    turned = hue + 6 * amount
    shifts = turned.new_tensor([5.0, 3.0, 1.0])[:, None, None]
    k = (turned + shifts).remainder(6)
    return value - chroma * torch.minimum(k, 4 - k).clamp(0, 1)


def _grey(rgb: Tensor) -> Tensor:
    """ITU-R 601 luma."""
    weights = rgb.new_tensor([0.299, 0.587, 0.114])[:, None, None]
    return (rgb * weights).sum(-3, keepdim=True)


_CHANGES = (change_brightness, change_contrast, change_saturation, change_hue)
