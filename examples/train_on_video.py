"""Fine-tune the starter on your own video from Python, and compare it with the starter there.

    mono2many street street.mp4
    python examples/train_on_video.py street.mp4 --camera street.json --steps 300 --name street

`mono2many learn` chooses sizes, frame step, mask and steps itself; here they are yours.
"""

from dataclasses import dataclass

import tyro

from mono2many import load, recipe, train
from mono2many.datasets.choice import DataConfig
from mono2many.datasets.video import VideoScoring
from mono2many.evaluate.run import evaluate
from mono2many.evaluate.settings import EvaluateConfig


@dataclass(frozen=True)
class Settings:
    video: tyro.conf.Positional[str]
    camera: str = "learn"
    """Camera file; `learn`: its intrinsics are optimised, too."""
    steps: int = 300
    height: int = 160
    width: int = 512
    batch_size: int = 4
    name: str = "own"


def main(s: Settings) -> None:
    size = {"height": s.height, "width": s.width, "batch_size": s.batch_size}
    config = recipe("video", "video", data=s.video, camera=s.camera, steps=s.steps, name=s.name, **size)
    folder = train(config)
    print(f"{folder}: trained on {load(folder).card.trained_on}; held-out frames:")
    footage = VideoScoring(data=(s.video,), camera=(s.camera,))
    if s.camera == "learn":
        footage = footage.with_learnt_cameras(str(folder))
    for model in ("starter", str(folder)):
        evaluate(EvaluateConfig(model, DataConfig("video"), footage))


if __name__ == "__main__":
    main(tyro.cli(Settings))
