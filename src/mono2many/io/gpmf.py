"""Speed in GPMF, the telemetry that action cameras write into a track `gpmd` of the video.

A payload is entries of key, type, size, repeat and big-endian data, padded to 32 bits; one of type 0 holds
entries: device > stream > values (format: github.com/gopro/gpmf-parser).
"""

import struct
from collections.abc import Iterator

import numpy as np
from jaxtyping import Float
from numpy import ndarray

START = b"DEVC"
"""How a payload begins."""
NESTED = b"\0"
NUMBERS = {"b": "i1", "B": "u1", "s": ">i2", "S": ">u2", "l": ">i4", "L": ">u4", "f": ">f4", "d": ">f8"}
"""Types by their letters."""
WORST = 5.0
"""Dilution of precision up to which a position is good, by the format's description."""
LOCKED = 2
"""From this fix on (2D, 3D) there is a position."""
Entry = tuple[bytes, bytes, int, bytes]
"""Key, type, bytes of one value, data."""


def entries_of(data: bytes) -> Iterator[Entry]:
    """The entries of one level. Raises ValueError where data ends before they do."""
    at = 0
    while at + 8 <= len(data):
        key, kind, size, repeat = struct.unpack_from(">4scBH", data, at)
        at, length = at + 8, size * repeat
        if at + length > len(data):
            raise ValueError(f"GPMF: {key!r} holds {length} bytes, {len(data) - at} are left")
        yield key, kind, size, data[at : at + length]
        at += (length + 3) // 4 * 4


def numbers(entry: Entry, types: str = "") -> Float[ndarray, "N C"]:
    """An entry's N values of C numbers; `types`: their letters where it is complex. Raises ValueError."""
    key, kind, size, data = entry
    letter = kind.decode("latin1")
    if letter != "?":
        types = letter * (size // np.dtype(NUMBERS.get(letter, "V256")).itemsize)
    if not types or not set(types) <= NUMBERS.keys():
        raise ValueError(f"GPMF: {key!r} has values of type {letter!r} {types!r}")
    layout = np.dtype([(str(i), NUMBERS[x]) for i, x in enumerate(types)])
    if layout.itemsize != size:
        raise ValueError(f"GPMF: {key!r} has values of {size} bytes, wanted {layout.itemsize}")
    rows = np.frombuffer(data, layout)
    return np.array([list(row) for row in rows.tolist()], float).reshape(len(rows), len(types))


def gpmf_points(payload: bytes, begin: float, duration: float) -> Float[ndarray, "N 5"]:
    """Time (s), latitude, longitude (degrees), height (m) and speed (m/s; by Doppler) of a payload's points,
    which are evenly spread over its duration; position and speed are NaN where there is no fix or it is not
    precise. GPS9 is read, else GPS5. Raises ValueError."""
    streams = [
        {entry[0]: entry for entry in entries_of(stream)}
        for key, kind, _, device in entries_of(payload)
        if key == START and kind == NESTED
        for inner, nested, _, stream in entries_of(device)
        if inner == b"STRM" and nested == NESTED
    ]
    for name, wanted in ((b"GPS9", 9), (b"GPS5", 5)):
        for stream in streams:
            if name in stream:
                return _points(stream, name, wanted, begin, duration)
    return np.empty((0, 5))


def _points(
    stream: dict[bytes, Entry], name: bytes, wanted: int, begin: float, duration: float
) -> Float[ndarray, "N 5"]:
    types = stream[b"TYPE"][3].decode("latin1").rstrip("\0") if b"TYPE" in stream else ""
    values = numbers(stream[name], types)
    divisor = numbers(stream[b"SCAL"]).ravel() if b"SCAL" in stream else np.ones(1)
    if values.shape[1] != wanted or len(divisor) not in (1, wanted) or not divisor.all():
        raise ValueError(f"GPMF: {name!r} has {values.shape[1]} numbers, its SCAL {divisor[:9].tolist()}")
    values = values / divisor
    if wanted == 9:
        dilution, fix = values[:, 7], values[:, 8]
    else:
        found = [numbers(stream[key]) if key in stream else None for key in (b"GPSP", b"GPSF")]
        if any(x is not None and x.size == 0 for x in found):
            raise ValueError("GPMF: GPSP or GPSF is empty")
        precision, lock = (None if x is None else x[0, 0] for x in found)
        dilution = 0.0 if precision is None else precision / 100
        fix = LOCKED if lock is None else lock
    good = np.broadcast_to((dilution <= WORST) & (fix >= LOCKED), len(values))
    time = begin + duration * np.arange(len(values)) / max(1, len(values))
    speed = values[:, 3:5].max(1)  # in three dimensions, or over ground where the camera gives that only
    return np.column_stack([time, np.where(good[:, None], np.column_stack([values[:, :3], speed]), np.nan)])
