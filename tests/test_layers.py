"""The layer rule: who may import whom. Read from the source's import statements."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "mono2many"
GEOMETRY = {"geometry", "types", "errors", "files"}
IO = GEOMETRY | {"io"}
MEASURE = "data.measure"
"""All of data that predict may see: a stream measures its frames."""
SETTINGS = "models.architecture"
"""What describes networks, without PyTorch."""
PREDICT = IO | {SETTINGS, "models", "losses", "metrics", "predict", "devices", MEASURE, "terminal"}
SHARED = "datasets.base"
"""What shared code knows of data sets: this, datasets.choice and the registry."""
DATA = IO | {MEASURE, "data", "street", "terminal"}
SCORE = PREDICT | DATA | {"losses", "metrics", "evaluate", SHARED}
ALL = SCORE | {"datasets", "train", "commands", "bench", "package"}
MAY_SEE = {
    "errors": set(),
    "types": {"errors"},
    "files": {"errors"},
    "geometry": {"geometry"},
    "losses": GEOMETRY | {"losses"},
    "metrics": GEOMETRY | {"metrics"},
    "models": GEOMETRY | {SETTINGS, "models"},
    "io": IO,
    "terminal": {"errors"},
    "devices": {"errors"},
    "street": DATA,
    "data": DATA,
    "datasets": SCORE | {"datasets", "commands"},
    "predict": PREDICT,
    "evaluate": SCORE | {"package"},
    "train": SCORE | {"train", "package"},
    "serve": PREDICT | {"street", "serve"},
    "commands": ALL | {"learn", "export", "serve", "reconstruct"},
    "learn": ALL | {"learn"},
    "reconstruct": PREDICT | {"data", "evaluate", "reconstruct"},
    "export": ALL | {"export"},
    "bench": ALL | {"export"},
    "cli": {"commands", "errors", "files", "package"},
    "__init__": {"predict", "datasets.base", "errors", "train"},
    "__main__": {"cli"},
}
FREE = {"evaluate/model_test.py"}
"""The command of KITTI's test lists."""


def layer_of(parts: list[str]) -> str:
    """Of `mono2many.data.measure`: its layer."""
    if len(parts) == 1 or parts[1].startswith("__"):  # `from mono2many import __version__`
        return "package"
    whole = ".".join(parts[1:3])
    if whole in (MEASURE, SETTINGS):
        return whole
    if parts[1] == "datasets" and (len(parts) == 2 or parts[2] in ("base", "choice") or parts[2].isupper()):
        return SHARED
    return parts[1]


def imports(path: Path) -> set[str]:
    """The layers that a file imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            assert all(a.name != "*" for a in node.names), f"{path}: star import"
            names = [f"{node.module}.{a.name}" for a in node.names] if node.module == "mono2many" else []
            names = names or [node.module or ""]
        found |= {layer_of(name.split(".")) for name in names if name.split(".")[0] == "mono2many"}
    return found


FILES = sorted(SOURCE.rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(SOURCE)))
def test_a_layer_sees_only_those_below_it(path: Path) -> None:
    place = path.relative_to(SOURCE)
    layer = place.parts[0].removesuffix(".py")
    assert layer in MAY_SEE, f"{layer} has no place in the layer rule"
    seen = imports(path) - ({"datasets"} if str(place) in FREE else set())
    assert seen <= MAY_SEE[layer]


def compared(tree: ast.AST) -> Iterator[str]:
    """The words that a file compares something with, by == or by `in`."""
    for node in ast.walk(tree):
        for part in (node.left, *node.comparators) if isinstance(node, ast.Compare) else ():
            yield from (
                n.value for n in ast.walk(part) if isinstance(n, ast.Constant) and isinstance(n.value, str)
            )


def test_no_shared_file_asks_for_a_data_set_by_its_name() -> None:
    from mono2many.datasets import DATASETS

    # `video` and `kitti` are also kinds of files that predict writes
    names = DATASETS.keys() - {"video", "kitti"}
    for path in FILES:
        if path.relative_to(SOURCE).parts[0] != "datasets":
            assert not names & set(compared(ast.parse(path.read_text()))), path


def test_files_and_functions_are_short() -> None:
    for path in FILES:
        text = path.read_text()
        assert text.count("\n") <= 350, path
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                assert (node.end_lineno or 0) - node.lineno < 60, f"{path}: {node.name}"


def test_geometry_imports_no_library_that_it_does_not_need() -> None:
    for path in (SOURCE / "geometry").glob("*.py"):
        tree = ast.walk(ast.parse(path.read_text()))
        names = {n.module.split(".")[0] for n in tree if isinstance(n, ast.ImportFrom) and n.module}
        assert names <= {
            "functools",
            "collections",
            "contextlib",
            "typing",
            "dataclasses",
            "torch",
            "jaxtyping",
            "mono2many",
        }


def test_settings_need_no_torch() -> None:
    """So that `--help` answers at once."""
    code = (
        "import sys, mono2many.train.settings, mono2many.commands.evaluate; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
