"""The embedded street as a film with its camera file: footage for whoever has none at hand."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from mono2many.data.synthetic import StreetSettings, SyntheticReader
from mono2many.io.videos import VideoWriter
from mono2many.types import InputError, Split

FRAMES_PER_SECOND = 12.0


def write_film(
    path: str | Path,
    settings: StreetSettings,
    split: Split = "test",
    scene: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Path, Path]:
    """Write one scene as a video, and beside it the camera file that `mono2many train --camera` reads.

    Raises InputError if the file cannot be a video.
    """
    path = Path(path)
    if path.suffix.lower() != ".mp4":
        raise InputError(f"{path}: the film is written as .mp4; try {path.with_suffix('.mp4')}")
    for taken in (path, path.with_suffix(".json")):
        if taken.exists():
            raise InputError(f"{taken} exists already; remove it or name another film")
    reader = SyntheticReader(replace(settings, scenes=scene + 1), split)
    path.parent.mkdir(parents=True, exist_ok=True)
    with VideoWriter(path, FRAMES_PER_SECOND) as writer:
        for index in range(settings.frames):
            frame = reader.frame(scene, index)
            writer.write(frame.image)
            if progress is not None:
                progress(index + 1, settings.frames)
    k = frame.intrinsics.tolist()
    camera = {"width": settings.width, "height": settings.height}
    camera |= {"fx": k[0][0], "fy": k[1][1], "cx": k[0][2], "cy": k[1][2]}
    camera_path = path.with_suffix(".json")
    camera_path.write_text(json.dumps(camera, indent=2) + "\n")
    return path, camera_path
