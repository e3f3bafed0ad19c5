"""Score the newest model on KITTI's test lists: `python model_test.py`."""

from dataclasses import dataclass
from typing import Literal

from mono2many.commands.flags import parse


@dataclass(frozen=True)
class ModelTestConfig:
    """Score the newest model on KITTI's eigen list and, where there is improved depth, on eigen_benchmark."""

    model: str | None = None
    """Model folder; by default the newest in --out."""
    out: str = "model_save"
    """Where the folders of runs are."""
    data: str = "dataset"
    """Folder of KITTI raw."""
    allow_missing: bool = False
    """Do with what is there where drives are missing."""
    flip: bool = False
    """Also predict the mirrored image and blend."""
    batch_size: int = 8
    """Images that are predicted together."""
    workers: int = 2
    """Threads that read images and true depth."""
    json: str | None = None
    """Write all figures to this file."""
    report: str | None = None
    """Write an HTML page with figures and pictures, of the eigen list."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where to compute; auto: a GPU if there is one."""


def run(arguments: list[str]) -> None:
    config = parse(ModelTestConfig, "model_test.py", arguments)
    from mono2many.evaluate.model_test import model_test

    model_test(config)
