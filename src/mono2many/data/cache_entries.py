"""The command `cache`: what the folder of decoded frames and laser scans holds, whether it is intact, and
removing what was not used for long."""

import shutil
import time
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from rich.console import Console
from rich.table import Table

from mono2many.data.cache import cache_root, damage
from mono2many.files import read_json

DAY = 86400.0


@dataclass(frozen=True)
class Entry:
    """The decoded frames of one data set at one size."""

    folder: Path
    about: str
    """Data set, number of frames, their size."""
    gigabytes: float
    last_used: float
    """Seconds since 1970."""


def entries(root: Path) -> list[Entry]:
    """Of a cache folder, the latest used first; also those that cannot be read."""
    folders = [path.parent for path in root.glob("*/index.json") if not path.parent.name.endswith(".part")]
    found = [Entry(f, _about(f), _gigabytes(f), f.stat().st_mtime) for f in folders]
    return sorted(found, key=lambda entry: -entry.last_used)


def show_cache(
    cache_dir: str | None, check: bool, unused_days: float | None, console: Console | None = None
) -> bool:
    """Print the entries; `check`: read every byte of each; `unused_days`: remove those not used for so many
    days. False if an entry is damaged."""
    console = console or Console(highlight=False)
    root = cache_root(cache_dir)
    table = Table(box=None, padding=(0, 2, 0, 0))
    for column in ("entry", "frames", "GB", "last used", ""):
        table.add_column(column, justify="right" if column == "GB" else "left")
    sound = True
    for entry in entries(root):
        old = unused_days is not None and time.time() - entry.last_used > unused_days * DAY
        wrong = damage(entry.folder) if check and not old else None
        sound &= wrong is None
        state = "removed" if old else f"damaged: {wrong}" if wrong else "sound" if check else ""
        day = date.fromtimestamp(entry.last_used).isoformat()
        table.add_row(entry.folder.name, entry.about, f"{entry.gigabytes:.2f}", day, state)
        if old:
            shutil.rmtree(entry.folder)
            (root / f"{entry.folder.name}.lock").unlink(missing_ok=True)
    console.print(table)
    console.print(f"in {root}", soft_wrap=True)
    return sound


def _about(folder: Path) -> str:
    try:
        index = read_json(folder / "index.json", "the entry is built again")["index"]
        frames = sum(clip["frames"] for clip in index["clips"])
        return f"{index['fingerprint'].split()[0]}, {frames} frames"
    except (ValueError, KeyError, TypeError):
        return "unreadable"


def _gigabytes(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.iterdir()) / 1e9
