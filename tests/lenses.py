"""Cameras of 640x480 pixels, one of each distortion, and how a file of a camera is refused."""

from pathlib import Path

import pytest

from mono2many.io.camera_file import Camera, read_camera
from mono2many.types import InputError

BENT = (-0.25, 0.04, -0.0007, 0.0001, 0.0)
PLUMB_BOB = Camera(640, 480, 500.0, 510.0, 320.5, 240.0, BENT)
FISHEYE = Camera(640, 480, 500.0, 510.0, 320.5, 240.0, (-0.01, 0.03, -0.03, 0.006), "fisheye")
RATIONAL = Camera(640, 480, 500.0, 510.0, 320.5, 240.0, (1.6, 0.7, 0.0, 0.0, 0.02, 2.0, 1.2, 0.1), "rational")
PINHOLE = Camera(640, 480, 500.0, 510.0, 320.5, 240.0)


def refusal(path: Path) -> str:
    """What is said of a file that cannot be read as a camera: one line that names it."""
    with pytest.raises(InputError) as caught:
        read_camera(path)
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    return message
