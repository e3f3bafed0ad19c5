"""What the program computes, as numbers: to compare before and after a change that should change nothing.

    python tests/behaviour.py before.json
    python tests/behaviour.py after.json --against before.json

Short trainings (20 steps, one thread, fp32) of every kind, the figures of every evaluation on small trees of
the procedural street in four layouts, and what predict writes. Both files must come from the same machine:
other processors round otherwise. With --against it names what differs and ends with status 1.
"""

import contextlib
import hashlib
import json
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tyro
from safetensors.torch import load_file

from mono2many.cli import main as mono2many
from mono2many.io.images import write_image
from mono2many.io.videos import video_frames

SIZE = "--height 64 --width 96 --batch-size 2"
STEPS = "--steps 20 --log-every 1 --val-every 20 --picture-every 20"
SAME = f"{SIZE} {STEPS} --workers 0 --device cpu --precision fp32 --seed 0 --out runs"
STREETS = "--scenes 4 --val-scenes 2"
NONE = "--encoder-weights none"

TREES = {
    "kitti": "--layout kitti --drives 2 --frames 12 --height 64 --width 160",
    "odometry": "--layout odometry --drives 2 --frames 12 --height 64 --width 160",
    "dgp": "--layout dgp --drives 2 --frames 5 --height 64 --width 96",
    "cityscapes": "--layout cityscapes --drives 3 --frames 30 --height 64 --width 128",
}
TRAININGS = {
    "default": f"{STREETS} {NONE}",
    "scratch": f"{STREETS} --recipe scratch",
    "reference": f"{STREETS} {NONE} --recipe reference",
    "wide": f"{STREETS} --recipe scratch --variety wide",
    "mask": f"{STREETS} {NONE} --predictive-mask --no-automask --pose-type shared",
    "posecnn": f"{STREETS} {NONE} --pose-type posecnn --pose-input all --combine average",
    "starter": f"{STREETS} --start-from starter",
    "starter-fading": f"{STREETS} --start-from starter --anchor 0.3 --anchor-until 0.5",
    "stereo": f"{NONE} --datatype kitti_eigen_zhou --data trees/kitti --stereo also",
    "stereo-only": f"{NONE} --datatype kitti_eigen_full --data trees/kitti --stereo only",
    "odometry": f"{NONE} --datatype kitti_odometry --data trees/odometry",
    "ddad": f"{NONE} --datatype ddad --data trees/dgp",
    "cityscapes": f"{NONE} --datatype cityscapes --data trees/cityscapes",
    "video": "--datatype video --data street.mp4 --camera street.json --recipe scratch",
    "learnt-camera": "--datatype video --data street.mp4 --camera learn --recipe scratch",
    "many-features": f"{STREETS} {NONE} --model many --hypotheses 16",
    "many-pixels": f"{STREETS} --recipe scratch --model many --match-by pixels --teacher runs/scratch "
    "--freeze-from 0 --hypotheses 16",
}
EIGEN = "--datatype kitti_eigen --data trees/kitti"
ODOMETRY = "--model runs/odometry --datatype kitti_odometry --data trees/odometry"
STREET = "--datatype synthetic --test-scenes 2 --baseline-scenes 2"
SCORES = {
    "street": f"--model runs/scratch {STREET}",
    "wide": f"--model starter {STREET} --variety wide",
    "flip": f"--model runs/scratch {STREET} --flip",
    "many-street": f"--model runs/many-pixels {STREET}",
    "video": "--model runs/video",
    "eigen": f"--model runs/stereo {EIGEN}",
    "benchmark": "--model runs/stereo --datatype kitti_eigen_benchmark --data trees/kitti "
    "--allow-contaminated",
    "stereo-factor": f"--model runs/stereo {EIGEN} --alignment stereo",
    "affine": f"--model starter {EIGEN} --alignment affine",
    "many-eigen": f"--model runs/many-features {EIGEN}",
    "odometry": ODOMETRY,
    "odometry-refined": f"{ODOMETRY} --refine-motion",
    "ddad": "--model runs/ddad --datatype ddad --data trees/dgp",
    "ddad-own-unit": "--model starter --datatype ddad --data trees/dgp --alignment none",
    "cityscapes": "--model runs/cityscapes --datatype cityscapes --data trees/cityscapes",
}
PREDICTIONS = {
    "video": "street.mp4 --model starter --save video npy colour --poses kitti tum",
    "refined": "street.mp4 --model starter --poses kitti --refine-motion --camera street.json",
    "many": "street.mp4 --model runs/many-pixels --camera street.json --save npy",
    "images": "pictures --model runs/scratch --save npy png16 colour --flip",
}


@dataclass(frozen=True)
class Settings:
    """Write what the program computes."""

    out: tyro.conf.Positional[Path]
    """JSON to write."""
    against: Path | None = None
    """JSON of an earlier commit."""
    only: tuple[str, ...] = ()
    """Of trainings, scores and predictions those with these names; what they need must be named too."""


def run(line: str) -> None:
    print(f"mono2many {line}", flush=True)
    mono2many(line.split())


def steps(folder: Path) -> dict[str, Any]:
    """Every number of the log that is no time, and the size of each weight."""
    events = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    timed = ("time", "samples_per_s", "seconds")
    log = [{k: v for k, v in event.items() if k not in timed} for event in events]
    weights = load_file(folder / "model.safetensors")
    return {"log": log, "weights": {k: float(v.double().abs().sum()) for k, v in sorted(weights.items())}}


def written(folder: Path) -> dict[str, str]:
    """Digest of every file; of a video the number and mean of its frames."""
    found = {}
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        if path.suffix == ".mp4":
            frames = torch.stack(list(video_frames(path)))
            digest = f"{tuple(frames.shape)} {frames.double().mean():.6f}"
        elif path.suffix == ".npy":
            digest = hashlib.sha256(np.load(path).tobytes()).hexdigest()
        else:
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
        found[str(path.relative_to(folder))] = digest
    return found


def compute(wanted: set[str]) -> dict[str, Any]:
    """Everything, in the current folder."""

    def chosen(table: dict[str, str]) -> Iterator[tuple[str, str]]:
        return ((name, line) for name, line in table.items() if not wanted or name in wanted)

    run("street street.mp4 --frames 12 --height 64 --width 96")
    frames = list(video_frames(Path("street.mp4")))
    Path("pictures").mkdir()
    for i, frame in enumerate(frames[:3]):
        write_image(Path(f"pictures/{i}.png"), frame)
    for name, line in TREES.items():
        run(f"prepare synthetic {line} --workers 1 --out trees/{name}")
    found: dict[str, Any] = {}
    for name, line in chosen(TRAININGS):
        run(f"train {line} {SAME} --name {name}")
        found[f"train {name}"] = steps(Path("runs", name))
    for name, line in chosen(SCORES):
        run(f"evaluate {line} --json score.json")
        found[f"evaluate {name}"] = json.loads(Path("score.json").read_text())
    for name, line in chosen(PREDICTIONS):
        run(f"predict {line} --out predicted/{name}")
        found[f"predict {name}"] = written(Path("predicted", name))
    return found


def differences(before: Any, after: Any, place: str = "") -> Iterator[str]:
    """Places in two JSON values that are not the same, and what they hold."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key in sorted(before.keys() | after.keys()):
            yield from differences(before.get(key), after.get(key), f"{place}/{key}")
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for i, (one, other) in enumerate(zip(before, after, strict=True)):
            yield from differences(one, other, f"{place}/{i}")
    elif repr(before) != repr(after):  # a NaN equals itself
        yield f"{place}: {before} -> {after}"


def main(s: Settings) -> None:
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        found = compute(set(s.only))
    text = json.dumps(found, indent=1)
    s.out.write_text(text + "\n")
    if s.against is not None:
        lines = list(differences(json.loads(s.against.read_text()), json.loads(text)))
        print(*(lines[:200] or ["nothing differs"]), sep="\n")
        sys.exit(bool(lines))


if __name__ == "__main__":
    main(tyro.cli(Settings))
