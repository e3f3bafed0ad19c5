"""The layer rule: who may import whom. Read from the source's import statements."""

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "mono2many"
GEOMETRY = {"geometry", "types", "errors", "files"}
IO = GEOMETRY | {"io"}
PREDICT = IO | {"models", "predict", "devices"}
MEASURE = "data.measure"
"""All of data that predict may see: a stream measures its frames."""
ALL = PREDICT | {
    MEASURE,
    "losses",
    "metrics",
    "data",
    "street",
    "train",
    "evaluate",
    "config",
    "commands",
    "mono2many",
}
MAY_SEE = {
    "errors": set(),
    "types": {"errors"},
    "files": {"errors"},
    "geometry": {"geometry"},
    "losses": GEOMETRY | {"losses"},
    "metrics": GEOMETRY | {"metrics"},
    "models": GEOMETRY | {"models"},
    "io": IO,
    "devices": {"errors"},
    "street": IO | {"street", "data"},
    "data": IO | {"data", "street", MEASURE},
    "predict": PREDICT | {MEASURE},
    "evaluate": ALL - {"train"},
    "train": ALL,
    "config": {"errors", "config"},
    "recipes": {"errors", "config"},
    "commands": {"errors", "config"},
    "flags": {"errors"},
    "bench": ALL | {"bench"},
    "cli": ALL | {"bench", "recipes", "flags"},
    "__init__": {"predict"},
    "__main__": {"cli"},
}


def imports(path: Path) -> set[str]:
    """Our own modules that a file imports, by their first part."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            assert all(a.name != "*" for a in node.names), f"{path}: star import"
            names = [f"{node.module}.{a.name}" for a in node.names] if node.module == "mono2many" else []
            names = names or [node.module or ""]
        ours = [name.split(".") for name in names if name.split(".")[0] == "mono2many"]
        found |= {layer_of(parts) for parts in ours}
    return found


def layer_of(parts: list[str]) -> str:
    if len(parts) == 1 or parts[1].startswith("__"):  # `from mono2many import __version__`
        return "mono2many"
    return MEASURE if parts[1:3] == MEASURE.split(".") else parts[1]


@pytest.mark.parametrize("path", sorted(SOURCE.rglob("*.py")), ids=lambda p: str(p.relative_to(SOURCE)))
def test_a_layer_sees_only_those_below_it(path: Path) -> None:
    layer = path.relative_to(SOURCE).parts[0].removesuffix(".py")
    assert layer in MAY_SEE, f"{layer} has no place in the layer rule"
    assert imports(path) <= MAY_SEE[layer]


def test_geometry_and_the_settings_import_no_library_they_do_not_need() -> None:
    for path in (SOURCE / "geometry").glob("*.py"):
        tree = ast.walk(ast.parse(path.read_text()))
        names = {n.module.split(".")[0] for n in tree if isinstance(n, ast.ImportFrom) and n.module}
        assert names <= {"collections", "typing", "dataclasses", "torch", "jaxtyping", "mono2many"}
    for path in (SOURCE / "config").glob("*.py"):
        assert "import torch" not in path.read_text()
