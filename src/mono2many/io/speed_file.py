"""How far a camera went, as the user gives it: a CSV file of speeds."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from mono2many.files import explained
from mono2many.types import FrameSequence, InputError

COLUMNS = ("time", "frame", "speed", "metres")
WANTED = "a header with speed (m/s) or metres (since the line before), and time (s) or frame"


def read_speed(path: str | Path) -> dict[str, Float[ndarray, "N"]]:
    """The known columns of a CSV file: `time` since the video's beginning (s), `frame` of the video, `speed`
    (m/s), `metres` since the line before. Raises InputError naming file, line and column."""
    with explained(f"{path}: cannot be read as CSV", f"wanted {WANTED}", (OSError, ValueError)):
        text = Path(path).expanduser().read_text(encoding="utf-8-sig")
        lines = [line for line in text.splitlines() if line.strip()] or ["nothing"]
        found = np.genfromtxt(
            lines, delimiter=",", names=True, case_sensitive="lower", autostrip=True, ndmin=1
        )
    names = found.dtype.names or ()
    table = {name: np.atleast_1d(found[name]).astype(float) for name in COLUMNS if name in names}
    if not {"speed", "metres"} & set(table) or not {"time", "frame"} & set(table):
        raise InputError(f"{path}: its columns are {', '.join(names) or 'none'}; wanted {WANTED}")
    if len(found) < 2:
        raise InputError(f"{path}: {len(found)} lines below the header, wanted two or more")
    for name, values in table.items():
        wrong = ~(np.isfinite(values) & (values >= 0))
        if wrong.any():
            line = int(wrong.argmax()) + 1
            raise InputError(f"{path}: {name} of line {line} below the header is no number of 0 or more")
        if name in ("time", "frame") and not (np.diff(values) > 0).all():
            raise InputError(f"{path}: {name} must grow from line to line; sort the file, remove doubles")
    return table


def metres_along(table: Mapping[str, ndarray], name: str | Path, clip: FrameSequence) -> Float[ndarray, "N"]:
    """Metres travelled at each frame of a clip, from some beginning; NaN where the table ends or has not
    begun. Between two lines speed changes evenly. Raises InputError where no column says when."""
    numbers = np.arange(clip.frames, dtype=float)
    times = None if clip.times is None else np.array(clip.times)
    if "time" in table and times is not None:
        key, at = "time", times
    elif "#" in clip.name:  # a clip of a list: frames of the video are left out
        raise InputError(f"{name}: frames of {clip.name} are found by their times; add a column time (s)")
    elif "frame" not in table:
        raise InputError(f"{name}: when the frames of {clip.name} were taken is unknown; add a column frame")
    elif times is not None and times[0] > 0:
        raise InputError(f"{name}: {clip.name} begins in the middle of its video; add a column time")
    else:
        key, at = "frame", numbers
    if "metres" in table:
        travelled = np.cumsum(table["metres"])
    else:
        if "time" in table:
            seconds = table["time"]
        elif times is not None:
            seconds = np.interp(table["frame"], numbers, times)
        else:
            raise InputError(f"{name}: speed wants a column time beside frame, or metres in its place")
        speed = table["speed"]
        travelled = np.append(0, np.cumsum((speed[1:] + speed[:-1]) / 2 * np.diff(seconds)))
    return np.interp(at, table[key], travelled, left=np.nan, right=np.nan)
