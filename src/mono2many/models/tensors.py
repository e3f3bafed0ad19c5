"""Tensors in files: read without running code, and compared by name and shape with those that are wanted."""

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from mono2many.files import brief
from mono2many.types import InputError


def read_tensors(path: Path, absent: str, damaged: str) -> dict[str, Any]:
    """What a .safetensors or .pth file holds, by name, on the CPU. InputError with these remedies where it is
    absent, or damaged or would run code."""
    try:
        if path.suffix == ".safetensors":
            return load_file(path)  # type: ignore[no-any-return, unused-ignore]
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as file:
                if sum(member.file_size for member in file.infolist()) > path.stat().st_size:
                    raise ValueError("its parts declare more than it holds")
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file; {absent}") from error
    except Exception as error:
        raise InputError(
            f"{path}: cannot be read without running code ({type(error).__name__}), or is damaged or cut "
            f"short; {damaged}"
        ) from error
    if not isinstance(loaded, dict) or not all(isinstance(key, str) for key in loaded):
        raise InputError(f"{path}: wanted tensors by name; {damaged}")
    return loaded


def misfits(wanted: Mapping[str, Tensor], given: Mapping[str, Any], beside: tuple[str, ...] = ()) -> str:
    """Why the tensors `given` do not fill those `wanted`, with the first names of each kind; empty where they
    do. beside: how names begin that may be there as well."""

    def shape(value: Any) -> Any:
        return tuple(value.shape) if isinstance(value, Tensor) else f"no tensor but {brief(value)}"

    other = [k for k in wanted if k in given and shape(given[k]) != shape(wanted[k])]
    kinds = {
        "missing": sorted(wanted.keys() - given.keys()),
        "unknown": sorted(k for k in given.keys() - wanted.keys() if not k.startswith(beside)),
        "of another shape": [f"{k} {shape(given[k])} for {shape(wanted[k])}" for k in other],
    }
    return "; ".join(f"{len(k)} {kind} ({', '.join(k[:3])})" for kind, k in kinds.items() if k)


def not_finite(tensors: Mapping[str, Any]) -> str:
    """Which of these hold values that are not finite, by name; empty where none does."""
    wrong = [k for k, v in tensors.items() if isinstance(v, Tensor) and not bool(v.isfinite().all())]
    return f"{len(wrong)} tensors hold values that are not finite ({', '.join(wrong[:3])})" if wrong else ""
