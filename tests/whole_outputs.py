"""Stops commands at random moments and fills the disk under them; looks at every file that they leave.

python tests/whole_outputs.py NEW_FOLDER [TRIALS [COMMAND ...]]: prints a table; exits with 1 if something
is wrong.

A tmpfs is the small disk where this process may mount one; elsewhere a limit on the size of files.
"""

import json
import multiprocessing
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file

from mono2many.cli import main
from mono2many.io.videos import probe_video
from mono2many.models.architecture import MonoArchitecture
from mono2many.models.checkpoint import ModelCard, save_model
from mono2many.models.mono import MonoDepth

SIZE = ["--height", "64", "--width", "64"]
SMALL = "--height 64 --width 64"
TRAIN = (
    "--datatype synthetic --scenes 2 --val-scenes 1 --scene-frames 3 --recipe scratch --steps 8 "
    "--batch-size 2 --workers 0 --save-every 2 --val-every 4 --device cpu --cache off"
)
COMMANDS = {
    "predict": "predict film.mp4 images --model model --out OUT "
    "--save video npy png16 colour --poses kitti tum",
    "train": f"train {TRAIN} {SMALL} --out OUT --resume",
    "prepare video": "prepare video film.mp4 images --out OUT --shortest 3",
    "prepare synthetic": f"prepare synthetic --layout rgbd {SMALL} --drives 2 --frames 12 --workers 1 "
    "--out OUT/tree",
    "evaluate": "evaluate --model model --datatype synthetic --test-scenes 1 --baseline-scenes 2 "
    "--json OUT/scores.json --report OUT/report.html",
}
GROWING = ("log.jsonl", "tensorboard", ".lock", ".no_checkpoint_yet")
"""Written line by line, and read so."""


def broken(path: Path) -> str:
    """What is wrong with a file, if anything."""
    readers = {
        ".mp4": probe_video,
        ".npy": np.load,
        ".json": lambda p: json.loads(p.read_text()),
        ".txt": np.loadtxt,
        ".tum": np.loadtxt,
        ".safetensors": load_file,
        ".pt": torch.load,
    }
    try:
        if path.suffix in (".png", ".jpg"):
            Image.open(path).load()
        elif path.suffix == ".html":
            assert path.read_text().rstrip().endswith("</html>")
        else:
            readers[path.suffix](path)  # type: ignore[operator]
    except Exception as error:
        return f"{path}: {error!r}"
    return ""


def left(out: Path) -> tuple[list[str], list[str]]:
    """What is wrong with the files under their final names; temporary files."""
    paths = [path for path in out.rglob("*") if path.is_file() and not set(GROWING) & {*path.parts}]
    hidden = [p for p in paths if any(part.endswith(".part") for part in p.relative_to(out).parts)]
    return [said for path in paths if path not in hidden and (said := broken(path))], list(map(str, hidden))


def child(arguments: list[str], said: Path, limit: int | None) -> None:
    torch.set_num_threads(1)
    descriptor = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    sys.stdout, sys.stderr = open(1, "w"), open(2, "w", buffering=1)  # noqa: SIM115
    if limit is not None:  # what is said goes through a pipe, which has no limit
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    code = 0
    try:
        main(arguments)
    except SystemExit as stop:
        code = int(stop.code or 0)
    with suppress(OSError):
        sys.stdout.flush()
    os._exit(code)


class Matrix:
    def __init__(self, folder: Path) -> None:
        self.folder, self.rng = folder, random.Random(0)
        self.wrong: list[str] = []
        self.fork = multiprocessing.get_context("fork")  # torch is imported once

    def prepare(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        os.chdir(self.folder)
        light = MonoArchitecture("light", "light", scales=1, pose_type="light")
        save_model("model", MonoDepth(light), ModelCard(light, 64, 64))
        main(["street", "film.mp4", "--frames", "8", *SIZE])
        Path("images").mkdir(exist_ok=True)
        for number, path in enumerate(["a", "b", "c", "d"]):
            pixels = np.random.default_rng(number).integers(0, 255, (64, 64, 3), np.uint8)
            Image.fromarray(pixels).save(f"images/{path}.png")

    def run(
        self, name: str, out: Path, stop: int | None = None, after: float = 0, limit: int | None = None
    ) -> tuple[int, str, float]:
        """Exit status, what was said, seconds."""
        arguments = [word.replace("OUT", str(out)) for word in COMMANDS[name].split()]
        said, began = self.folder / "said.txt", time.monotonic()
        process = self.fork.Process(target=child, args=(arguments, said, limit))
        process.start()
        assert process.pid is not None
        process.join(after if stop is not None else None)
        if process.exitcode is None and stop is not None:
            os.kill(process.pid, stop)
        process.join()
        return process.exitcode or 0, said.read_text(), time.monotonic() - began

    def check(self, name: str, fault: str, out: Path, code: int, said: str) -> None:
        """Adds what is wrong after a fault, and after the same command once more."""
        good = {"SIGINT": (130,), "SIGTERM": (143,), "SIGKILL": (-9,)}.get(fault, (2,))
        damaged, hidden = left(out)
        found = [f"status {code}: {said[-300:]}"] if code not in (0, *good) else []
        found += ["a traceback: " + said[-600:]] if "Traceback" in said else []
        found += damaged + (hidden if fault != "SIGKILL" else [])
        if code in (2, 130, 143) and not said.rstrip().splitlines()[-1].startswith("mono2many"):
            found.append(f"no line that says so: {said[-200:]}")
        self.wrong += [f"{name}, {fault}: {line}" for line in found]

    def again(self, name: str, fault: str, out: Path) -> None:
        code, said, _ = self.run(name, out)
        damaged, hidden = left(out)
        found = [f"again, status {code}: {said[-600:]}"] if code else []
        self.wrong += [f"{name}, {fault}: {line}" for line in (*found, *damaged, *hidden)]

    def row(self, name: str, trials: int) -> list[str]:
        """The command's outcomes by fault, how often each."""
        out = self.folder / "out"
        shutil.rmtree(out, ignore_errors=True)
        code, said, seconds = self.run(name, out)
        assert code == 0, said
        size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
        cells = []
        for fault in ("SIGINT", "SIGTERM", "SIGKILL"):
            before, stopped = len(self.wrong), 0
            for _ in range(trials):
                shutil.rmtree(out, ignore_errors=True)
                after = self.rng.uniform(0.05, 0.95) * seconds
                code, said, _ = self.run(name, out, getattr(signal, fault), after)
                stopped += code != 0
                self.check(name, fault, out, code, said)
                self.again(name, fault, out)
            cells.append(f"{stopped} of {trials} stopped, {len(self.wrong) - before} wrong")
        for share in (0.0, 0.3, 0.8):
            before = len(self.wrong)
            stopped = self.full(name, share, size)
            cells.append(f"status {stopped}, {len(self.wrong) - before} wrong")
        return cells

    def full(self, name: str, share: float, size: int) -> int:
        """On a disk with `share` of the bytes that the command needs."""
        disk = self.folder / "disk"
        disk.mkdir(exist_ok=True)
        pages = max(1, int(share * size) // 4096)
        mount = ["mount", "-t", "tmpfs", "-o", f"size={4096 * pages}", "tmpfs", str(disk)]
        mounted = subprocess.run(mount, capture_output=True, check=False).returncode == 0
        try:
            if share == 0 and mounted:
                (disk / "full").write_bytes(bytes(4096))
            out, limit = disk / "out", None if mounted else int(share * size / 8)
            code, said, _ = self.run(name, out, limit=limit)
            self.check(name, f"{share:.0%} of the disk", out, code, said)
            if code == 0:
                self.wrong.append(f"{name}, {share:.0%} of the disk: no error")
            if mounted:
                (disk / "full").unlink(missing_ok=True)
                larger = ["mount", "-o", f"remount,size={4 * size + 2**20}", str(disk)]
                subprocess.run(larger, check=True)
            self.again(name, f"{share:.0%} of the disk", out)
        finally:
            if mounted:
                subprocess.run(["umount", str(disk)], check=True)
            shutil.rmtree(disk)
        return code


if __name__ == "__main__":
    matrix = Matrix(Path(sys.argv[1]).absolute())
    matrix.prepare()
    print("| command | SIGINT | SIGTERM | SIGKILL | disk: 0 | 30 % | 80 % |\n|---|---|---|---|---|---|---|")
    for name in sys.argv[3:] or COMMANDS:
        cells = matrix.row(name, int(sys.argv[2]) if sys.argv[2:] else 4)
        print(f"| {name} | {' | '.join(cells)} |", flush=True)
    print("\n".join(matrix.wrong))
    sys.exit(bool(matrix.wrong))
