"""Readers of files under damage: whatever stands in a file, a reader returns or raises InputError.

`python tests/test_fuzz.py 10000` tries that many inputs; here a few of each reader, the same ones every time.
"""

import math
import random
import sys
import time
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fuzz.cases import CASES, Case
from fuzz.damage import damaged, with_value
from fuzz.inputs import CALIBRATION, CITY, DATE, DRIVE, encoded, numpy_bytes, write_inputs, zip_bytes
from mono2many.errors import InputError

EACH = 10
"""Damaged inputs of each reader in the suite."""
SLOWEST = 20.0
"""Seconds that one may take in the command, on a busy machine."""


def outcome(case: Case, path: Path, data: bytes, slowest: float = math.inf) -> str:
    """What a reader does with this content, where it does not return nor raise InputError in one line."""
    path.write_bytes(data)
    begin = time.perf_counter()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error" if case.name == "speed.csv" else "ignore")
            case.read(path)
    except InputError as error:
        if "\n" in str(error):
            return f"more than one line: {error}"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    seconds = time.perf_counter() - begin
    return "" if seconds < slowest else f"took {seconds:.0f} s"


def fuzz(case: Case, folder: Path, seeds: range, slowest: float = math.inf) -> list[str]:
    """What went wrong, with the seed and the beginning of the input."""
    path, wrong = folder / case.name, []
    whole = path.read_bytes()
    case.read(path)  # whole, it is read
    try:
        assert outcome(case, path, whole) == ""
        for seed in seeds:
            data = damaged(case.name, whole, random.Random(f"{case.name} {seed}"))
            if found := outcome(case, path, data, slowest):
                wrong.append(f"{case.name} {seed}: {found[:300]} ({data[:200]!r})")
    finally:
        path.write_bytes(whole)
    return wrong


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("inputs")
    write_inputs(folder)
    return folder


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_damaged_file_is_read_or_refused_in_one_line(inputs: Path, case: Case) -> None:
    assert fuzz(case, inputs, range(EACH)) == []


LENS = "dgp/s/calibration/c.json"
WRONG_VALUES = [
    (CITY, "size", [1, 2, 3], r"key 'size' is \[1, 2, 3\], wanted height and width"),
    (CITY, "size", [96], "key 'size' is"),
    (CITY, "intrinsic.fx", "9.0", "key 'fx' is '9.0', wanted a number"),
    ("a.clips.json", "clips.0.times", [0, 10**400, 1], "key 'times' is .*wanted finite numbers"),
    ("a.clips.json", "width", 0, "key 'width' is 0, wanted a whole number from 1"),
    ("a.clips.json", "clips.0.frames", [0, 1, "2"], "key 'frames': item 2 is '2', wanted a whole number"),
    ("mono/config.json", "factor", 0, "factor must be from 1e-09 to 1e"),
    ("mono/config.json", "architecture.max_depth", {"a": 1}, "key max_depth must be float, got {'a': 1}"),
    ("mono/config.json", "crop_bottom", "/etc/passwd", "key crop_bottom must be float"),
    ("mono/config.json", "architecture.cameras", 10**13, "cameras must be from 0 to 10000"),
    ("mono/config.json", "architecture.encoder", "hf-hub:a/b", "is no name of a timm model"),
    ("mono/config.json", "architecture.scales", True, "key scales must be int, got True"),
    ("mono/config.json", "height", 64 * 10**9, "must be multiples of 32 up to"),
    ("many/config.json", "architecture.hypotheses", 10**12, "hypotheses must be from 2 to 1024"),
    ("many/config.json", "architecture.matching", [0], "matching must be different numbers of frames"),
    ("run.json", "settings.optim.batch_size", 2.5, "batch_size must be int, got 2.5"),
    (LENS, "intrinsics.0.fx", 10**400, "key 'fx' is inf, wanted finite numbers"),
    (LENS, "intrinsics.0.fx", 1e300, r"a focal length fx of 1e\+300 pixels"),
    (LENS, "intrinsics.0.fy", None, "key 'fy' is None, wanted a number"),
    ("dgp/set.json", "scene_splits", {"0": [None]}, "key 'filenames' is missing, wanted a list"),
    ("camera.json", "fx", float("nan"), "key 'fx' is nan, wanted finite numbers"),
]
WRONG_CONTENT = [
    ("camera.json", b"[1]", "it holds a list, wanted an object"),
    ("camera.json", b'{"a":' * 90 + b"1" + b"}" * 90, "nested too deeply"),
    ("camera.json", b"[" * 10**6, "nested too deeply"),
    ("camera.json", b'{"fx": 1, "fx": 2}', "key 'fx' occurs twice"),
    ("camera.json", '{"fx": 1}'.encode("utf-16"), "codec can't decode byte 0xff"),
    ("dgp/s/a.npz", numpy_bytes(np.zeros((3, 4))), "cannot be read as a laser scan"),
    ("depth.png", encoded(Image.new("RGB", (4, 4)), "PNG"), "wanted a depth map of 16-bit grey"),
    (CALIBRATION, b"S_rect_02: -5 -5\nP_rect_02: 9 0 4 -3 0 9 3 0 0 0 1 0\n", "an image of -5x-5 pixels"),
    ("sequences/09/calib.txt", b"P2: " + b"0 " * 12, "key P2 cannot be a camera's .*fx of 0 pixels"),
    ("speed.csv", b"#", "cannot be read as CSV"),
    ("list.txt", f"{DRIVE} {'9' * 1500} l".encode(), "line 1: found"),
    ("seen.txt", f"{DATE}_drive_0001_sync l 0-30000000000".encode(), "key 'seen' holds"),
    (f"{DATE}_calib.zip", zip_bytes(".", CALIBRATION), "its member '.' would land outside"),
    (f"{DATE}_calib.zip", zip_bytes(CALIBRATION)[12:], r"damaged \(Invalid argument\)"),
    ("scan.bin", np.ones((4, 5), np.float32).tobytes() + b"\0\0\xa0\x41" * 4, "wanted 0 to 1: not x y z"),
]


@pytest.mark.parametrize(("name", "place", "value", "said"), WRONG_VALUES)
def test_a_wrong_value_is_named_with_its_key(
    inputs: Path, name: str, place: str, value: Any, said: str
) -> None:
    refused(inputs, name, with_value((inputs / name).read_bytes(), place, value), said)


@pytest.mark.parametrize(("name", "data", "said"), WRONG_CONTENT, ids=lambda x: str(x)[:40])
def test_wrong_content_is_refused_with_what_was_found(
    inputs: Path, name: str, data: bytes, said: str
) -> None:
    refused(inputs, name, data, said)


def refused(inputs: Path, name: str, data: bytes, said: str) -> None:
    path, case = inputs / name, next(case for case in CASES if case.name == name)
    whole = path.read_bytes()
    path.write_bytes(data)
    try:
        with pytest.raises(InputError, match=said):
            case.read(path)
    finally:
        path.write_bytes(whole)


if __name__ == "__main__":
    total = int(sys.argv[1])
    only = sys.argv[2:]
    with TemporaryDirectory() as place:
        write_inputs(Path(place))
        bad = 0
        for one in [c for c in CASES if not only or c.name in only]:
            started = time.perf_counter()
            for line in fuzz(one, Path(place), range(total // len(CASES) + 1), SLOWEST):
                bad += 1
                print(line)
            print(f"{one.name}: {time.perf_counter() - started:.1f} s", flush=True)
    print(f"{total} inputs, {bad} neither read nor refused")
