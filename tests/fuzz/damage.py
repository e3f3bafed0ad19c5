"""How a whole file is damaged: at random, or at one named place."""

import json
import random
import zipfile
from typing import Any

from fuzz.inputs import CALIBRATION, DATE, json_bytes, zip_bytes

VALUES = [
    None,
    True,
    0,
    -1,
    1,
    0.5,
    1e300,
    -1e300,
    10**12,
    10**400,
    3e10,
    float("nan"),
    float("inf"),
    "",
    "a",
]
VALUES += ["/etc/passwd", "hf-hub:a/b", "\ud800", "b" * 5000, "0", [], {}, [[]], {"a": 1}, [1, 2, 3], [None]]
WORDS = [
    b"nan",
    b"inf",
    b"-1",
    b"0",
    b"1e300",
    b"9" * 400,
    b"",
    b" ",
    b"\t",
    b"\n",
    b"\x00",
    b"\xff\xfe",
    b"#",
]
WORDS += ["²".encode(), b"a", b"1-99999999999", b"--", b",", b"l", b":"]


def changed_json(data: bytes, chance: random.Random) -> bytes:
    """With one value replaced, removed or added."""
    root = json.loads(data)
    places: list[tuple[Any, Any]] = []
    waiting: list[Any] = [root]
    while waiting:
        inside = waiting.pop()
        keys = list(inside) if isinstance(inside, dict) else range(len(inside))
        places += [(inside, key) for key in keys]
        waiting += [inside[key] for key in keys if isinstance(inside[key], dict | list)]
    inside, key = chance.choice(places)
    what = chance.random()
    if what < 0.15:
        del inside[key]
    elif what < 0.2 and isinstance(inside, dict):
        inside["surprise"] = chance.choice(VALUES)
    else:
        inside[key] = chance.choice(VALUES)
    return json_bytes(root)


def changed_bytes(data: bytes, chance: random.Random) -> bytes:
    """Cut, with bytes changed, removed, repeated, or a word replaced."""
    at, length = chance.randrange(len(data) + 1), chance.choice((1, 4, 30))
    kind = chance.randrange(6)
    if kind == 0:
        return data[:at]
    if kind == 1:
        return data[:at] + data[at + length :]
    if kind == 2:
        return data[:at] + data[at : at + length] * chance.choice((2, 50)) + data[at + length :]
    if kind == 3:
        return data[:at] + chance.choice(WORDS) + data[at:]
    if kind == 4:
        words = data.split(b" ")
        words[chance.randrange(len(words))] = chance.choice(WORDS)
        return b" ".join(words)
    return data[:at] + chance.randbytes(length) + data[at + length :]


def changed_zip(data: bytes, chance: random.Random) -> bytes:
    name = chance.choice(("", ".", "/", "..", "a/../b", "\\", CALIBRATION, DATE, f"{DATE}/", "²"))
    method = chance.choice((zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2, zipfile.ZIP_STORED))
    return zip_bytes(name, f"{DATE}/calib_velo_to_cam.txt", method=method)


def damaged(name: str, data: bytes, chance: random.Random) -> bytes:
    what = chance.random()
    if name.endswith(".json") and what < 0.8:
        return changed_json(data, chance)
    if name.endswith(".json") and what < 0.83:
        return b"[" * chance.choice((60, 100_000))
    if name.endswith(".zip") and what < 0.6:
        data = changed_zip(data, chance)
        return data if what < 0.3 else changed_bytes(data, chance)
    return changed_bytes(data, chance)


def with_value(data: bytes, place: str, value: Any) -> bytes:
    """A JSON object whose value at a place such as `clips.0.times` is another."""
    root = inside = json.loads(data)
    *outer, last = [int(word) if word.isdigit() else word for word in place.split(".")]
    for key in outer:
        inside = inside[key]
    inside[last] = value
    return json_bytes(root)
