"""How far the point at a pixel of a video is, in metres, with the uncertainty of the scale.

    mono2many street street.mp4
    python examples/pixel_distance.py street.mp4 --camera street.json --frame 30 --pixel 320 120 \
        --scale-from speed street_speed.csv

The scale is that of `mono2many scale`: from the camera's height above the road (only on footage like that of
the model's training), or from a file of speeds. The uncertainty is the relative standard deviation of its
single estimates: how the model's unit varies between images, not the error at this pixel.
"""

from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

import tyro

from mono2many import load
from mono2many.datasets.choice import DataConfig
from mono2many.datasets.video import VideoData
from mono2many.evaluate.scale import find_scale
from mono2many.evaluate.settings import ScaleConfig
from mono2many.io.camera_file import camera_for
from mono2many.io.undistort import Undistortion
from mono2many.io.videos import video_display, video_frames


@dataclass(frozen=True)
class Settings:
    video: tyro.conf.Positional[str]
    camera: str
    scale_from: tuple[str, ...]
    """camera-height METRES, or speed FILE.csv."""
    pixel: tuple[int, int]
    """x and y, of the frame without lens distortion."""
    frame: int = 0
    model: str = "starter"


def main(s: Settings) -> None:
    with TemporaryDirectory() as copy:
        footage = VideoData(data=(s.video,), camera=(s.camera,))
        card = find_scale(ScaleConfig(s.model, copy, s.scale_from, DataConfig("video"), footage))
        predictor = load(copy)
    (x, y), (frame,) = s.pixel, islice(video_frames(s.video, s.frame), 1)
    size = (frame.shape[1], frame.shape[2])
    camera = camera_for(s.camera, None, size, s.video, video_display(Path(s.video)))
    prediction = predictor(Undistortion(camera).frames(frame[None])[0])
    point = prediction.points(camera.intrinsics)[y, x]
    spread = "unknown" if card.factor_spread is None else f"± {100 * card.factor_spread:.1f} %"
    print(f"pixel {x}, {y}: {point[2]:.2f} m ahead, {point.norm():.2f} m along the ray; scale {spread}")


if __name__ == "__main__":
    main(tyro.cli(Settings))
