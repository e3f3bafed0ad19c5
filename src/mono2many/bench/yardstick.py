"""What every figure is compared with: plain networks and a plain step, which stay as they are for ever, so
that figures of different days can be compared."""

from collections.abc import Callable

import torch
import torchvision
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models.feature_extraction import create_feature_extractor

from mono2many.commands.bench import BenchConfig


class YardstickDepth(nn.Module):
    """A plain U-Net: torchvision's ResNet18, the papers' decoder, four sigmoid maps, the finest first."""

    def __init__(self) -> None:
        super().__init__()
        widths, skips = (256, 128, 64, 32, 16), (256, 128, 64, 64, 0)
        self.encoder = _resnet18(3)
        self.reduce = nn.ModuleList(_conv(a, b) for a, b in zip((512, *widths[:-1]), widths, strict=True))
        self.fuse = nn.ModuleList(_conv(w + s, w) for w, s in zip(widths, skips, strict=True))
        self.heads = nn.ModuleList(_conv(w, 1) for w in widths[:0:-1])

    def forward(self, image: Float[Tensor, "B 3 H W"]) -> list[Tensor]:
        *skips, x = self.encoder(image).values()
        stages = []
        for reduce, fuse in zip(self.reduce, self.fuse, strict=True):
            x = F.interpolate(F.elu(reduce(x)), scale_factor=2.0, mode="nearest")
            x = F.elu(fuse(torch.cat([x, skips.pop()], 1) if skips else x))
            stages.append(x)
        return [head(x).sigmoid() for head, x in zip(self.heads, stages[:0:-1], strict=True)]


class YardstickPose(nn.Module):
    """A second ResNet18 that takes two images, and the papers' head."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = _resnet18(6)
        convs = [nn.Conv2d(512, 256, 1), *(nn.Conv2d(256, 256, 3, padding=1) for _ in range(2))]
        layers = [layer for conv in convs for layer in (conv, nn.ReLU())]
        self.head = nn.Sequential(*layers, nn.Conv2d(256, 12, 1))

    def forward(self, pair: Float[Tensor, "B 6 H W"]) -> Float[Tensor, "B 12"]:
        output: Tensor = self.head(self.encoder(pair)["layer4"])
        return output.mean((2, 3))


def _conv(inputs: int, outputs: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, padding=1, padding_mode="reflect")


def _resnet18(channels: int) -> nn.Module:
    net = torchvision.models.resnet18(weights=None)
    net.conv1 = nn.Conv2d(channels, 64, 7, 2, 3, bias=False)
    return create_feature_extractor(net, ["relu", "layer1", "layer2", "layer3", "layer4"])


def yardstick_step(config: BenchConfig, device: torch.device) -> Callable[[int], None]:
    """Eager, contiguous, fp32, one pose pass per pair, Adam as it comes."""
    depth, pose = YardstickDepth().to(device), YardstickPose().to(device)
    optimiser = torch.optim.Adam([*depth.parameters(), *pose.parameters()], lr=1e-4)
    size = (config.height, config.width)
    image = torch.rand(config.batch_size, 3, *size, device=device)
    pairs = [torch.rand(config.batch_size, 6, *size, device=device) for _ in range(2)]

    def step(repetition: int) -> None:
        outputs = [*depth(image), *(pose(pair) for pair in pairs)]
        optimiser.zero_grad()
        torch.stack([output.mean() for output in outputs]).sum().backward()
        optimiser.step()

    return step
