"""Files of figures: an evaluation's JSON, and the validations in a run's log."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from mono2many.files import write_text


def write_json(name: str | None, figures: dict[str, Any]) -> None:
    """Write to the file that --json named, if it did."""
    if name is not None:
        write_text(name, json.dumps(figures, indent=2) + "\n")


def training_curve(folder: Path) -> list[tuple[int, float]]:
    """(step, Abs Rel) of the validations in a run's log; empty where there is none."""
    log = folder / "log.jsonl"
    if not log.exists():
        return []
    abs_rel = {}
    for line in log.read_text().splitlines():
        with suppress(ValueError):  # the last line of a killed run may be incomplete
            entry = json.loads(line)
            if entry["event"] == "val" and "abs_rel" in entry:
                abs_rel[entry["step"]] = entry["abs_rel"]
    return sorted(abs_rel.items())
