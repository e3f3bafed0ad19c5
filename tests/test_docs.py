"""The documents' snippets print what stands beside them; their links, files and flags exist."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
DOCS = REPOSITORY / "docs"
PAGES = (REPOSITORY / "README.md", REPOSITORY / "CONTRIBUTING.md", *sorted(DOCS.rglob("*.md")))
COMMANDS = (
    "train",
    "evaluate",
    "predict",
    "info",
    "scale",
    "check",
    "bench",
    "street",
    "cache",
    "import-weights",
    "prepare video",
    "prepare kitti",
    "prepare cityscapes",
    "prepare synthetic",
)
OTHER_PROGRAMS = {"nnodes", "nproc-per-node", "node-rank", "master-addr", "master-port", "signal", "help"}


def mono2many(*words: str) -> str:
    command = [sys.executable, "-m", "mono2many", *words]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize(("page", "lines"), [("guide", 17), ("python", 8)])
def test_the_snippets_print_what_stands_beside_them(page: str, lines: int, tmp_path: Path) -> None:
    text = (DOCS / f"{page}.md").read_text()
    code = "\n".join(re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL))
    promised = re.findall(r"^(?:print\(.*\)  )?# (.+)$", code, flags=re.MULTILINE)
    assert len(promised) == lines
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == promised


def test_the_files_that_the_pages_link_to_or_name_exist() -> None:
    for page in PAGES:
        text = page.read_text()
        for name in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text):
            assert (page.parent / name).exists(), f"{page.name}: {name}"
        for name in re.findall(r"`((?:\w+/)*\w+\.py)`", text):
            places = (REPOSITORY / "src" / "mono2many", REPOSITORY)
            assert any((place / name).exists() for place in places), f"{page.name}: {name}"
        for name in re.findall(r"(?<![\w/])(?:docs/)?\w[\w/-]*\.md", re.sub(r"\]\([^)]*\)", "", text)):
            assert any((place / name).exists() for place in (page.parent, REPOSITORY)), f"{page.name}: {name}"


def test_every_flag_that_the_pages_name_exists() -> None:
    known = set(re.findall(r"--([a-z][a-z-]+)", " ".join(mono2many(*c.split(), "--help") for c in COMMANDS)))
    for page in (REPOSITORY / "README.md", *sorted(DOCS.glob("*.md"))):
        named = re.findall(r"(?<![\w-])--([a-z][a-z_-]+)", page.read_text())
        flags = {flag.replace("_", "-") for flag in named}
        assert flags - known - OTHER_PROGRAMS == set(), page.name
