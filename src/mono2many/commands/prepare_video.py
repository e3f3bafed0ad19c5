"""Which parts of videos are fit for training: `mono2many prepare video`."""

from dataclasses import dataclass

import tyro

from mono2many.commands.flags import parse
from mono2many.commands.inputs import must_exist
from mono2many.datasets.base import at_least
from mono2many.errors import InputError


@dataclass(frozen=True)
class PrepareVideoConfig:
    """Look through videos and list what can be learnt from: clips between cuts, without standing frames."""

    inputs: tyro.conf.Positional[tuple[str, ...]]
    """Video files, folders of images or of videos; "trips/*.mp4" works too."""
    out: str = "prepared"
    """Folder for the lists: OUT/VIDEO.clips.json, which `train --data` reads, with OUT/masks/VIDEO.png where
    something is fixed to the camera."""
    shortest: int = 12
    """Clips with fewer frames are left out."""

    def __post_init__(self) -> None:
        if not self.inputs:
            raise InputError("nothing to prepare: name video files or folders of images")
        at_least("--shortest", self.shortest, 3)


def run(arguments: list[str]) -> None:
    config = parse(PrepareVideoConfig, "mono2many prepare video", arguments)
    must_exist("", config.inputs)
    from mono2many.datasets.video.prepare import prepare_video

    prepare_video(config.inputs, config.out, config.shortest)
