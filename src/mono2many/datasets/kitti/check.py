"""Whether a tree of KITTI raw is whole: every file that splits read, decoded."""

import shlex
from collections import Counter
from io import BytesIO
from pathlib import Path

import numpy as np
import simplejpeg
from PIL import Image
from rich.console import Console

from mono2many.datasets.kitti.files import read_calibration, read_velodyne
from mono2many.datasets.kitti.jpeg import in_threads
from mono2many.datasets.kitti.prepare import IMPROVED, NeededFile, Needs, needed_files, refuse_street
from mono2many.errors import InputError
from mono2many.io.images import NO_IMAGE

SHOWN = 20
"""Files that are named with what is wrong."""


def check_kitti(root: Path, needs: Needs, console: Console, workers: int) -> bool:
    """Whether every file that is needed is there and whole: images are decoded and have the size that their
    calibration says. Shows what is wrong by archive, and what to run."""
    refuse_street(root)
    files, flaws = needed_files(root, needs), dict[NeededFile, str]()
    sizes: dict[tuple[str, str], tuple[int, int]] = {}
    for date in sorted({frame.date for frame in needs.images}):
        try:
            eyes = sorted({frame.eye for frame in needs.images if frame.date == date})
            calibration = read_calibration(root, date, eyes)
            sizes |= {(date, eye): size for eye, size in calibration.sizes.items()}
        except InputError as error:
            console.out(str(error))
            flaws |= {f: "damaged" for f in files if f.archive == f"{date}_calib.zip" and f.path.exists()}
    wanted = [(f.path, sizes.get((f.frame.date, f.frame.eye)) if f.frame else None) for f in files]
    found = in_threads(_flaw, wanted, workers, console, "looking through")
    flaws |= {file: flaw for file, flaw in zip(files, found, strict=True) if flaw}
    if not flaws:
        console.out(f"{root}: all {len(files)} files are there and whole")
        return True
    there = {file.path: flaw for file, flaw in flaws.items() if flaw != "missing"}
    for path, flaw in list(there.items())[:SHOWN]:
        console.out(f"{path}: {flaw}")
    needed, count = Counter(f.archive for f in files), Counter((f.archive, flaw) for f, flaw in flaws.items())
    for name in sorted({file.archive for file in flaws}):
        kinds = [f"{n} {flaw}" for (archive, flaw), n in sorted(count.items()) if archive == name]
        console.out(f"{name}: {', '.join(kinds)} of {needed[name]} files")
    console.out("What mends it:")
    if there:
        console.out(f"  {shlex.join(['rm', *map(str, there)])}")
    images = [f.path for f in files if f.archive != f"{IMPROVED}.zip" and f.path.exists()]
    png = ["--png"] if any(path.suffix == ".png" for path in images) else []
    console.out(f"  {needs.command(root, *png)}")
    return False


def _flaw(item: tuple[Path, tuple[int, int] | None]) -> str:
    """What is wrong with a file; of an image the height and width it should have are given."""
    path, size = item
    if not path.exists():
        return "missing"
    try:
        if path.suffix == ".txt":  # calibration, which is read apart
            return ""
        if path.suffix == ".bin":
            read_velodyne(path)
            return ""
        data = path.read_bytes()
        if path.suffix == ".jpg":
            found = simplejpeg.decode_jpeg(data, strict=True).shape[:2]
        else:
            found = np.asarray(Image.open(BytesIO(data))).shape[:2]
    except NO_IMAGE:
        return "damaged"
    return "" if size in (None, found) else "odd-sized"
