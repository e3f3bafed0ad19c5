"""Trains as test_processes does, in two processes, in which something goes wrong.

python failing.py FOLDER STEPS WHAT. WHAT: 0 or 1: at the third step that process fails. stop: then the
first one gets Ctrl-C. resume: the run is resumed, and the second process finds no checkpoint.
"""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lightning_fabric.strategies.launchers import subprocess_script

from mono2many.cli import main
from mono2many.train import loop
from mono2many.types import InputError

FOLDER, STEPS, WHAT = sys.argv[1:]
RANK = os.environ.get("LOCAL_RANK", "0")
own_step, own_folder, done = loop.mono_step, loop.owned_folder, []


def failing(*inputs: Any, **more: Any) -> Any:
    done.append(1)
    if len(done) == 3 and RANK == WHAT:
        raise InputError(f"frame {RANK} is damaged")
    if len(done) == 3 and WHAT == "stop" and RANK == "0":
        signal.raise_signal(signal.SIGINT)
    return own_step(*inputs, **more)


@contextmanager
def without_checkpoints(*inputs: Any) -> Iterator[list[Path]]:
    with own_folder(*inputs) as checkpoints:
        yield [] if RANK == "1" else checkpoints


if __name__ == "__main__":
    settings = {"devices": 2, "device": "cpu", "scenes": 4, "val-scenes": 2, "scene-frames": 3, "height": 64,
                "width": 64, "steps": STEPS, "batch-size": 4, "log-every": 2, "val-every": 2,
                "out": FOLDER}  # fmt: skip
    words = ["train", "--recipe", "scratch"]
    for name, value in settings.items():
        words += [f"--{name}", str(value)]
    if WHAT == "resume":
        loop.owned_folder = without_checkpoints  # type: ignore[assignment]
        words.append("--resume")
    loop.mono_step = failing
    # Lightning looks every five seconds for a process that failed, and kills the first one then: here at once
    subprocess_script._ChildProcessObserver.__init__.__defaults__ = (0.02,)  # type: ignore[misc, attr-defined]
    main(words)
