"""Shapes and types are checked in the tests only: every annotated function of the package, at each call."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from jaxtyping import install_import_hook
from torch import Tensor

install_import_hook("mono2many", "beartype.beartype")

REPOSITORY = Path(__file__).parents[1]
SHARED = Path(os.environ.get("MONO2MANY_SHARED", REPOSITORY.parent / "shared"))
"""Facts and real data, on machines that have them; what reads them skips elsewhere."""


@pytest.fixture(autouse=True, scope="session")
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    os.environ["MONO2MANY_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(autouse=True)
def _reproducible() -> None:
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def parity() -> dict[str, Tensor]:
    """What the reference programs compute on given tensors (float32)."""
    path = SHARED / "facts" / "parity.npz"
    if not path.exists():
        pytest.skip("the reference programs' numbers are not on this machine")
    return {name: torch.from_numpy(value) for name, value in np.load(path).items()}


@pytest.fixture(scope="session")
def kitti_odometry() -> Path:
    """The folder of a real sequence of KITTI odometry."""
    folder = SHARED / "data" / "kitti_odometry"
    if not folder.is_dir():
        pytest.skip("KITTI odometry is not on this machine")
    return folder


@pytest.fixture(scope="session")
def road() -> Path:
    """The folder of a real road video with its camera file."""
    folder = SHARED / "data" / "road_video"
    if not folder.exists():
        pytest.skip("the road video is not on this machine")
    return folder


@pytest.fixture(scope="session")
def kitti_raw() -> Path:
    """The root of ten real KITTI frames."""
    folder = SHARED / "data" / "kitti_raw"
    if not folder.exists():
        pytest.skip("the real KITTI frames are not on this machine")
    return folder
