"""A run's folder: settings, checkpoints, the model as it is now."""

import json
from dataclasses import asdict, replace
from pathlib import Path

from mono2many.config import TrainConfig
from mono2many.models.checkpoint import (
    load_training_state,
    save_model,
    save_training_state,
    write_atomically,
)
from mono2many.train.logs import provenance
from mono2many.train.setup import RunState
from mono2many.types import InputError


def claim_folder(folder: Path, resume: bool) -> Path | None:
    """Make the run's folder, or find the last checkpoint in it."""
    found = sorted((folder / "checkpoints").glob("step-*.pt"))
    if resume and not found:
        raise InputError(f"--resume: no checkpoint in {folder / 'checkpoints'}; leave --resume out to begin")
    if not resume and found:
        raise InputError(
            f"{folder} holds a run already: add --resume to go on with it, or choose another --name"
        )
    folder.mkdir(parents=True, exist_ok=True)
    return found[-1] if resume else None


def write_settings(folder: Path, config: TrainConfig) -> None:
    """run.json: the settings (for --config) with what made them run."""
    again = replace(config, run=replace(config.run, resume=False))
    text = json.dumps({"settings": asdict(again), "made_by": provenance()}, indent=2) + "\n"
    write_atomically(folder / "run.json", lambda path: path.write_text(text))


def save_run(state: RunState, step: int, keep: int, best: float) -> None:
    """The model folder as it is now, and a checkpoint; the last `keep` checkpoints stay."""
    if not state.fabric.is_global_zero:
        return
    checkpoints = state.folder / "checkpoints"
    checkpoints.mkdir(exist_ok=True)
    save_training_state(
        checkpoints / f"step-{step:08d}.pt",
        {
            "model": state.network.state_dict(),
            "optimiser": state.optimiser.state_dict(),
            "step": step,
            "best": best,
        },
    )
    save_model(state.folder, state.network, state.card)
    for old in sorted(checkpoints.glob("step-*.pt"))[:-keep]:
        old.unlink()


def restore_run(state: RunState, checkpoint: Path) -> tuple[int, float]:
    """(steps taken, best validation error) after filling networks and optimiser from a checkpoint."""
    saved = load_training_state(checkpoint)
    try:
        state.network.load_state_dict(saved["model"])
        state.optimiser.load_state_dict(saved["optimiser"])
    except (RuntimeError, ValueError) as error:
        raise InputError(
            f"{checkpoint}: holds other networks than these flags make; resume with --config "
            f"{state.folder / 'run.json'} --resume"
        ) from error
    return int(saved["step"]), float(saved["best"])
