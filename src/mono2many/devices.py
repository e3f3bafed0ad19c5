"""Where to compute."""

from typing import Literal

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


Precision = Literal["fp32", "bf16", "auto"]
"""Of networks."""


def pick_bf16(precision: Precision, device: str) -> bool:
    """Whether networks compute in bfloat16. auto: where the hardware does."""
    if precision != "auto":
        return precision == "bf16"
    if device == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return device == "cpu" and cpu_has_bf16()


def cpu_has_bf16() -> bool:
    """True where the processor multiplies bfloat16 itself (AVX512-BF16 or AMX); emulation is slower."""
    # not in every version of torch that we support
    found: dict[str, bool] = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(found.get("avx512_bf16") or found.get("amx_bf16"))
