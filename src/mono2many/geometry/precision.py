"""Geometry is computed in float32, whatever the networks around it use."""

from contextlib import AbstractContextManager, nullcontext

import torch


def full_precision(like: torch.Tensor) -> AbstractContextManager[object]:
    """Without automatic mixed precision on the tensor's device. An export has none, and its programs no word
    for this."""
    if torch.compiler.is_exporting():
        return nullcontext()
    return torch.autocast(like.device.type, enabled=False)
