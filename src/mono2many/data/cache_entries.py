"""The command `cache`: what the folder of decoded frames and laser scans holds, whether it is intact, and
removing what was not used for long."""

import math
import shutil
import time
from datetime import date
from pathlib import Path

from rich.console import Console
from rich.table import Table

from mono2many.data.cache import cache_root, damage
from mono2many.files import MALFORMED, read_json
from mono2many.terminal import say, text_console

DAY = 86400.0


def entries(root: Path) -> list[Path]:
    """The entries of a cache folder, the latest used first; also those that cannot be read."""
    folders = [path.parent for path in root.glob("*/index.json") if path.parent.suffix != ".part"]
    return sorted(folders, key=lambda folder: -folder.stat().st_mtime)


def show_cache(
    cache_dir: str | None, check: bool, unused_days: float | None, console: Console | None = None
) -> bool:
    """Print the entries; `check`: read every byte of each; `unused_days`: remove those not used for so many
    days. False if an entry is damaged."""
    console = console or text_console()
    root = cache_root(cache_dir)
    oldest = -math.inf if unused_days is None else time.time() - unused_days * DAY
    table = Table("entry", "frames", box=None, padding=(0, 2, 0, 0))
    table.add_column("GB", justify="right")
    table.add_column("last used")
    table.add_column()
    sound = True
    for folder in entries(root):
        last_used = folder.stat().st_mtime
        old = last_used < oldest
        state = "removed" if old else ""
        if check and not old:
            wrong = damage(folder)
            state = f"damaged: {wrong}" if wrong else "sound"
            sound &= wrong is None
        gigabytes = sum(path.stat().st_size for path in folder.iterdir()) / 1e9
        day = date.fromtimestamp(last_used).isoformat()
        table.add_row(folder.name, _frames(folder), f"{gigabytes:.2f}", day, state)
        if old:
            shutil.rmtree(folder)
            (root / f"{folder.name}.lock").unlink(missing_ok=True)
    console.print(table)
    say(console, f"in {root}")
    return sound


def _frames(folder: Path) -> str:
    """Data set and number of frames."""
    try:
        index = read_json(folder / "index.json", "the entry is built again")
        return f"{index['fingerprint'].split()[0]}, {sum(clip['frames'] for clip in index['clips'])} frames"
    except MALFORMED:
        return "unreadable"
