"""Depth of a camera's or a video's frames as they come: a ManyDepth matches each with those before it.

    python examples/stream_camera.py /dev/video0 --fov 70 --model model_save/street_many
    python examples/stream_camera.py street.mp4 --fov 80

Prints when each frame was taken, the 2nd percentile of depth in the image's middle, and the time it took.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass

import av
import torch
import tyro
from torch import Tensor

from mono2many import load
from mono2many.geometry.camera import intrinsics_from_fov
from mono2many.io.videos import timed_frames


@dataclass(frozen=True)
class Settings:
    source: tyro.conf.Positional[str]
    """A video, or a camera of Linux such as /dev/video0."""
    model: str = "starter"
    fov: float = 65.0
    """Horizontal field of view in degrees."""
    width: int = 640
    """Wider frames of a video are shrunk to it."""


def frames(s: Settings) -> Iterator[tuple[float | None, Tensor]]:
    """With their times in seconds."""
    if not s.source.startswith("/dev/"):
        yield from timed_frames(s.source, s.width)
        return
    with av.open(s.source, format="v4l2") as camera:
        for frame in camera.decode(video=0):
            yield frame.time, torch.from_numpy(frame.to_ndarray(format="rgb24")).permute(2, 0, 1)


def main(s: Settings) -> None:
    predictor, stream = load(s.model), None
    for taken, image in frames(s):
        began, (height, width) = time.monotonic(), image.shape[1:]
        stream = stream or predictor.stream(intrinsics_from_fov(s.fov, width, height))
        prediction = stream(image)
        middle = prediction.depth[height // 3 : 2 * height // 3, width // 3 : 2 * width // 3]
        near, took = torch.quantile(middle.flatten()[::16], 0.02), time.monotonic() - began
        print(f"{taken or 0:8.3f} s: {near:6.2f} ({prediction.scale}), {1000 * took:.0f} ms", flush=True)


if __name__ == "__main__":
    main(tyro.cli(Settings))
