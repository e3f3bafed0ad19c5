"""README's commands run as they stand (trainings shortened), and its tree is the tree."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from mono2many.cli import main
from mono2many.io.images import write_image

REPOSITORY = Path(__file__).parents[1]
README = (REPOSITORY / "README.md").read_text()
SHORTER = {
    ("train",): ["--steps", "2", "--batch-size", "2", "--height", "64", "--width", "96", "--val-every", "2"],
    ("street",): ["--frames", "44", "--height", "96", "--width", "320"],
    ("learn",): ["--steps", "2", "--height", "64", "--width", "96"],
    ("prepare", "synthetic"): ["--height", "64", "--width", "160", "--drives", "2", "--frames", "12"],
}
"""What makes a command small, by its first words."""


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("readme")


def test_the_commands_run_in_order_and_then_the_python(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    commands = [line for block in blocks("sh") for line in block.splitlines() if line.startswith("mono2many")]
    assert len(commands) >= 4
    for command in commands:
        words = shlex.split(command)[1:]
        words += next((more for begin, more in SHORTER.items() if words[: len(begin)] == list(begin)), [])
        main(words)
    assert (place / "street" / "street_depth.mp4").exists()
    write_image(place / "photo.jpg", torch.randint(0, 256, (3, 48, 80), dtype=torch.uint8))
    for code in blocks("python"):
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=place, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout == "torch.Size([48, 80]) metres\n"


def test_make_knows_the_commands_of_a_fresh_machine() -> None:
    for target in ("demo", "demo-scratch", "test"):
        assert f"make {target}" in README
        planned = subprocess.run(
            ["make", "-n", target],
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ},
        )
        assert planned.stdout.strip()


def test_the_tree_names_what_is_there_and_nothing_else() -> None:
    tree = README.split("```\nsrc/mono2many/\n")[1].split("```")[0]
    named = {line.split()[0].rstrip("/") for line in tree.splitlines()}
    there = {p.name for p in (REPOSITORY / "src" / "mono2many").iterdir() if not p.name.startswith("_")}
    assert named == there - {"errors.py", "py.typed"}
