"""How far the camera of one's own footage went, for `scale`: from the files that the user names, or from what
each video knows."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from rich.console import Console

from mono2many.evaluate.settings import ScaleConfig
from mono2many.io.gps_tracks import find_track, table_of_file
from mono2many.io.speed_file import metres_along
from mono2many.terminal import say
from mono2many.types import FrameSequence, InputError


def travelled(
    config: ScaleConfig, clips: Sequence[FrameSequence], videos: Sequence[Path], console: Console
) -> list[Float[ndarray, "_"]]:
    """Metres along the path at each frame of each clip, NaN where unknown. Says what they are from."""
    way, *names = config.scale_from
    films = len(config.dataset.sources)
    if way == "auto" and not videos:
        raise InputError("--scale-from auto: these data are no videos; give factor X or camera-height METRES")
    if way == "speed" and (len(names) not in (1, len(clips)) or len(names) == 1 < films):
        raise InputError(
            f"--scale-from speed: {len(names)} files for {films} films with {len(clips)} clips; give one for "
            "a single film, else one for each clip, in order"
        )
    videos = videos or [Path(clip.name) for clip in clips]
    files = [Path(n) for n in names * (len(clips) if len(names) == 1 else 1)] or list(videos)
    read = {}
    for file, video in zip(files, videos, strict=True):
        if file not in read:
            read[file], said = find_track(video) if way == "auto" else table_of_file(file, video)
            if way == "auto" or file.suffix.lower() != ".csv":
                say(console, f"{file}: {said}")
    found = [metres_along(read[file], file, clip) for file, clip in zip(files, clips, strict=True)]
    if not any(np.isfinite(metres[1:] - metres[:-1]).any() for metres in found):
        table, column = read[files[0]], "frame" if clips[0].times is None else "time"
        at = clips[0].times or range(clips[0].frames)
        raise InputError(
            f"{files[0]}: covers no two neighbouring frames of {clips[0].name}: its {column} is "
            f"{table[column][0]:g} to {table[column][-1]:g}, the frames' {at[0]:g} to {at[-1]:g}; "
            "count both from the video's beginning"
        )
    return found
