"""Where to compute."""

import torch

from mono2many.errors import InputError


def pick_device(name: str) -> str:
    """`auto` is a CUDA GPU if torch sees one, else the CPU: the same for every command. Apple's MPS is used
    on request only. Raises InputError for a GPU that is not there."""
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and not torch.cuda.is_available():
        raise InputError("--device cuda: torch sees no CUDA device here; use --device cpu or auto")
    return name
