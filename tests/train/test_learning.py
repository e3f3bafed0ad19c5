"""Training learns: in a short film of one street the views get better and motion points forward."""

import io
import json
from dataclasses import replace
from pathlib import Path

import torch
from rich.console import Console

from mono2many.datasets.street import StreetTraining
from mono2many.models.checkpoint import load_model
from mono2many.models.mono import MonoDepth
from mono2many.street.reader import StreetSettings, SyntheticReader
from mono2many.train.loop import train
from mono2many.train.recipes import recipe

SIZE = {"height": 64, "width": 64}


def test_one_street_is_learnt_by_heart(tmp_path: Path) -> None:
    base = recipe("scratch")
    config = replace(
        base,
        data=replace(base.data, workers=0, **SIZE),
        dataset=StreetTraining(scenes=1, val_scenes=1, scene_frames=3, scene_step=0.5),
        optim=replace(base.optim, steps=90, batch_size=1, mirror=False, learning_rate=2e-3),
        run=replace(base.run, out=str(tmp_path), log_every=5, val_every=90, precision="fp32"),
    )
    folder = train(config, Console(file=io.StringIO()))
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    ratios = [line["photometric"] / line["still"] for line in lines if line["event"] == "train"]
    assert max(ratios[-3:]) < 0.5
    warnings = [line["text"] for line in lines if line["event"] == "warning"]
    assert all("photometric error" in text for text in warnings)  # of another street than this one

    model, _ = load_model(folder)
    assert isinstance(model, MonoDepth)
    frames = [SyntheticReader(StreetSettings(1, 3, step=0.5, **SIZE), "train").frame(0, i) for i in range(3)]
    images = torch.stack([frame.image for frame in frames]).float() / 255
    with torch.no_grad():
        _, translation = model.pose(images[:-1], images[1:, None], (1,))
        depth = 1 / model.depth(images)
    assert (translation[..., 2] < 0).all()  # a point ahead comes nearer
    truth = torch.stack([frame.depth for frame in frames if frame.depth is not None])
    known = truth.isfinite()
    assert torch.corrcoef(torch.stack([depth[known].log(), truth[known].log()]))[0, 1] > 0.7
