"""A run's folder: its owner, settings, checkpoints, the model as it is now."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import NoReturn

from lightning_fabric.utilities.rank_zero import rank_zero_only

from mono2many.files import MALFORMED, explained, file_lock, read_json, remove_partial, write_text
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
from mono2many.train.resume import Changes, permitted_changes, refuse_other_samples
from mono2many.train.settings import TrainConfig
from mono2many.train.setup import RunState
from mono2many.types import InputError

LOCK = ".lock"
NO_CHECKPOINT = ".no_checkpoint_yet"
"""In checkpoints/ until the first is saved: a model that lies there is that of an interrupted run."""


@dataclass(frozen=True)
class TrainState:
    """What a run stores beside networks and optimiser. Random numbers need no state: they are functions of
    (seed, step, sample)."""

    step: int = 0
    """Steps taken."""
    best: float = float("inf")
    """Smallest validation error so far."""
    best_step: int = 0
    """Steps taken when it was found."""
    errors: tuple[float, ...] = ()
    """Of the last three validations."""
    skipped: int = 0
    """Steps whose loss or gradient was not finite."""


def checkpoints_of(folder: Path) -> list[Path]:
    """The oldest first."""
    return sorted((folder / "checkpoints").glob("step-*.pt"))


@contextmanager
def owned_folder(folder: Path, config: TrainConfig) -> Iterator[list[Path]]:
    """Makes and locks `folder`, which no other training can then have, and gives the checkpoints of the run
    in it, the newest first; none for a run that begins. InputError where the folder holds another run or
    model, or the run has other settings than `config`."""
    _claimed(folder, config)
    folder.mkdir(parents=True, exist_ok=True)

    def busy() -> NoReturn:
        raise InputError(f"{folder}: another training runs in it; wait for its end, or choose another --name")

    only_one = getattr(rank_zero_only, "rank", 0) == 0  # of a training's processes
    with file_lock(folder / LOCK, busy) if only_one else nullcontext():
        try:
            yield _claimed(folder, config)  # again: a training may have ended meanwhile
        except InputError:
            if [path.name for path in folder.iterdir()] == [LOCK]:  # where nothing began, nothing stays
                with suppress(OSError):
                    (folder / LOCK).unlink()
                    folder.rmdir()
            raise


def _claimed(folder: Path, config: TrainConfig) -> list[Path]:
    """The run's checkpoints, the newest first. InputError as in owned_folder."""
    found, resume = checkpoints_of(folder), config.run.resume
    if found and not resume:
        raise InputError(
            f"{folder} holds a run already: add --resume to continue it, or choose another --name"
        )
    if found:
        permitted_changes(folder, config)
    began = (folder / "checkpoints" / NO_CHECKPOINT).exists()
    models = [place for place in (folder, folder / "best") if (place / "model.safetensors").exists()]
    if models and not found and not (resume and began):
        remedy = (
            "add --resume to start its run again" if began else f"--start-from {folder} trains it further"
        )
        raise InputError(
            f"{folder} holds a model without checkpoints, which would be overwritten: {remedy}, or choose "
            "another --name"
        )
    return found[::-1]


def begin_folder(
    folder: Path, config: TrainConfig, step: int, samples: int, damaged: Sequence[Path]
) -> Changes:
    """Tidy the folder (one process only) and write run.json: the settings (for --config), with what made them
    run and what changed where the run was resumed, which is returned. Lines of the log about steps after
    `step` are removed: these are taken again. `damaged` checkpoints are renamed."""
    for place in (folder, *folder.glob("*/")):
        remove_partial(place)  # of a process that was killed while it saved
    path, resumes = folder / "run.json", bool(checkpoints_of(folder))
    again = replace(config, run=replace(config.run, resume=False))
    about = {"settings": asdict(again), "made_by": provenance(), "samples": samples}
    found: Changes = {}
    if resumes and path.exists():
        before = read_json(path, "it holds the settings of the run: give it back, or choose another --name")
        refuse_other_samples(before.get("samples"), samples)
        made_by = before.get("made_by", {})
        found = permitted_changes(folder, config)
        found |= {k: [made_by[k], v] for k, v in provenance().items() if made_by.get(k, v) != v}
        about["resumed"] = [*before.get("resumed", ()), *([{"step": step, **found}] if found else [])]
    for checkpoint in damaged:
        checkpoint.replace(checkpoint.with_name(f"{checkpoint.name}.damaged"))
    if not resumes:
        (folder / "checkpoints").mkdir(exist_ok=True)
        (folder / "checkpoints" / NO_CHECKPOINT).touch()
    write_text(path, json.dumps(about, indent=2) + "\n")
    log = folder / "log.jsonl"
    if log.exists():
        kept = [
            line + "\n"
            for line in log.read_text(encoding="utf-8", errors="replace").splitlines()
            if _is_until(line, step)
        ]
        write_text(log, "".join(kept))
    return found


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
    (checkpoints / NO_CHECKPOINT).unlink(missing_ok=True)


def restore_run(state: RunState, checkpoints: Sequence[Path]) -> tuple[TrainState, list[Path]]:
    """Fill networks and optimiser from the first of the checkpoints that can be read; returns also the
    damaged ones before it. InputError where none can. Several processes: that the first can read."""
    fabric = state.fabric
    if fabric.is_global_zero:
        found, damaged = _first_readable(state, checkpoints)
        fabric.broadcast(damaged)
        return found, damaged
    damaged = fabric.broadcast([])
    return _restored(state, checkpoints[len(damaged)]), damaged


def _first_readable(state: RunState, checkpoints: Sequence[Path]) -> tuple[TrainState, list[Path]]:
    problems: list[InputError] = []
    for number, checkpoint in enumerate(checkpoints):
        try:
            return _restored(state, checkpoint), list(checkpoints[:number])
        except InputError as error:
            problems.append(error)
    others = f"; nor can the {len(problems) - 1} before it be used" if len(problems) > 1 else ""
    raise InputError(f"{problems[0]}{others}")


def _restored(state: RunState, checkpoint: Path) -> TrainState:
    saved = load_training_state(checkpoint)
    flags = f"resume with --config {state.folder / 'run.json'} --resume, or {BEFORE}"
    with explained(f"{checkpoint}: holds other networks than these flags make", flags, MALFORMED):
        if wrong := misfits(state.network.state_dict(), saved["model"]) or not_finite(saved["model"]):
            raise ValueError(wrong)
        check_optimiser(saved["optimiser"], state.optimiser)
        state.network.load_state_dict(saved["model"])
        state.optimiser.load_state_dict(saved["optimiser"])
        errors = tuple(float(error) for error in saved.get("errors", ()))
        best = float(saved["best"]), int(saved.get("best_step", 0))
        return TrainState(int(saved["step"]), *best, errors, int(saved.get("skipped", 0)))


def _is_until(line: str, step: int) -> bool:
    """False for half a line, too."""
    with suppress(ValueError, TypeError, KeyError):
        return bool(json.loads(line)["step"] <= step)
    return False
