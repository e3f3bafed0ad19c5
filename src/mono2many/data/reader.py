"""One line per data set: its name on the command line, and how its reader is made."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from mono2many.data.synthetic import StreetSettings, SyntheticReader
from mono2many.data.video import VideoReader, VideoSettings
from mono2many.types import Reader, Split


@dataclass(frozen=True)
class SourceSettings:
    """What any reader may need to know; each takes what concerns it."""

    datatype: str
    height: int
    width: int
    paths: tuple[str, ...] = ()
    cameras: tuple[str, ...] = ()
    fov: float | None = None
    crop_bottom: float = 0.0
    hold_out: float = 0.1
    hold_out_frames: int | None = None
    scenes: int = 320
    scene_frames: int = 4
    seed: int = 0


def open_reader(settings: SourceSettings, split: Split) -> Reader:
    """The reader of a data set's split. Raises InputError for input that cannot be read."""
    return READERS[settings.datatype](settings, split)


def _synthetic(s: SourceSettings, split: Split) -> Reader:
    return SyntheticReader(StreetSettings(s.scenes, s.scene_frames, s.height, s.width, s.seed), split)


def _video(s: SourceSettings, split: Split) -> Reader:
    return VideoReader(
        VideoSettings(
            s.paths, s.cameras, s.fov, s.height, s.width, s.hold_out, s.hold_out_frames, s.crop_bottom
        ),
        split,
    )


READERS: Mapping[str, Callable[[SourceSettings, Split], Reader]] = {"synthetic": _synthetic, "video": _video}
