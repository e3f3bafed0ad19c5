"""Programs run in the tests' own process, which has imported everything: a process of their own takes five
seconds to begin."""

import runpy
import sys
from contextlib import chdir, redirect_stdout
from io import StringIO
from pathlib import Path
from unittest.mock import patch

REPOSITORY = Path(__file__).parents[1]


def run_example(name: str, *words: str | Path, cwd: Path) -> str:
    """run_program of examples/NAME.py."""
    return run_program(REPOSITORY / "examples" / f"{name}.py", *words, cwd=cwd)


def run_program(program: Path, *words: str | Path, cwd: Path) -> str:
    """What `python PROGRAM WORDS` prints in this folder. AssertionError where it fails."""
    said = StringIO()
    arguments = [str(program), *map(str, words)]
    with chdir(cwd), redirect_stdout(said), patch.object(sys, "argv", arguments):
        ended = None
        try:
            runpy.run_path(str(program), run_name="__main__")
        except SystemExit as end:
            ended = end.code
    assert ended in (None, 0), f"{arguments}\n{said.getvalue()}"
    return said.getvalue()
