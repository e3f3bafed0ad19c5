"""What a ManyDepth's stream says when a film begins, and when its camera stops: is there a jump in scale?

    python examples/standing.py --model FOLDER --film FILM.mp4 --camera FILM.json --start 1060

Streams some frames, the last of them again and again, and prints how depth changes.
"""

from dataclasses import dataclass
from itertools import islice, pairwise
from pathlib import Path

import torch
import tyro

from mono2many import load
from mono2many.io.camera_file import camera_for
from mono2many.io.videos import timed_frames


@dataclass(frozen=True)
class Settings:
    model: Path
    film: Path
    camera: str
    start: int = 0
    """First frame."""
    frames: int = 120
    repeats: int = 30
    """Of the last one."""


def main(s: Settings) -> None:
    film = [image for _, image in islice(timed_frames(s.film), s.start, s.start + s.frames)]
    height, width = film[0].shape[1:]
    stream = load(s.model).stream(camera_for(s.camera, None, (height, width), str(s.film)).intrinsics)
    depths = [stream(image).depth for image in [*film, *[film[-1]] * s.repeats]]
    medians = torch.stack([depth.median() for depth in depths[: s.frames]])
    print(f"median depth of the first frame / of the next ten: {medians[0] / medians[1:11].mean():.3f}")
    changes = [((now - before) / before).abs() for before, now in pairwise(depths[s.frames - 1 :])]
    for number, change in enumerate(changes[:4], 1):
        print(f"repeat {number}: depth changes by {change.mean():.2%} on the mean")
    print(f"from the fifth on by {max(float(change.max()) for change in changes[4:]):.2%} at most, anywhere")


if __name__ == "__main__":
    main(tyro.cli(Settings))
