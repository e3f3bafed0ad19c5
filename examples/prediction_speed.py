"""How fast models predict one image, beside a ResNet18 with the papers' decoder, all in one run.

    python examples/prediction_speed.py --models starter --height 192 --width 640

Prints the median time of one forward pass of the depth network (batch 1, float32) and the ratio to
the ResNet18's.
"""

import time
from dataclasses import dataclass
from statistics import median

import torch
import tyro
from torch import nn

from mono2many import load
from mono2many.models.architecture import MonoArchitecture
from mono2many.models.mono import DepthNet


@dataclass(frozen=True)
class Settings:
    models: tuple[str, ...] = ("starter",)
    """Model folders, or `starter`."""
    height: int = 192
    width: int = 640
    repeats: int = 15


@torch.inference_mode()
def milliseconds(network: nn.Module, s: Settings) -> float:
    image = torch.rand(1, 3, s.height, s.width).contiguous(memory_format=torch.channels_last)
    times = []
    for _ in range(s.repeats):
        began = time.perf_counter()
        network(image)
        times.append(time.perf_counter() - began)
    return 1000 * median(times)


def main(s: Settings) -> None:
    networks = {name: load(name, "cpu").model.depth for name in s.models}
    resnet = DepthNet(MonoArchitecture()).eval().to(memory_format=torch.channels_last)
    yardstick = milliseconds(resnet, s)
    print(f"{s.width}x{s.height}, {torch.get_num_threads()} threads; ResNet18: {yardstick:.0f} ms")
    for name, network in networks.items():
        own = milliseconds(network, s)
        print(f"{name}: {own:.0f} ms, {own / yardstick:.2f} of it")


if __name__ == "__main__":
    main(tyro.cli(Settings))
