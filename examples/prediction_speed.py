"""How fast models predict one image, beside a ResNet18 with the papers' decoder, all in one run.

    python examples/prediction_speed.py --models starter --height 192 --width 640

Prints the median time of one forward pass of the depth network (batch 1, float32) and the ratio to
the ResNet18's. With --video also how fast `predict` turns that video into one of depth, its decoding, colours
and encoding included, beside the network alone on as many frames: wall and processor time.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from resource import RUSAGE_SELF, getrusage
from statistics import median
from tempfile import TemporaryDirectory

import torch
import tyro
from torch import nn

from mono2many import load
from mono2many.devices import Precision
from mono2many.io.videos import probe_video, video_frames
from mono2many.models.architecture import MonoArchitecture
from mono2many.models.mono import DepthNet
from mono2many.predict.files import predict_files


@dataclass(frozen=True)
class Settings:
    models: tuple[str, ...] = ("starter",)
    """Model folders, or `starter`."""
    height: int = 192
    width: int = 640
    repeats: int = 15
    video: str | None = None
    precision: Precision = "fp32"
    """Of the video's prediction."""


@torch.inference_mode()
def milliseconds(network: nn.Module, s: Settings) -> float:
    image = torch.rand(1, 3, s.height, s.width).contiguous(memory_format=torch.channels_last)
    times = []
    for _ in range(s.repeats):
        began = time.perf_counter()
        network(image)
        times.append(time.perf_counter() - began)
    return 1000 * median(times)


def spent(what: Callable[[], object]) -> tuple[float, float]:
    """Wall and processor seconds."""
    began = time.perf_counter(), time.process_time()
    what()
    return time.perf_counter() - began[0], time.process_time() - began[1]


def whole_video(name: str, s: Settings) -> None:
    assert s.video is not None
    predictor, count = load(name, "cpu", precision=s.precision), probe_video(s.video).frames
    inputs = predictor.inputs(list(islice(video_frames(s.video), 4)))

    def network() -> None:
        for _ in range(-(-count // 4)):
            predictor.from_inputs(inputs)

    predictor.from_inputs(inputs)
    with TemporaryDirectory() as folder:
        whole = spent(lambda: predict_files(predictor, [s.video or ""], folder))
    memory = getrusage(RUSAGE_SELF).ru_maxrss / 1024  # Linux has kB
    alone = spent(network)
    rates = f"{count / whole[0]:.1f} frames/s, the network alone {count / alone[0]:.1f}"
    shares = f"{alone[0] / whole[0]:.2f} of its rate; of the processor time {alone[1] / whole[1]:.2f} is its"
    print(f"{name}, {s.precision}, {count} frames: {rates}: {shares}; at most {memory:.0f} MB resident")


def main(s: Settings) -> None:
    networks = {name: load(name, "cpu").model.depth for name in s.models}
    resnet = DepthNet(MonoArchitecture()).eval().to(memory_format=torch.channels_last)
    yardstick = milliseconds(resnet, s)
    print(f"{s.width}x{s.height}, {torch.get_num_threads()} threads; ResNet18: {yardstick:.0f} ms")
    for name, network in networks.items():
        own = milliseconds(network, s)
        print(f"{name}: {own:.0f} ms, {own / yardstick:.2f} of it")
        if s.video is not None:
            whole_video(name, s)


if __name__ == "__main__":
    main(tyro.cli(Settings))
