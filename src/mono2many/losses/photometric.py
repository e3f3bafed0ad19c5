"""How different two pictures look, per pixel: structural similarity and absolute difference."""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

C1 = 0.01**2
C2 = 0.03**2
SSIM_SHARE = 0.85


@dataclass(frozen=True)
class Patches:
    """A picture with the 3x3 statistics that SSIM needs of it: computed once, compared with many."""

    image: Float[Tensor, "*batch 3 H W"]
    mean: Float[Tensor, "*batch 3 H W"]
    variance: Float[Tensor, "*batch 3 H W"]


def patches(image: Float[Tensor, "*batch 3 H W"]) -> Patches:
    """The picture with its 3x3 box means and variances."""
    mean = box_mean(image)
    return Patches(image, mean, box_mean(image.square()) - mean.square())


def photometric_error(
    view: Float[Tensor, "*batch 3 H W"], target: Patches, ssim: bool = True
) -> Float[Tensor, "*batch H W"]:
    """0.85 SSIM loss + 0.15 absolute difference, means over channels (Godard et al. 2019, eq. 3).

    Without `ssim` the absolute difference alone. `target` may have leading size 1 where `view` has many; it
    gets no gradient.
    """
    absolute = (view - target.image).abs().mean(-3)
    if not ssim:
        return absolute
    return SSIM_SHARE * ssim_loss(view, target).mean(-3) + (1 - SSIM_SHARE) * absolute


def ssim_loss(view: Float[Tensor, "*batch 3 H W"], target: Patches) -> Float[Tensor, "*batch 3 H W"]:
    """clamp((1 - SSIM) / 2, 0, 1) per channel, 3x3 boxes after reflection (Godard et al. 2017, sec. 3.3).

    The gradient, with respect to `view` only, is written out: automatic differentiation of the same formula
    takes three times as many passes over the pictures.
    """
    result: Tensor = _SsimLoss.apply(view, target.image, target.mean, target.variance)
    return result


class _SsimLoss(torch.autograd.Function):
    """With m, q, r the box means of x, x^2 and xy, and m_y, v_y those of y:

    SSIM = a1 a2 / (b1 b2),  a1 = 2 m m_y + C1,  a2 = 2 (r - m m_y) + C2,
    b1 = m^2 + m_y^2 + C1,   b2 = q - m^2 + v_y + C2
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor, mean_y: Tensor, variance_y: Tensor) -> Tensor:
        three = x.new_empty(3, *x.shape)
        three[0].copy_(x)
        torch.mul(x, x, out=three[1])
        torch.mul(x, y, out=three[2])
        mean, square, product = _box(three).unbind(0)
        means = mean * mean_y
        mean_squared = mean * mean
        a1 = 2 * means + C1
        a2 = product.sub_(means).mul_(2).add_(C2)
        b1 = (mean_squared + mean_y.square()).add_(C1)
        b2 = square.sub_(mean_squared).add_(variance_y).add_(C2)
        inverse = (b1 * b2).reciprocal_()
        ssim = a1 * a2 * inverse
        if ctx.needs_input_grad[0]:
            # slopes of (1 - SSIM) / 2 by m, q and r; zero where the clamp holds it
            by_mean, by_square, by_product = three.unbind(0)
            inverse.mul_(-0.5).mul_(ssim.abs() < 1)
            torch.mul(a1, inverse, out=by_product).mul_(2)
            torch.mul(a1, a2, out=by_square).mul_(inverse).div_(b2).neg_()
            torch.addcdiv(by_square, a1 * a2 * inverse, b1, out=by_mean).mul_(-mean)
            by_mean.addcmul_(mean_y * inverse, a2 - a1).mul_(2)
            slopes = three
            ctx.save_for_backward(x, y, slopes)
        return ssim.neg_().add_(1).mul_(0.5).clamp_(0, 1)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        x, y, slopes = ctx.saved_tensors
        mean, square, product = _box_adjoint(slopes * gradients[0]).unbind(0)
        return mean.addcmul_(x, square, value=2).addcmul_(y.expand_as(x), product), None, None, None


def box_mean(image: Float[Tensor, "*batch H W"]) -> Float[Tensor, "*batch H W"]:
    """Mean of each pixel's 3x3 neighbourhood, the picture continued by reflection (H, W >= 2).

    Shifted additions with their own adjoint: on a CPU several times as fast as padding and pooling.
    """
    result: Tensor = _BoxMean.apply(image)
    return result


class _BoxMean(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, image: Tensor) -> Tensor:
        return _box(image)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return _box_adjoint(gradients[0])


def _box(image: Tensor) -> Tensor:
    return _reflected_sum(_reflected_sum(image, -1), -2).div_(9)


def _box_adjoint(gradient: Tensor) -> Tensor:
    return _reflected_sum_adjoint(_reflected_sum_adjoint(gradient, -2), -1).div_(9)


def _neighbour_sum(x: Tensor, dim: int) -> Tensor:
    """x[i-1] + x[i] + x[i+1], zero outside."""
    n = x.shape[dim]
    total = x.clone(memory_format=torch.contiguous_format)
    total.narrow(dim, 1, n - 1).add_(x.narrow(dim, 0, n - 1))
    total.narrow(dim, 0, n - 1).add_(x.narrow(dim, 1, n - 1))
    return total


def _reflected_sum(x: Tensor, dim: int) -> Tensor:
    """The same, x[-1] = x[1] and x[n] = x[n-2]."""
    n = x.shape[dim]
    total = _neighbour_sum(x, dim)
    total.narrow(dim, 0, 1).add_(x.narrow(dim, 1, 1))
    total.narrow(dim, n - 1, 1).add_(x.narrow(dim, n - 2, 1))
    return total


def _reflected_sum_adjoint(g: Tensor, dim: int) -> Tensor:
    """What _reflected_sum's transposed matrix makes of g."""
    n = g.shape[dim]
    total = _neighbour_sum(g, dim)
    total.narrow(dim, 1, 1).add_(g.narrow(dim, 0, 1))
    total.narrow(dim, n - 2, 1).add_(g.narrow(dim, n - 1, 1))
    return total
