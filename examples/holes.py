"""How often does a model see road or cars infinitely far away? A crude score of any video, and a picture.

    python examples/holes.py --models starter model_save/road --video road.mp4 --out outputs/holes

The score is the share of the pixels in the lower half of a frame whose depth lies beyond the 95th percentile
of that frame: 0 where the farthest twentieth is all in the upper half, 0.1 where it is all in the lower one.
Writes holes.json and holes.png: some frames and the disparity of each model, a row a frame.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import torch
import tyro
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn import functional as F

from mono2many import load
from mono2many.io.colour import colour_disparity
from mono2many.io.images import write_image
from mono2many.io.videos import video_frames


@dataclass(frozen=True)
class Settings:
    models: tuple[str, ...]
    """Model folders, or `starter`."""
    video: Path
    out: Path = Path("outputs/holes")
    start: float = 0.9
    """Share of the video before the first frame looked at: training holds out the last tenth."""
    every: int = 6
    """Frames from one scored to the next."""
    shown: int = 6
    """Frames in the picture."""


def hole_share(disparity: Float[Tensor, "H W"]) -> float:
    """Share of the lower half's pixels beyond the 95th percentile of depth of the whole image."""
    limit = disparity.flatten().kthvalue(max(1, round(0.05 * disparity.numel()))).values
    return float((disparity[disparity.shape[0] // 2 :] < limit).float().mean())


def small(image: UInt8[Tensor, "3 H W"], width: int = 400) -> UInt8[Tensor, "3 h w"]:
    size = (round(image.shape[1] * width / image.shape[2]), width)
    return F.interpolate(image[None].float(), size, mode="area")[0].round().byte()


def main(s: Settings) -> None:
    frames = list(video_frames(s.video))
    frames = frames[int(len(frames) * s.start) :: s.every]
    show = {int((i + 0.5) * len(frames) / s.shown) for i in range(s.shown)}
    columns = [[small(frame) for at, frame in enumerate(frames) if at in show]]
    figures = {}
    for name in s.models:
        predictor = load(name)
        disparities = [predictor.disparity(frame[None])[0] for frame in frames]
        shares = torch.tensor([hole_share(disparity) for disparity in disparities])
        figures[name] = {"mean": float(shares.mean()), "worst": float(shares.max()), "frames": len(frames)}
        columns.append([small(colour_disparity(d)) for at, d in enumerate(disparities) if at in show])
        print(f"{name}: {shares.mean():.2%} of the lower half, {shares.max():.2%} in the worst frame")
    s.out.mkdir(parents=True, exist_ok=True)
    (s.out / "holes.json").write_text(json.dumps(figures, indent=2) + "\n")
    write_image(s.out / "holes.png", torch.cat([torch.cat(column, 1) for column in columns], 2))


if __name__ == "__main__":
    main(tyro.cli(Settings))
