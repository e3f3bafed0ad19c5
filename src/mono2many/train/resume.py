"""A resumed run keeps its settings: what may change is recorded in run.json, all else is refused by name."""

from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from mono2many.datasets.base import RootSettings
from mono2many.errors import InputError
from mono2many.train.recipes import from_json
from mono2many.train.settings import TrainConfig

PLACES = ("run.resume", "run.config", "run.out", "run.name", "data.cache_dir")
"""Where the run lies: no change of it."""
MAY_CHANGE = (
    *("optim.steps", "optim.epochs", "data.workers", "data.cache", "loss.anchor", "run.device"),
    *("run.precision", "run.compile", "run.devices", "run.nodes", "run.max_minutes"),
    *("run.log_every", "run.picture_every", "run.val_every", "run.save_every", "run.keep"),
)

Changes = dict[str, list[Any]]
"""What a resumed run has otherwise than before: [before, now] by name."""


def changes(before: Any, now: Any, prefix: str = "") -> Changes:
    """Settings that differ, by names such as `optim.steps`; paths that moved and kept their name do not."""
    found: Changes = {}
    for field in fields(now):
        name, old, new = field.name, getattr(before, field.name, None), getattr(now, field.name)
        if is_dataclass(new):
            found |= changes(old, new, f"{name}.") if type(old) is type(new) else {}
        elif old != new and not _moved(old, new) and not (name == "data" and isinstance(now, RootSettings)):
            found[prefix + name] = [old, new]
    return {name: pair for name, pair in found.items() if name not in PLACES}


def permitted_changes(folder: Path, config: TrainConfig) -> Changes:
    """What `config` changes of the run in `folder`. InputError where that may not change."""
    if not (folder / "run.json").exists():
        return {}
    found = changes(from_json(folder / "run.json", lenient=True), config)
    others = {name: pair for name, pair in found.items() if name not in MAY_CHANGE}
    refused = [f"{_flag(name, now)} (it has {_word(old)})" for name, (old, now) in others.items()]
    if refused:
        more = f" and {len(refused) - 3} more" if len(refused) > 3 else ""
        raise InputError(
            f"{folder}: --resume goes on with the run's own settings, and {', '.join(refused[:3])}{more} "
            "would contradict them: leave that out, or train under another --name; --steps, --workers, "
            "--device and the places of files may change"
        )
    return found


def refuse_other_samples(before: Any, samples: int) -> None:
    """InputError where the data have changed under a run; `before`: their number when it began."""
    if before not in (None, samples):
        raise InputError(
            f"--data: {samples} training samples, the run began with {before}: --resume needs the same data; "
            "restore them, or train under another --name (--start-from goes on from the weights)"
        )


def in_words(found: Changes) -> str:
    """`--steps 6 -> 9, threads 1 -> 2`."""
    return ", ".join(f"{_flag(name)} {_word(old)} -> {_word(now)}" for name, (old, now) in found.items())


def _moved(old: Any, new: Any) -> bool:
    """Whether these name the same files at other places."""
    before, now = (list(x) if isinstance(x, (tuple, list)) else [x] for x in (old, new))
    text = all(isinstance(x, str) for x in (*before, *now))
    return text and [Path(x).name for x in before] == [Path(x).name for x in now]


def _flag(name: str, value: Any = None) -> str:
    part, _, word = name.rpartition(".")
    flag = f"--{word.replace('_', '-')}" if part else word
    if isinstance(value, bool):
        return flag if value else flag.replace("--", "--no-", 1)
    return flag if value is None else f"{flag} {_word(value)}"


def _word(value: Any) -> str:
    listed = isinstance(value, Sequence) and not isinstance(value, str)
    return " ".join(map(str, value)) if listed else str(value)
