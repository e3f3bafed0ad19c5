"""How different two images look, per pixel: structural similarity and absolute difference."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

C1 = 0.01**2
C2 = 0.03**2
SSIM_SHARE = 0.85


@dataclass(frozen=True)
class Patches:
    """An image with what SSIM needs of it alone: computed once, compared with many. Gets no gradient."""

    image: Float[Tensor, "*batch C H W"]
    mean: Float[Tensor, "*batch C H W"]
    """Of 3x3 boxes."""
    mean_squared: Float[Tensor, "*batch C H W"]
    """Plus C1."""
    squared: Float[Tensor, "*batch C H W"]
    """Each pixel's square plus C1 + C2."""


def patches(image: Float[Tensor, "*batch C H W"]) -> Patches:
    """The image, its 3x3 box means, and squares of both."""
    mean = box_mean(image)
    return Patches(image, mean, mean.square() + C1, image.square() + (C1 + C2))


def photometric_error(
    view: Float[Tensor, "*batch C H W"], target: Patches, ssim: bool = True
) -> Float[Tensor, "*batch H W"]:
    """0.85 SSIM loss + 0.15 absolute difference, means over channels (Godard et al. 2019, eq. 3).

    Without `ssim` the absolute difference alone. `target` may have leading size 1 where `view` has many.
    """
    if not ssim:
        return (view - target.image).abs().mean(-3)
    if torch.compiler.is_compiling():
        return _plain_error(view, target)
    known = (target.image, target.mean, target.mean_squared, target.squared)
    return _Error.apply(view, *(x.expand_as(view) for x in known))


def _plain_error(view: Tensor, target: Patches) -> Tensor:
    """The same in the fewest words, for compilers, which fuse them."""
    m, m_y = box_mean(view), target.mean
    a1, b1 = 2 * m * m_y + C1, m.square() + target.mean_squared
    a2 = box_mean(2 * view * target.image) + (C1 + C2) - a1
    b2 = box_mean(view.square() + target.squared) - b1
    ssim = ((1 - a1 * a2 / (b1 * b2)) / 2).clamp(0, 1)
    return (SSIM_SHARE * ssim + (1 - SSIM_SHARE) * (view - target.image).abs()).mean(-3)


class _Error(torch.autograd.Function):
    """SSIM loss and absolute difference, weighted, means over channels, with the gradient written out:
    automatic differentiation takes several times as many passes over the images.

    With m, s, r the box means of x, x^2 + y^2 + C1 + C2 and 2 x y + C1 + C2, and m_y that of y:

    SSIM = a1 a2 / (b1 b2),  a1 = 2 m m_y + C1,  a2 = r - a1,  b1 = m^2 + m_y^2 + C1,  b2 = s - b1
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, *known: Tensor) -> Tensor:
        error = x.new_empty(*x.shape[:-3], *x.shape[-2:])
        slopes = [_error(x[at], Patches(*(t[at] for t in known)), error[at]) for at in _images(x)]
        if ctx.needs_input_grad[0]:
            ctx.save_for_backward(x, known[0], *slopes)
        return error

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        x, y, *slopes = ctx.saved_tensors
        result = torch.empty_like(x)
        for at, slope in zip(_images(x), slopes, strict=True):
            gradient = gradients[0][at].unsqueeze(-3)
            slope = slope * (gradient * (-SSIM_SHARE / (9 * x.shape[-3])))
            by_m, by_s, by_r = _box_sum_adjoint(slope).unbind(0)
            torch.addcmul(by_m, x[at], by_s, value=-1, out=result[at]).addcmul_(y[at], by_r)
            sign = (x[at] - y[at]).sgn_()
            result[at].addcmul_(sign, gradient, value=(1 - SSIM_SHARE) / x.shape[-3])
        return result, None, None, None, None


def _images(x: Tensor) -> Iterator[tuple[int, ...]]:
    """Places of pieces to work on: on a CPU image after image, whose twenty maps fit its cache."""
    return iter([()]) if x.device.type != "cpu" else product(*map(range, x.shape[:-3]))


def _error(x: Tensor, known: Patches, error: Tensor) -> Tensor:
    """Writes `error`; returns half of SSIM's slopes by m, -s and r."""
    three = x.new_empty(3, *x.shape)
    by_m, by_s, by_r = three.unbind(0)  # until they are known, what is summed over boxes
    torch.mul(x, 1 / 9, out=by_m)
    torch.addcmul(known.squared / 9, x, by_m, out=by_s)
    torch.addcmul(x.new_full((), (C1 + C2) / 9), known.image, by_m, value=2, out=by_r)
    m, s, r = _box_sum(three).unbind(0)
    a1 = torch.addcmul(x.new_full((), C1), m, known.mean, value=2)
    b1 = torch.addcmul(known.mean_squared, m, m)
    a2, b2 = r.sub_(a1), s.sub_(b1)
    inverse = (b1 * b2).reciprocal_()
    torch.mul(a1, inverse, out=by_r)
    ssim = a2 * by_r
    torch.div(ssim, b2, out=by_s)
    torch.sub(a2, a1, out=by_m).mul_(inverse).mul_(known.mean)
    by_m.addcmul_(m, torch.addcdiv(by_s, ssim, b1, value=-1))
    torch.mean(ssim.clamp_(-1, 1), -3, out=error)
    error.mul_(-SSIM_SHARE / 2).add_(SSIM_SHARE / 2)
    error.add_((x - known.image).abs_().mean(-3), alpha=1 - SSIM_SHARE)
    return three


def box_mean(image: Float[Tensor, "*batch H W"]) -> Float[Tensor, "*batch H W"]:
    """Mean of each pixel's 3x3 neighbourhood, the image continued by reflection (H, W >= 2).

    Shifted additions with their own adjoint: on a CPU several times as fast as padding and pooling.
    """
    if torch.compiler.is_compiling():
        padded = F.pad(image.flatten(0, -3)[:, None], (1, 1, 1, 1), mode="reflect")
        return F.avg_pool2d(padded, 3, 1).view_as(image)
    return _BoxMean.apply(image)


class _BoxMean(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, image: Tensor) -> Tensor:
        return _box_sum(image).div_(9)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return _box_sum_adjoint(gradients[0]).div_(9)


def _box_sum(x: Tensor) -> Tensor:
    for dim in (-1, -2):
        n, total = x.shape[dim], _neighbour_sum(x, dim)
        total.narrow(dim, 0, 1).add_(x.narrow(dim, 1, 1))
        total.narrow(dim, n - 1, 1).add_(x.narrow(dim, n - 2, 1))
        x = total
    return x


def _box_sum_adjoint(x: Tensor) -> Tensor:
    """What _box_sum's transposed matrix makes of x."""
    for dim in (-2, -1):
        n, total = x.shape[dim], _neighbour_sum(x, dim)
        total.narrow(dim, 1, 1).add_(x.narrow(dim, 0, 1))
        total.narrow(dim, n - 2, 1).add_(x.narrow(dim, n - 1, 1))
        x = total
    return x


def _neighbour_sum(x: Tensor, dim: int) -> Tensor:
    """x[i-1] + x[i] + x[i+1], zero outside."""
    n, total = x.shape[dim], torch.empty_like(x, memory_format=torch.contiguous_format)
    torch.add(x.narrow(dim, 0, n - 2), x.narrow(dim, 2, n - 2), out=total.narrow(dim, 1, n - 2))
    total.narrow(dim, 0, 1).copy_(x.narrow(dim, 1, 1))
    total.narrow(dim, n - 1, 1).copy_(x.narrow(dim, n - 2, 1))
    return total.add_(x)
