"""Figures of runs and evaluations in files."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from mono2many.models.checkpoint import write_atomically


def write_json(name: str | None, figures: dict[str, Any]) -> None:
    """To the file that --json named, if it did."""
    if name is not None:
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, lambda temporary: temporary.write_text(json.dumps(figures, indent=2) + "\n"))


def training_curve(folder: Path) -> list[tuple[int, float]]:
    """(step, Abs Rel) of the validations in a run's log; empty where there is none."""
    log = folder / "log.jsonl"
    found = {}
    for text in log.read_text().splitlines() if log.exists() else []:
        with suppress(ValueError):  # a run that was killed may end in half a line
            line = json.loads(text)
            if line["event"] == "val" and "abs_rel" in line:
                found[line["step"]] = line["abs_rel"]
    return sorted(found.items())
