"""The embedded street as a video: `mono2many street`."""

from dataclasses import dataclass
from typing import Literal

import tyro

from mono2many.commands.flags import parse
from mono2many.datasets.base import at_least
from mono2many.errors import one_line


@dataclass(frozen=True)
class StreetConfig:
    """Write the embedded street as a film with its camera file: footage to try things on."""

    film: tyro.conf.Positional[str]
    """The film to write (.mp4); the camera file goes beside it (.json)."""
    frames: int = 60
    """Length of the film."""
    height: int = 192
    """Of its pictures, in pixels."""
    width: int = 640
    """Of its pictures, in pixels."""
    scene: int = 0
    """Which street; neither training nor validation sees any of these."""
    variety: Literal["town", "wide"] = "town"
    """town: a town street by day. wide: any kind of road, traffic, light and camera."""
    drive: Literal["steady", "stop-and-go"] = "steady"
    """steady: at one speed. stop-and-go: the camera halts and creeps in a queue of cars and lorries."""

    def __post_init__(self) -> None:
        at_least("--frames", self.frames, 3)
        at_least("--scene", self.scene, 0)


def run(arguments: list[str]) -> None:
    config = parse(StreetConfig, "mono2many street", arguments)
    from mono2many.street.reader import StreetSettings
    from mono2many.street.video import write_street_video

    settings = StreetSettings(
        frames=config.frames,
        height=config.height,
        width=config.width,
        variety=config.variety,
        drive=config.drive,
    )
    print(f"drawing {config.frames} frames, {config.width}x{config.height}", flush=True)
    film, camera = write_street_video(config.film, settings, scene=config.scene)
    print(one_line(f"{film} and its camera {camera}"))
