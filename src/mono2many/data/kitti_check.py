"""Whether a tree of KITTI raw is whole: every file that splits read, decoded."""

import shlex
from collections import Counter
from io import BytesIO
from pathlib import Path

import numpy as np
import simplejpeg
from PIL import Image
from rich.console import Console
from rich.table import Table

from mono2many.data.jpeg import in_processes
from mono2many.data.kitti_files import read_calibration
from mono2many.data.kitti_prepare import (
    CALIBRATION,
    Needs,
    needed_files,
    plainly,
    progress_bar,
    refuse_street,
)
from mono2many.types import InputError

SHOWN = 20
"""Files that are named with what is wrong."""


def check_kitti(root: Path, needs: Needs, console: Console, workers: int) -> bool:
    """Whether every file that is needed is there and whole: pictures are decoded and have the size that their
    calibration says. Shows what is wrong by drive, and what to run."""
    say = plainly(console)
    refuse_street(root)
    files = needed_files(root, needs)
    sizes: dict[tuple[str, str], tuple[int, int]] = {}
    wrong: Counter[tuple[str, str]] = Counter()
    bad: list[Path] = []
    for date in needs.dates:
        try:
            calibration = read_calibration(root, date)
            sizes |= {(date, eye): size for eye, size in calibration.sizes.items()}
        except InputError as error:
            say(str(error))
            bad += (here := [path for name in CALIBRATION if (path := root / date / name).exists()])
            wrong[f"{date}_calib.zip", "damaged"] = len(here)
    there = [(name, path, sizes.get((f.date, f.eye))) for name, f, path in files if path and f]
    with progress_bar(console, "looking through") as show:
        for done, flaw in enumerate(in_processes(_flaw, [item[1:] for item in there], workers), 1):
            if flaw:
                bad.append(there[done - 1][1])
                if len(bad) <= SHOWN:
                    say(f"{bad[-1]}: {flaw}")
                wrong[there[done - 1][0], flaw] += 1
            show(done, len(there))
    wrong.update((name, "missing") for name, _, path in files if path is None)
    wrong = +wrong
    if not wrong:
        say(f"{root}: all {len(files)} files of {len(needs.drives)} drives are there and whole")
        return True
    kinds, needed = ("missing", "damaged", "odd-sized"), Counter(name for name, _, _ in files)
    table = Table("archive", "needed", *kinds, title=f"{len(needs.drives)} drives, {len(files)} files")
    for name in sorted({name for name, _ in wrong}):
        table.add_row(
            name.removesuffix(".zip"), str(needed[name]), *(str(wrong[name, k] or "") for k in kinds)
        )
    console.print(table)
    say(f"{len({n for n, _ in wrong})} of {len(needed)} archives lack something. What mends it:")
    if bad:
        say(f"  rm {shlex.join(map(str, bad))}")
    keep = " --png" if any(path.suffix == ".png" for _, path, size in there if size) else ""
    say(f"  {needs.command(root, keep)}")
    return False


def _flaw(item: tuple[Path, tuple[int, int] | None]) -> str:
    """What is wrong with a picture or scan; of a picture the height and width it should have are given."""
    path, size = item
    try:
        if path.suffix == ".bin":
            length = path.stat().st_size
            return "" if length and length % 16 == 0 else "damaged"
        data = path.read_bytes()
        if path.suffix == ".jpg":
            found = simplejpeg.decode_jpeg(data, strict=True).shape[:2]
        else:
            found = np.asarray(Image.open(BytesIO(data))).shape[:2]
    except (OSError, ValueError, SyntaxError):
        return "damaged"
    return "" if size in (None, found) else "odd-sized"
