"""Where to compute. Imports torch late: settings name devices."""

from typing import Literal

from mono2many.errors import InputError

Device = Literal["auto", "cpu", "cuda", "mps"]
Precision = Literal["fp32", "bf16", "auto"]
"""Of networks."""


def pick_device(name: str) -> str:
    """`auto` is a CUDA GPU if torch sees one, else the CPU: the same for every command. Apple's MPS, on which
    nothing was tried, is used on request only. Raises InputError for a device that is not there."""
    import torch

    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        return "cuda" if there["cuda"] else "cpu"
    if not there[name]:
        raise InputError(f"--device {name}: torch sees no such device here; use --device cpu or auto")
    return name


def pick_bf16(precision: Precision, device: str) -> bool:
    """Whether networks compute in bfloat16. auto: where the hardware does."""
    import torch

    if precision != "auto":
        return precision == "bf16"
    if device == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return device == "cpu" and cpu_has_bf16()


def cpu_has_bf16() -> bool:
    """True where the processor multiplies bfloat16 itself (AVX512-BF16 or AMX); emulation is slower."""
    import torch

    # not in every version of torch that we support
    found: dict[str, bool] = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(found.get("avx512_bf16") or found.get("amx_bf16"))
