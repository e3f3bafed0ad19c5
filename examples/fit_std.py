"""The coefficients of predict/confidence.py: fitted on streets of the validation split.

python examples/fit_std.py --model starter
"""

from dataclasses import dataclass

import torch
import tyro

from mono2many import load
from mono2many.predict.confidence import fit_std
from mono2many.street.reader import StreetSettings, SyntheticReader


@dataclass(frozen=True)
class Settings:
    model: str = "starter"
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
    reader, predictor, rng = SyntheticReader(street, "val"), load(s.model), torch.Generator().manual_seed(0)
    cues, errors = [], []
    for clip in range(s.streets):
        stream = predictor.stream(reader.frame(clip, 0).intrinsics, std=True)
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
            of_all = torch.stack([found.flip[0], found.edge[0], found.motion[0]], -1)
            cues.append(of_all[known][chosen])
    for names in (("flip",), ("flip", "edge"), ("flip", "edge", "motion")):
        found = fit_std(torch.cat(cues)[:, : len(names)], torch.cat(errors))
        print(names, [round(value, 3) for value in found])


if __name__ == "__main__":
    main(tyro.cli(Settings))
