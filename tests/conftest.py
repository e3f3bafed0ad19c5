"""Shapes and types are checked in the tests only: the annotated functions of the package, at each call. The
street's own are checked by one test in tests/street: at each call they slow rendering down threefold."""

import importlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from jaxtyping import install_import_hook
from torch import Tensor

if TYPE_CHECKING:
    from playwright.sync_api import Browser

REPOSITORY = Path(__file__).parents[1]
CHECKED = [
    f"mono2many.{path.stem}"
    for path in (REPOSITORY / "src" / "mono2many").iterdir()
    if not path.name.startswith("_") and path.stem != "street"
]
for _library in ("torch._dynamo", "lightning_fabric", "timm"):
    # else a checked module imports them, and all that it imports is compiled anew in each process
    importlib.import_module(_library)
install_import_hook(CHECKED, "beartype.beartype")

LONG = (
    *("test_bench.py", "export/test_export.py", "train/test_processes.py", "test_examples.py"),
    *("test_specification.py", "test_readme.py", "serve/test_load.py", "train/test_anchor_holds.py"),
    *("serve/test_page.py", "train/test_compile.py", "train/test_resume.py", "train/test_loop.py"),
    *("reconstruct/test_run.py", "learn/test_learn.py", "test_usage_examples.py", "evaluate/test_ddad.py"),
)
"""Files that take longest: they are run first, so that no process waits for another at the end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    ranks = {REPOSITORY / "tests" / name: rank for rank, name in enumerate(LONG)}
    assert all(path.is_file() for path in ranks)
    items.sort(key=lambda item: ranks.get(item.path, len(LONG)))


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
    with np.load(REPOSITORY / "tests" / "parity.npz") as file:
        return {name: torch.from_numpy(value) for name, value in file.items()}


def real(name: str) -> Path:
    """A folder of real data; what needs it is skipped where it is absent."""
    folder = SHARED / "data" / name
    if not folder.is_dir():
        pytest.skip(f"the real data of {name} are not on this machine")
    return folder


@pytest.fixture(scope="module")  # an open one computes on
def browser() -> Iterator["Browser"]:
    """Debian's chromium, one for all tests of a file (Playwright allows no two); they fail without it."""
    from playwright.sync_api import sync_playwright

    # for a root user, and for 3D without a graphics card
    flags = [
        "--no-sandbox",
        "--use-angle=swiftshader",
        "--enable-unsafe-swiftshader",
        "--ignore-gpu-blocklist",
    ]
    with sync_playwright() as tool:
        browser = tool.chromium.launch(executable_path="/usr/bin/chromium", args=flags)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def kitti_odometry() -> Path:
    """A real sequence of KITTI odometry."""
    return real("kitti_odometry")


@pytest.fixture(scope="session")
def road() -> Path:
    """A real road video with its camera file."""
    return real("road_video")


@pytest.fixture(scope="session")
def kitti_raw() -> Path:
    """The root of ten real KITTI frames."""
    return real("kitti_raw")


@pytest.fixture(scope="session")
def dgp_scenes() -> Path:
    """The JSON of two real scenes in DDAD's layout."""
    return real("dgp_scenes") / "scene_dataset_v1.0.json"


@pytest.fixture(scope="session")
def dgp_street(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The street in DDAD's layout: a scene to train on and one to score, three cameras, five samples. Written
    by another program, where no shape is checked: that slows the painters down tenfold."""
    root = tmp_path_factory.mktemp("dgp") / "ddad"
    size = ["--drives", "2", "--frames", "5", "--height", "64", "--width", "96", "--workers", "1"]
    command = [sys.executable, "-m", "mono2many", "prepare", "synthetic", "--layout", "dgp", *size]
    subprocess.run([*command, "--out", str(root)], check=True)
    return root
