"""Geometry is computed in float32, whatever the networks around it use."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import wraps
from typing import Any, TypeVar

import torch
from torch import Tensor

Function = TypeVar("Function", bound=Callable[..., Any])


def full_precision(like: Tensor) -> AbstractContextManager[object]:
    """Without automatic mixed precision on the tensor's device, and without TF32 or bfloat16 products of
    float32 matrices, which torch.set_float32_matmul_precision allows. An export has neither, and its programs
    no word for this."""
    if torch.compiler.is_exporting():
        return nullcontext()
    off = torch.autocast(like.device.type, enabled=False)
    if torch.compiler.is_compiling() or torch.get_float32_matmul_precision() == "highest":
        return off
    return _exact_products(off)


@contextmanager
def _exact_products(inner: AbstractContextManager[object]) -> Iterator[None]:
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        with inner:
            yield
    finally:
        torch.set_float32_matmul_precision(before)


def in_full_precision(function: Function) -> Function:
    """The function, computed in full_precision of its first tensor."""

    @wraps(function)
    def computed(*args: Any, **kwargs: Any) -> Any:
        with full_precision(next(x for x in (*args, *kwargs.values()) if isinstance(x, Tensor))):
            return function(*args, **kwargs)

    return computed  # type: ignore[return-value]
