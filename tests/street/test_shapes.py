"""The shapes and types that the street's functions promise, checked at every call while they draw."""

import subprocess
import sys

import pytest

DRAW = """
from jaxtyping import install_import_hook
install_import_hook("mono2many.street", "beartype.beartype")
from mono2many.street.reader import StreetSettings, SyntheticReader
reader = SyntheticReader(StreetSettings(scenes=1, height=64, width=96, variety="{variety}"), "train")
print(reader.frame(0, 0).image.shape)
"""


@pytest.mark.parametrize("variety", ["town", "wide"])
def test_everything_drawn_has_the_promised_shapes(variety: str) -> None:
    command = [sys.executable, "-c", DRAW.format(variety=variety)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout == "torch.Size([3, 64, 96])\n"
