"""The documents' snippets print what stands beside them; their links, files and flags exist."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mono2many.datasets import DATASETS

REPOSITORY = Path(__file__).parents[1]
DOCS = REPOSITORY / "docs"
PAGES = (REPOSITORY / "README.md", REPOSITORY / "CONTRIBUTING.md", *sorted(DOCS.rglob("*.md")))
READING = ("train", "check", "evaluate", "scale")
"""Commands that have the flags of a data set."""
OTHERS = (
    *("learn", "predict", "reconstruct", "serve", "export", "info", "bench", "street", "cache"),
    "import-weights",
)
OTHER_PROGRAMS = {
    *("nnodes", "nproc-per-node", "node-rank", "master-addr", "master-port"),
    *("nodes", "ntasks-per-node", "gpus-per-node", "signal", "help"),
}


@pytest.mark.parametrize(("page", "lines"), [("guide", 17), ("python", 13)])
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


def helps() -> Iterator[list[str]]:
    """Every command, with every data set that it reads."""
    for command in OTHERS:
        yield [command]
    for command in ("video", "synthetic", *(name for name, d in DATASETS.items() if d.prepare)):
        yield ["prepare", command]
    for command in READING:
        for name, dataset in DATASETS.items():
            if (dataset.training if command in ("train", "check") else dataset.scoring) is not None:
                yield [command, "--datatype", name]


def test_every_flag_that_the_pages_name_exists() -> None:
    code = f"""
from contextlib import suppress
from mono2many.cli import main
for words in {list(helps())!r}:
    with suppress(SystemExit):
        main([*words, "--help"])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    known = set(re.findall(r"--([a-z][a-z-]+)", done.stdout))
    for page in (REPOSITORY / "README.md", *sorted(DOCS.glob("*.md"))):
        named = re.findall(r"(?<![\w-])--([a-z][a-z_-]+)", page.read_text())
        flags = {flag.replace("_", "-") for flag in named}
        assert flags - known - OTHER_PROGRAMS == set(), page.name
