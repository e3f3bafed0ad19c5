"""A video of disparity alone, frame by frame in Python.

    python examples/depth_video.py drive.mp4 depth.mp4

`mono2many predict drive.mp4` writes frames and disparity side by side; this shows how to do something else
with each frame.
"""

from dataclasses import dataclass
from pathlib import Path

import tyro

from mono2many import load
from mono2many.geometry.camera import intrinsics_from_fov
from mono2many.io.colour import colour_disparity, robust_range
from mono2many.io.videos import VideoWriter, probe_video, video_frames


@dataclass(frozen=True)
class Settings:
    video: tyro.conf.Positional[Path]
    out: tyro.conf.Positional[Path]
    model: str = "starter"
    fov: float = 65.0
    """Horizontal field of view in degrees, which a ManyDepth needs."""


def main(s: Settings) -> None:
    info = probe_video(s.video)
    stream = load(s.model).stream(intrinsics_from_fov(s.fov, info.width, info.height))
    low = high = None
    with VideoWriter(s.out, info.fps, info.uneven_times) as writer:
        for frame in video_frames(s.video):
            disparity = stream(frame).disparity
            first, last = robust_range(disparity)
            low = first if low is None else 0.95 * low + 0.05 * first  # so that colours do not flicker
            high = last if high is None else 0.95 * high + 0.05 * last
            writer.write(colour_disparity(disparity, low, high))
    print(f"{s.out}: {info.frames} frames, {info.width}x{info.height}, {info.fps:g} frames per second")


if __name__ == "__main__":
    main(tyro.cli(Settings))
