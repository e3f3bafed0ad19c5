"""The coefficients of predict/confidence.py: fitted on streets of the validation split.

python examples/fit_std.py --models starter
"""

from dataclasses import dataclass
from itertools import product

import torch
import tyro

from mono2many import load
from mono2many.predict.confidence import fit_std
from mono2many.street.reader import StreetSettings, SyntheticReader

NAMES = ("flip", "edge", "teacher", "sweep", "motion")


@dataclass(frozen=True)
class Settings:
    models: tuple[str, ...] = ("starter",)
    """Whose errors are taken together."""
    streets: int = 6
    frames: int = 24
    """Every fourth is used."""
    height: int = 160
    width: int = 512
    """The model's own size."""
    pixels: int = 700
    """Of each frame."""


def main(s: Settings) -> None:
    street = StreetSettings(s.streets, s.frames, s.height, s.width, variety="wide")
    reader, rng = SyntheticReader(street, "val"), torch.Generator().manual_seed(0)
    cues, errors = [], []
    for model, clip in product(s.models, range(s.streets)):
        stream = load(model).stream(reader.frame(clip, 0).intrinsics, std=True)
        for i in range(s.frames):
            if i % 4 > 1:  # the used one and the frame before it
                continue
            frame = reader.frame(clip, i)
            depth, found = stream(frame.image).depth, stream.cues
            if i % 4 == 0 or found.motion is None:
                continue
            known = (frame.depth < 80) & found.motion_seen[0]
            ratio = frame.depth / depth
            chosen = torch.randperm(int(known.sum()), generator=rng)[: s.pixels]
            errors.append((ratio / ratio[known].median()).log()[known][chosen])
            names = [name for name in NAMES if getattr(found, name) is not None]
            of_all = torch.stack([getattr(found, name)[0] for name in names], -1)
            cues.append(of_all[known][chosen])
    for count in range(1, len(names) + 1):
        fitted = fit_std(torch.cat(cues)[:, :count], torch.cat(errors))
        print(names[:count], [round(value, 3) for value in fitted])


if __name__ == "__main__":
    main(tyro.cli(Settings))
