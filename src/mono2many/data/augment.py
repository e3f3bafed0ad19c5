"""Augmentation on whole batches, on the training device, one draw per sample (Godard et al. 2019, sec. 4).

Half of the samples are mirrored, half change colours; which, and how much, is a function of
(seed, step, sample). The jittered copies go to the networks; the losses see the plain ones.

On the CPU an image is worked on in bands of rows that stay in the processor's cache; elsewhere all samples
are worked on together.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from mono2many.data.rng import uniform
from mono2many.geometry.camera import mirror_intrinsics
from mono2many.types import Batch, RawBatch


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


class Change(NamedTuple):
    """Of a sample's colours."""

    kind: int
    amount: float


BRIGHTNESS, CONTRAST, SATURATION, HUE = range(4)
GREY = (0.299, 0.587, 0.114)
"""ITU-R 601 luma of red, green and blue."""
NO_AUGMENTATION = Augmentation(mirror=False, jitter=False)


def to_batch(
    raw: RawBatch,
    offsets: Sequence[int],
    device: torch.device | str,
    augmentation: Augmentation | None = None,
    seed: int = 0,
    step: int = 0,
) -> Batch:
    """Float images on `device`, augmented unless `augmentation` is None."""
    a, device = augmentation or NO_AUGMENTATION, torch.device(device)
    u = uniform(seed, step, raw.index, 10)  # on the host: nothing waits for the device
    mirrored = (u[:, 0] < 0.5) & a.mirror
    further = {"index": raw.index, "camera": raw.camera, "mirrored": mirrored}
    intrinsics = raw.intrinsics
    if a.mirror and a.mirror_camera:
        other = mirror_intrinsics(intrinsics, raw.frames.shape[-1])
        intrinsics = torch.where(mirrored[:, None, None, None], other, intrinsics)
    for name in ("depth", "moving", "valid_mask"):
        values = getattr(raw, name)
        if values is not None:
            further[name] = torch.where(mirrored[:, None, None], values.flip(-1), values)
    if raw.stereo_x is not None:
        rig = torch.eye(4).repeat(len(raw.index), 1, 1)
        # what was to the left is to the right; each camera keeps its name
        rig[:, 0, 3] = torch.where(mirrored, -raw.stereo_x, raw.stereo_x)
        further["stereo_from_target"] = rig
    convert = _images_in_bands if device.type == "cpu" else _images_at_once
    frames, jittered = convert(_on(device, raw.frames), mirrored, u, a)
    absent, source = (~raw.exists).nonzero(as_tuple=True)
    if len(absent):
        # the networks see the target where there is no neighbour: black would upset their statistics
        jittered = jittered.clone() if jittered is frames else jittered
        absent, source = _on(device, absent), _on(device, source)
        jittered[absent, source] = jittered[absent, 0]
    exists, intrinsics = _on(device, raw.exists), _on(device, intrinsics)
    return Batch(
        target=frames[:, 0],
        sources=frames[:, 1:],
        source_exists=exists[:, 1:],
        intrinsics=intrinsics[:, 0],
        source_intrinsics=intrinsics[:, 1:],
        target_jittered=jittered[:, 0],
        sources_jittered=jittered[:, 1:],
        source_offsets=tuple(offsets),
        **{name: _on(device, values) for name, values in further.items() if values is not None},
    )


def _on(device: torch.device, values: Tensor) -> Tensor:
    return values.to(device, non_blocking=True)


BAND = 2**15
"""Pixels, about: with what is computed on the way, 1 MB."""


def _images_in_bands(
    frames: UInt8[Tensor, "B F 3 H W"],
    mirrored: Bool[Tensor, "B"],
    u: Float[Tensor, "B 10"],
    a: Augmentation,
) -> tuple[Float[Tensor, "B F 3 H W"], Float[Tensor, "B F 3 H W"]]:
    """Plain images, and jittered ones (the same tensor where none is)."""
    height, width = frames.shape[-2:]
    plans = [_plan(draws, a) for draws in u.tolist()]
    plain = torch.empty(frames.shape)
    jittered = torch.empty(frames.shape) if any(plans) else plain
    rows = max(1, BAND // width)
    bands = [slice(start, start + rows) for start in range(0, height, rows)]
    for b, f in product(*map(range, frames.shape[:2])):
        plan = plans[b]
        # contrast needs to know the whole image: what comes before it, then it and what comes after
        split = next((i for i, (kind, _) in enumerate(plan) if kind == CONTRAST), len(plan))
        sums = torch.zeros(3)
        for band in bands:
            raw, out = frames[b, f, :, band], plain[b, f, :, band]
            out.copy_(raw.flip(-1) if mirrored[b] else raw).mul_(1 / 255)
            if jittered is not plain:
                rgb = jittered[b, f, :, band].copy_(out)
                for kind, amount in plan[:split]:
                    _CHANGES[kind](rgb, amount)
                if split < len(plan):
                    sums += rgb.sum((1, 2))
        mean = float(sums @ sums.new_tensor(GREY)) / (height * width)
        for band in bands if split < len(plan) else ():
            rgb = change_contrast(jittered[b, f, :, band], plan[split][1], mean)
            for kind, amount in plan[split + 1 :]:
                _CHANGES[kind](rgb, amount)
    return plain, jittered


def _images_at_once(
    frames: UInt8[Tensor, "B F 3 H W"],
    mirrored: Bool[Tensor, "B"],
    u: Float[Tensor, "B 10"],
    a: Augmentation,
) -> tuple[Float[Tensor, "B F 3 H W"], Float[Tensor, "B F 3 H W"]]:
    """The same in few large operations, for devices on which each has a cost of its own. Changes of colour
    that are not of the hue are of one form, so that one operation does another change to each sample."""
    flip = _on(frames.device, mirrored)
    frames = torch.where(flip[:, None, None, None, None], frames.flip(-1), frames)
    plain = frames.float().div_(255)
    plans = [_plan(draws, a) for draws in u.tolist()]
    rows = [b for b, plan in enumerate(plans) if plan]
    if not rows:
        return plain, plain
    at = _on(frames.device, torch.tensor(rows))
    factors = _on(frames.device, torch.tensor(_factors([plans[b] for b in rows])))
    rgb = plain[at]
    for slot, three in enumerate(factors.mT[..., None, None, None, None]):
        if slot == HUE_SLOT:
            change_hue(rgb, three[0])
        else:
            _change_linearly(rgb, *three)
    jittered = plain.clone()
    jittered[at] = rgb
    return plain, jittered


HUE_SLOT = 3
"""Of 0 to 6: at most three changes come before the hue's, and at most three after it."""


def _factors(plans: Sequence[Sequence[Change]]) -> list[list[list[float]]]:
    """In each slot each sample's factors of colour, of its grey and of the image's mean grey (for the hue the
    amount stands first); where nothing is done 1, 0, 0."""
    slots = [[[float(slot != HUE_SLOT), 0.0, 0.0] for _ in plans] for slot in range(2 * HUE_SLOT + 1)]
    for row, plan in enumerate(plans):
        hue_at = next((i for i, change in enumerate(plan) if change.kind == HUE), HUE_SLOT)
        for i, (kind, amount) in enumerate(plan):
            first = amount if kind == HUE else 1 + amount
            three = [first, -amount * (kind == SATURATION), -amount * (kind == CONTRAST)]
            slots[HUE_SLOT + i - hue_at][row] = three
    return slots


def _change_linearly(rgb: Tensor, own: Tensor, grey: Tensor, mean: Tensor) -> None:
    """In place: the sum of colour, its grey and the image's mean grey, times a factor each, in [0, 1]."""
    greys = _grey(rgb)
    means = greys.mean((-2, -1), keepdim=True)
    rgb.mul_(own).addcmul_(greys, grey).addcmul_(means, mean).clamp_(0, 1)


def _plan(u: Sequence[float], a: Augmentation) -> list[Change]:
    """What is done to a sample's colours, in order; half of the samples stay as they are.

    u[1]: whether; u[2:6]: how much; u[6:10]: the order (by rank).
    """
    if not a.jitter or u[1] >= 0.5:
        return []
    spans = (a.brightness, a.contrast, a.saturation, a.hue)
    order = sorted(range(4), key=lambda kind: u[6 + kind])
    return [Change(kind, (2 * u[2 + kind] - 1) * spans[kind]) for kind in order if spans[kind]]


def change_brightness(rgb: Tensor, amount: float) -> Tensor:
    """In place: times 1 + amount, clipped to [0, 1]."""
    return rgb.mul_(1 + amount).clamp_(0, 1)


def change_contrast(rgb: Tensor, amount: float, mean: float) -> Tensor:
    """In place: away from the image's mean grey by the factor 1 + amount."""
    return rgb.mul_(1 + amount).sub_(mean * amount).clamp_(0, 1)


def change_saturation(rgb: Tensor, amount: float) -> Tensor:
    """In place: away from each pixel's grey by the factor 1 + amount."""
    grey = _grey(rgb)
    return rgb.sub_(grey).mul_(1 + amount).add_(grey).clamp_(0, 1)


def _grey(rgb: Float[Tensor, "*B 3 H W"]) -> Float[Tensor, "*B 1 H W"]:
    red, green, blue = rgb.unbind(-3)
    return (red * GREY[0]).add_(green, alpha=GREY[1]).add_(blue, alpha=GREY[2]).unsqueeze(-3)


def change_hue(rgb: Tensor, amount: Tensor | float) -> Tensor:
    """In place: rotate the hue of HSV by `amount` of a full circle, up to a third.

    On HSV's hexagon, whose corners are 1 apart, a colour is (green + blue - red - min) / chroma + 1 away from
    red, towards green or blue, whichever is more. A colour d from a channel's own corner has of it
    min + chroma clamp(2 - d, 0, 1), and 2 - d = | |hue - corner| - 3 | - 1 on either way around.
    """
    red, green, blue = rgb.unbind(-3)
    low = torch.minimum(red, green)
    torch.minimum(low, blue, out=low)
    chroma = torch.maximum(red, green)
    torch.maximum(chroma, blue, out=chroma).sub_(low)
    hue = (green + blue).sub_(red).sub_(low).div_(chroma + 1e-20).add_(1)
    hue.copysign_(green - blue)
    even = 2 * torch.arange(3, dtype=rgb.dtype, device=rgb.device)  # a list's copy would be waited for
    corners = (even - 6 * (even > 3))[:, None, None] - 6 * amount  # red 0, green 2, blue -2
    share = (hue.unsqueeze(-3) - corners).abs_().sub_(3).abs_().clamp_(1, 2)
    return torch.addcmul((low - chroma).unsqueeze(-3), chroma.unsqueeze(-3), share, out=rgb)


_CHANGES = {BRIGHTNESS: change_brightness, SATURATION: change_saturation, HUE: change_hue}
