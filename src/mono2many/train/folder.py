"""A run's folder: settings, checkpoints, the model as it is now."""

import json
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from mono2many.files import MALFORMED, explained, remove_partial, write_text
from mono2many.models.checkpoint import (
    BEFORE,
    check_optimiser,
    load_training_state,
    save_model,
    save_training_state,
)
from mono2many.models.tensors import misfits, not_finite
from mono2many.train.cameras import write_cameras
from mono2many.train.logs import provenance
from mono2many.train.settings import TrainConfig
from mono2many.train.setup import RunState
from mono2many.types import InputError


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


def checkpoints_of(folder: Path) -> list[Path]:
    """The oldest first."""
    return sorted((folder / "checkpoints").glob("step-*.pt"))


def claim_folder(folder: Path, resume: bool) -> Path | None:
    """The last checkpoint of the run in `folder`; None for a run that begins. Makes the folder."""
    found = checkpoints_of(folder)
    if found and not resume:
        raise InputError(
            f"{folder} holds a run already: add --resume to go on with it, or choose another --name"
        )
    folder.mkdir(parents=True, exist_ok=True)
    return found[-1] if found else None


def begin_folder(folder: Path, config: TrainConfig, step: int) -> None:
    """Tidy the folder (one process only) and write run.json: the settings (for --config) with what
    made them run. Lines of the log about steps after `step` are removed: these are taken again."""
    for place in (folder, *folder.glob("*/")):
        remove_partial(place)  # of a process that was killed while it saved
    again = replace(config, run=replace(config.run, resume=False))
    about = {"settings": asdict(again), "made_by": provenance()}
    write_text(folder / "run.json", json.dumps(about, indent=2) + "\n")
    log = folder / "log.jsonl"
    if log.exists():
        kept = [
            line + "\n"
            for line in log.read_text(encoding="utf-8", errors="replace").splitlines()
            if _is_until(line, step)
        ]
        write_text(log, "".join(kept))


def save_run(state: RunState, train_state: TrainState, keep: int) -> None:
    """The model folder as it is now, then a checkpoint; the last `keep` checkpoints stay. In this order a run
    whose last checkpoint exists has its last model too."""
    if not state.fabric.is_global_zero:
        return
    save_model(state.folder, state.network, state.card)
    write_cameras(state, state.folder)
    checkpoints = state.folder / "checkpoints"
    checkpoints.mkdir(exist_ok=True)
    weights = {"model": state.network.state_dict(), "optimiser": state.optimiser.state_dict()}
    path = checkpoints / f"step-{train_state.step:08d}.pt"
    save_training_state(path, {**weights, **asdict(train_state)})
    for old in checkpoints_of(state.folder)[:-keep]:
        old.unlink()


def restore_run(state: RunState, checkpoint: Path) -> TrainState:
    """Fill networks and optimiser from a checkpoint."""
    saved = load_training_state(checkpoint)
    flags = f"resume with --config {state.folder / 'run.json'} --resume, or {BEFORE}"
    with explained(f"{checkpoint}: holds other networks than these flags make", flags, MALFORMED):
        if wrong := misfits(state.network.state_dict(), saved["model"]) or not_finite(saved["model"]):
            raise ValueError(wrong)
        check_optimiser(saved["optimiser"], state.optimiser)
        state.network.load_state_dict(saved["model"])
        state.optimiser.load_state_dict(saved["optimiser"])
    return TrainState(int(saved["step"]), saved["best"], int(saved["skipped"]))


def _is_until(line: str, step: int) -> bool:
    """False for half a line, too."""
    with suppress(ValueError, TypeError, KeyError):
        return bool(json.loads(line)["step"] <= step)
    return False
