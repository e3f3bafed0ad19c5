"""Trains a tiny run, and again in processes that are killed at random moments and resumed.

python killed.py FOLDER KILLS: prints how often it killed; exits with 1 if the weights differ.
"""

import io
import multiprocessing
import random
import sys
import time
from dataclasses import replace
from pathlib import Path

import torch
from rich.console import Console
from safetensors.torch import load_file

from mono2many.datasets.street import StreetTraining
from mono2many.train.loop import train
from mono2many.train.recipes import recipe
from mono2many.train.settings import TrainConfig


def settings(out: Path, name: str, resume: bool) -> TrainConfig:
    base = recipe("scratch")
    return replace(
        base,
        data=replace(base.data, height=64, width=64, workers=0),
        dataset=StreetTraining(scenes=6, val_scenes=2, scene_frames=3),
        optim=replace(base.optim, steps=24, batch_size=4, jitter=True),
        run=replace(
            base.run,
            name=name,
            out=str(out),
            resume=resume,
            precision="fp32",
            device="cpu",
            log_every=4,
            picture_every=6,
            val_every=8,
            save_every=2,
        ),
    )


def one_run(out: Path, name: str, resume: bool) -> None:
    torch.set_num_threads(1)
    train(settings(out, name, resume), Console(file=io.StringIO()))


def main(out: Path, wanted: int) -> int:
    fork = multiprocessing.get_context("fork")  # torch is imported once; this process never computes

    def start(name: str, resume: bool) -> multiprocessing.process.BaseProcess:
        process = fork.Process(target=one_run, args=(out, name, resume))
        process.start()
        return process

    finished = False
    moments, kills, runs, began = random.Random(0), 0, 0, time.monotonic()
    whole = start("whole", False)
    whole.join()
    assert whole.exitcode == 0
    span = time.monotonic() - began
    expected = load_file(out / "whole" / "model.safetensors")
    while kills < wanted or not finished:
        process = start(f"killed-{runs}", True)
        process.join(moments.uniform(0.1, 0.8) * span if kills < wanted else None)
        finished = process.exitcode is not None
        if not finished:
            process.kill()
            process.join()
            kills += 1
            continue
        assert process.exitcode == 0, "a resumed run failed"
        found = load_file(out / f"killed-{runs}" / "model.safetensors")
        if found.keys() != expected.keys() or not all(torch.equal(found[k], v) for k, v in expected.items()):
            print("weights differ")
            return 1
        runs += 1
    print(kills)
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2])))
