"""From features to disparity: up-sampling with skips, one sigmoid map at each of the finest strides."""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from mono2many.geometry.precision import full_precision
from mono2many.models.architecture import DecoderType, Padding
from mono2many.models.encoder import Features

WIDTHS: dict[DecoderType, tuple[int, ...]] = {
    "paper": (256, 128, 64, 32, 16),
    "medium": (96, 64, 48, 32, 16),
    "light": (64, 48, 32, 24, 16),
}


class DepthDecoder(nn.Module):
    """The U-Net decoder of Godard et al. 2019, sec. 4 and supplement.

    encoder_channels: at strides 2, 4, 8, 16, 32 (0: no map, hence no skip).
    kind: "paper" has ELU, "light" ReLU, "medium" batch normalisation (not for the heads) and ReLU.
    scales: number of maps, finest first, at strides 1, 2, 4, 8 (1 to 4).
    padding: what 3x3 convolutions see beyond the border; the papers reflect.
    outputs: channels per map (1 for disparity; one per source for the predictive mask).
    """

    def __init__(
        self,
        encoder_channels: Sequence[int],
        kind: DecoderType = "paper",
        scales: int = 4,
        padding: Padding = "reflect",
        outputs: int = 1,
    ) -> None:
        super().__init__()
        widths = WIDTHS[kind]
        before = [encoder_channels[-1], *widths[:-1]]
        joined = [width + skip for width, skip in zip(widths, [*encoder_channels[-2::-1], 0], strict=True)]
        self.reduce = nn.ModuleList(_conv(a, b, padding, kind) for a, b in zip(before, widths, strict=True))
        self.fuse = nn.ModuleList(_conv(a, b, padding, kind) for a, b in zip(joined, widths, strict=True))
        self.heads = nn.ModuleList(Conv3x3(widths[-1 - s], outputs, padding) for s in range(scales))

    def forward(self, features: Features) -> list[Float[Tensor, "B N h w"]]:
        """Sigmoid maps in (0, 1), finest first, in float32."""
        return self.maps(self.stages(features))

    def stages(self, features: Features) -> list[Float[Tensor, "B _ _ _"]]:
        """What is up-sampled to strides 16, 8, 4, 2, 1 and joined with the skips."""
        x = features[-1]
        assert x is not None
        skips = [*features[-2::-1], None]
        stages = []
        for reduce, fuse, skip in zip(self.reduce, self.fuse, skips, strict=True):
            x = F.interpolate(reduce(x), scale_factor=2.0, mode="nearest")
            x = fuse(x if skip is None else torch.cat([x, skip], 1))
            stages.append(x)
        return stages

    def maps(self, stages: Sequence[Float[Tensor, "B _ _ _"]]) -> list[Float[Tensor, "B N _ _"]]:
        """`forward`'s result. The last convolution is in float32: a logit rounded to bfloat16 would move the
        disparity by up to 1.6 %."""
        with full_precision(stages[-1]):
            return [head(stages[-1 - s].float()).sigmoid() for s, head in enumerate(self.heads)]


class Conv3x3(nn.Conv2d):
    """A 3x3 convolution that keeps the size, padded in its input's precision.

    Automatic mixed precision on the CPU would reflect in float32: two conversions of every map.
    """

    def __init__(self, inputs: int, outputs: int, padding: Padding, bias: bool = True) -> None:
        super().__init__(inputs, outputs, 3, padding=1, padding_mode=padding, bias=bias)

    def forward(self, x: Float[Tensor, "B C h w"]) -> Float[Tensor, "B N h w"]:
        if self.padding_mode == "zeros":
            return super().forward(x)
        with full_precision(x):
            padded = F.pad(x, (1, 1, 1, 1), mode=self.padding_mode)
        return F.conv2d(padded, self.weight, self.bias)


class Elu(nn.ELU):
    """x, or e^x - 1 below zero. torch's own takes expm1 of every value: on a CPU seven times as long."""

    def forward(self, x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        if x.device.type != "cpu" or torch.compiler.is_compiling():
            return super().forward(x)
        result: Tensor = _CpuElu.apply(x)
        return result


class _CpuElu(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        wide = torch.promote_types(x.dtype, torch.float32)
        below = x.clamp(max=0).to(wide).exp_().sub_(1).to(x.dtype)
        result = torch.maximum(x, below, out=below)
        ctx.save_for_backward(result)
        return result

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        # what autograd of torch's ELU calls: written with public operators, bfloat16 would be rounded twice
        return torch.ops.aten.elu_backward(gradients[0], 1.0, 1.0, 1.0, True, ctx.saved_tensors[0])


def _conv(inputs: int, outputs: int, padding: Padding, kind: DecoderType) -> nn.Sequential:
    normalised = kind == "medium"
    conv = Conv3x3(inputs, outputs, padding, bias=not normalised)
    norm = [nn.BatchNorm2d(outputs)] if normalised else []
    return nn.Sequential(conv, *norm, Elu(inplace=True) if kind == "paper" else nn.ReLU(inplace=True))
