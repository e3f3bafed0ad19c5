"""Small trainings made to collapse, and one that is not: prints what each says that is wrong.

python collapses.py FOLDER: about two minutes on one core.
"""

import io
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from mono2many.datasets.base import DatasetSettings
from mono2many.datasets.street import StreetTraining
from mono2many.datasets.video import VideoTraining
from mono2many.io.videos import VideoWriter
from mono2many.street.reader import StreetSettings, SyntheticReader
from mono2many.train.loop import train
from mono2many.train.recipes import recipe

SIZE = {"height": 64, "width": 96}


def frozen_road(path: Path) -> str:
    """A street whose lower half never moves in the image, as do cars at the camera's speed."""
    reader = SyntheticReader(StreetSettings(1, 24, step=0.5, **SIZE), "train")
    noise = torch.rand(3, 8, 24, generator=torch.Generator().manual_seed(0))
    with VideoWriter(path, 10.0) as film:
        for index in range(24):
            image = reader.frame(0, index).image.clone()
            image[:, 32:] = (255 * noise).repeat_interleave(4, 1).repeat_interleave(4, 2).byte()
            film.write(image)
    return str(path)


def run(
    out: Path, name: str, dataset: DatasetSettings, steps: int, automask: bool = True, **optim: Any
) -> None:
    base = recipe("scratch", "video" if isinstance(dataset, VideoTraining) else "synthetic")
    config = replace(
        base,
        data=replace(base.data, workers=0, cache_dir=str(out / "cache"), **SIZE),  # type: ignore[arg-type]
        dataset=dataset,
        loss=replace(base.loss, automask=automask),
        optim=replace(base.optim, steps=steps, batch_size=2, **optim),
        run=replace(base.run, name=name, out=str(out), log_every=10, val_every=steps // 6, precision="fp32"),
    )
    folder = train(config, Console(file=io.StringIO()))
    print(f"{name}:")
    for line in map(json.loads, (folder / "log.jsonl").read_text().splitlines()):
        if line["event"] == "warning":
            print(f"  step {line['step']}: {line['text']}")


def main(out: Path) -> None:
    street = StreetTraining(scenes=2, val_scenes=1, scene_frames=4, scene_step=0.5)
    film = frozen_road(out / "frozen.mp4")
    run(out, "ordinary", street, 90, learning_rate=2e-3)
    run(out, "learning rate", street, 30, learning_rate=0.2, warm_up=0.0)
    run(out, "static camera", replace(street, scene_step=0.0), 12)
    run(out, "frozen road", VideoTraining(data=(film,), fov=81.0, hold_out=0.2), 150, automask=False)
    run(out, "camera", VideoTraining(data=(film,), camera=("learn",), fov=81.0, hold_out=0.2), 12)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
