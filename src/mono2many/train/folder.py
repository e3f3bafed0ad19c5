"""A run's folder: settings, checkpoints, the model as it is now."""

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from mono2many.files import write_text
from mono2many.models.checkpoint import (
    load_training_state,
    save_model,
    save_training_state,
)
from mono2many.train.cameras import write_cameras
from mono2many.train.logs import provenance
from mono2many.train.settings import TrainConfig
from mono2many.train.setup import RunState
from mono2many.types import InputError

LEFTOVERS = (".*.part", "*/.*.part")
"""What a process that was killed while it saved leaves behind."""


@dataclass(frozen=True)
class TrainState:
    """What a run stores beside networks and optimiser. Random numbers need no state: they are functions of
    (seed, step, sample)."""

    step: int = 0
    """Steps taken."""
    best: float = float("inf")
    """Smallest validation error so far."""
    skipped: int = 0
    """Steps whose loss or gradient was not finite."""


def claim_folder(folder: Path, resume: bool) -> Path | None:
    """The last checkpoint of the run in `folder`; None for a run that begins. Makes the folder."""
    found = sorted((folder / "checkpoints").glob("step-*.pt"))
    if not resume and found:
        raise InputError(
            f"{folder} holds a run already: add --resume to go on with it, or choose another --name"
        )
    folder.mkdir(parents=True, exist_ok=True)
    return found[-1] if resume and found else None


def begin_folder(folder: Path, config: TrainConfig, step: int) -> None:
    """Tidy the folder (one process only) and write run.json: the settings (for --config) with what
    made them run. Lines of the log about steps after `step` are removed: these are taken again."""
    for pattern in LEFTOVERS:
        for leftover in folder.glob(pattern):
            leftover.unlink()
    again = replace(config, run=replace(config.run, resume=False))
    text = json.dumps({"settings": asdict(again), "made_by": provenance()}, indent=2) + "\n"
    write_text(folder / "run.json", text)
    log = folder / "log.jsonl"
    if log.exists():
        kept = [line for line in log.read_text().splitlines() if _until(line, step)]
        write_text(log, "".join(line + "\n" for line in kept))


def save_run(state: RunState, train_state: TrainState, keep: int) -> None:
    """The model folder as it is now, then a checkpoint; the last `keep` checkpoints stay. In this order a run
    whose last checkpoint exists has its last model too."""
    if not state.fabric.is_global_zero:
        return
    save_model(state.folder, state.network, state.card)
    write_cameras(state)
    checkpoints = state.folder / "checkpoints"
    checkpoints.mkdir(exist_ok=True)
    save_training_state(
        checkpoints / f"step-{train_state.step:08d}.pt",
        {
            "model": state.network.state_dict(),
            "optimiser": state.optimiser.state_dict(),
            **asdict(train_state),
        },
    )
    for old in sorted(checkpoints.glob("step-*.pt"))[:-keep]:
        old.unlink()


def restore_run(state: RunState, checkpoint: Path) -> TrainState:
    """Fill networks and optimiser from a checkpoint."""
    saved = load_training_state(checkpoint)
    try:
        state.network.load_state_dict(saved["model"])
        state.optimiser.load_state_dict(saved["optimiser"])
    except (RuntimeError, ValueError, KeyError) as error:
        raise InputError(
            f"{checkpoint}: holds other networks than these flags make; resume with --config "
            f"{state.folder / 'run.json'} --resume"
        ) from error
    return TrainState(int(saved["step"]), float(saved["best"]), int(saved.get("skipped", 0)))


def _until(line: str, step: int) -> bool:
    """False for half a line, too."""
    with suppress(ValueError, TypeError, KeyError):
        event: Mapping[str, Any] = json.loads(line)
        return bool(event["step"] <= step)
    return False
