"""How far a camera went: a table of speeds, which the user gives as a CSV file."""

from collections.abc import Mapping
from pathlib import Path
from warnings import catch_warnings, simplefilter

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from mono2many.files import UNREADABLE, explained, read_text, user_path
from mono2many.types import FrameSequence, InputError

COLUMNS = ("time", "speed", "frame")
WANTED = "a header with time (s) and speed (m/s), and frame where footage has no times"


def read_speed(path: str | Path) -> dict[str, Float[ndarray, "N"]]:
    """The known columns of a CSV file: `time` since the video's beginning (s), `speed` (m/s) and, for
    images, `frame`, their number. Raises InputError naming file, line and column."""
    with explained(f"{path}: cannot be read as CSV", f"wanted {WANTED}", UNREADABLE), catch_warnings():
        simplefilter("ignore")  # of an empty file
        text = read_text(user_path(path))
        lines = [line for line in text.splitlines() if line.strip()] or ["nothing"]
        found = np.genfromtxt(
            lines, delimiter=",", names=True, case_sensitive="lower", autostrip=True, ndmin=1
        )
    names = found.dtype.names or ()
    if not {"time", "speed"} <= set(names):
        raise InputError(f"{path}: its columns are {', '.join(names) or 'none'}; wanted {WANTED}")
    if len(found) < 2:
        raise InputError(f"{path}: {len(found)} lines below the header, wanted two or more")
    table = {name: np.atleast_1d(found[name]).astype(float) for name in COLUMNS if name in names}
    for name, values in table.items():
        wrong = ~(np.isfinite(values) & (values >= 0))
        if wrong.any():
            line = int(wrong.argmax()) + 1
            raise InputError(f"{path}: {name} of line {line} below the header is no number of 0 or more")
        if name != "speed" and not (np.diff(values) > 0).all():
            raise InputError(f"{path}: {name} must grow from line to line; sort the file, remove doubles")
    return table


def metres_along(table: Mapping[str, ndarray], name: str | Path, clip: FrameSequence) -> Float[ndarray, "N"]:
    """Metres travelled at each frame of a clip, from some beginning; NaN where the table ends or has not
    begun, and beside a line whose speed is NaN. Between two lines speed changes evenly. Raises InputError
    where nothing says when."""
    key, at = "time", clip.times
    if at is None:
        if "#" in clip.name:  # a clip of a list: images are left out
            raise InputError(f"{name}: {clip.name} is a part of a folder; give the folder itself as --data")
        if "frame" not in table:
            raise InputError(f"{name}: when {clip.name} was taken is unknown; add a column frame (to a CSV)")
        key, at = "frame", tuple(range(clip.frames))
    speed = table["speed"]
    steps = (speed[1:] + speed[:-1]) / 2 * np.diff(table["time"])
    travelled = np.append(0, np.cumsum(np.nan_to_num(steps)))
    unknown = np.isnan(np.interp(at, table[key], speed))
    return np.where(unknown, np.nan, np.interp(at, table[key], travelled, left=np.nan, right=np.nan))
