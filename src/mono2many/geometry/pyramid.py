"""Images halved again and again, with the camera that each level has."""

from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from mono2many.geometry.camera import resize_intrinsics, scale_intrinsics_plain


def image_pyramid(
    images: Float[Tensor, "*batch 3 H W"], levels: int, method: Literal["mean", "lanczos"] = "mean"
) -> list[Tensor]:
    """The images at 1, 1/2, 1/4 ... of their size, each from the one above; `levels` of them."""
    result = [images]
    for _ in range(levels - 1):
        flat = result[-1].flatten(0, -4) if images.dim() > 3 else result[-1].unsqueeze(0)
        half = F.avg_pool2d(flat, 2) if method == "mean" else halve_lanczos(flat)
        result.append(half.reshape(*images.shape[:-2], *half.shape[-2:]))
    return result


def halve_lanczos(images: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C h w"]:
    """Half size by the Lanczos kernel of support 3 (weights outside the image left out), in [0, 1]."""
    offsets = torch.arange(12, device=images.device, dtype=images.dtype) - 5.5
    kernel = torch.sinc(offsets / 2) * torch.sinc(offsets / 6)
    for dim in (-1, -2):
        images = _filter(images, kernel, dim)
    return images.clamp(0, 1)


def shrink_mask(mask: Bool[Tensor, "*batch H W"], size: tuple[int, int]) -> Bool[Tensor, "*batch h w"]:
    """True where all that a pixel of the smaller image covers is."""
    left_out = F.adaptive_max_pool2d((~mask).float().reshape(-1, 1, *mask.shape[-2:]), size) > 0
    return ~left_out.reshape(*mask.shape[:-2], *size)


def level_intrinsics(
    intrinsics: Float[Tensor, "*batch 3 3"],
    size: tuple[int, int],
    level_size: tuple[int, int],
    scaling: Literal["half-pixel", "plain"] = "half-pixel",
) -> Float[Tensor, "*batch 3 3"]:
    """The camera of a pyramid level; sizes are (height, width)."""
    scale = resize_intrinsics if scaling == "half-pixel" else scale_intrinsics_plain
    return scale(intrinsics, size, level_size)


def _filter(images: Tensor, kernel: Tensor, dim: int) -> Tensor:
    channels = images.shape[1]
    shape = (1, 1, 1, -1) if dim == -1 else (1, 1, -1, 1)
    stride, padding = ((1, 2), (0, 5)) if dim == -1 else ((2, 1), (5, 0))
    weight = kernel.view(shape).expand(channels, 1, *kernel.view(shape).shape[2:])
    total = F.conv2d(images, weight, stride=stride, padding=padding, groups=channels)
    ones = torch.ones_like(images[:1, :1])
    return total / F.conv2d(ones, kernel.view(shape), stride=stride, padding=padding)
