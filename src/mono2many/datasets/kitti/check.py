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

from mono2many.datasets.kitti.files import read_calibration
from mono2many.datasets.kitti.jpeg import in_threads
from mono2many.datasets.kitti.prepare import IMPROVED, NeededFile, Needs, needed_files, refuse_street
from mono2many.errors import InputError

SHOWN = 20
"""Files that are named with what is wrong."""


def check_kitti(root: Path, needs: Needs, console: Console, workers: int) -> bool:
    """Whether every file that is needed is there and whole: images are decoded and have the size that their
    calibration says. Shows what is wrong by drive, and what to run."""
    refuse_street(root)
    files = needed_files(root, needs)
    flaws: list[tuple[NeededFile, str]] = []
    sizes: dict[tuple[str, str], tuple[int, int]] = {}
    for date in needs.dates:
        try:
            sizes |= {(date, eye): size for eye, size in read_calibration(root, date).sizes.items()}
        except InputError as error:
            console.out(str(error))
            flaws += [
                (file, "damaged") for file in files if file.archive == f"{date}_calib.zip" and file.path
            ]
    there = [
        (file, file.path, sizes.get((file.frame.date, file.frame.eye)))
        for file in files
        if file.path and file.frame
    ]
    found = in_threads(_flaw, [item[1:] for item in there], workers, console, "looking through")
    flawed = [(file, flaw) for (file, _, _), flaw in zip(there, found, strict=True) if flaw]
    for file, flaw in flawed[:SHOWN]:
        console.out(f"{file.path}: {flaw}")
    flaws += flawed + [(file, "missing") for file in files if file.path is None]
    if flaws:
        _print_flaws(root, needs, files, flaws, console)
    else:
        console.out(f"{root}: all {len(files)} files of {len(needs.drives)} drives are there and whole")
    return not flaws


def _print_flaws(
    root: Path, needs: Needs, files: list[NeededFile], flaws: list[tuple[NeededFile, str]], console: Console
) -> None:
    """A table of how many files of each archive are flawed, and the commands that mend it."""
    kinds, needed = ("missing", "damaged", "odd-sized"), Counter(file.archive for file in files)
    count = Counter((file.archive, flaw) for file, flaw in flaws)
    table = Table("archive", "needed", *kinds, title=f"{len(needs.drives)} drives, {len(files)} files")
    for name in sorted({file.archive for file, _ in flaws}):
        cells = [str(count[name, kind] or "") for kind in kinds]
        table.add_row(name.removesuffix(".zip"), str(needed[name]), *cells)
    console.print(table)
    console.out(f"{table.row_count} of {len(needed)} archives lack something. What mends it:")
    if bad := [str(file.path) for file, _ in flaws if file.path]:
        console.out(f"  {shlex.join(['rm', *bad])}")
    images = [file.path for file in files if file.path and file.archive != f"{IMPROVED}.zip"]
    png = ["--png"] if any(path.suffix == ".png" for path in images) else []
    console.out(f"  {needs.command(root, *png)}")


def _flaw(item: tuple[Path, tuple[int, int] | None]) -> str:
    """What is wrong with an image or scan; of an image the height and width it should have are given."""
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
