"""A step whose loss or gradient is not finite changes nothing; nothing waits for the device to find out."""

from collections.abc import Iterable

import torch
from jaxtyping import Bool
from lightning_fabric import Fabric
from torch import Tensor, nn


class _Buffers:
    """Some two hundred small tensors of one type, copied and put back in a few operations."""

    def __init__(self, buffers: list[Tensor]) -> None:
        self.buffers, self._before = buffers, self._flat(buffers)
        self._kept = torch.empty_like(self._before)
        parts = self._kept.split([b.numel() for b in buffers])
        self._parts = [part.view_as(b) for part, b in zip(parts, buffers, strict=True)]

    @staticmethod
    def _flat(buffers: list[Tensor], out: Tensor | None = None) -> Tensor:
        return torch.cat([b.flatten() for b in buffers], out=out)

    def copy(self) -> None:
        self._flat(self.buffers, self._before)

    def restore(self, bad: Bool[Tensor, ""]) -> None:
        """The values that were copied, where `bad` is true."""
        torch.where(bad, self._before, self._flat(self.buffers), out=self._kept)
        # a loop of copy_ is an operation for each buffer, and there is no public name
        torch._foreach_copy_(self.buffers, self._parts)


class FiniteGuard:
    """Counts skipped steps on the device; ask `in_a_row` and `skipped` only where a wait does not matter."""

    def __init__(self, network: nn.Module, fabric: Fabric, skipped: int = 0) -> None:
        self.fabric = fabric
        self.weights = [p for p in network.parameters() if p.requires_grad]
        kinds = dict.fromkeys(b.dtype for b in network.buffers())
        self._buffers = [_Buffers([b for b in network.buffers() if b.dtype == kind]) for kind in kinds]
        self._counts = torch.tensor([skipped, 0], device=fabric.device)

    @property
    def skipped(self) -> int:
        """Steps skipped since the run began."""
        return int(self._counts[0])

    @property
    def in_a_row(self) -> int:
        """Steps skipped since the last good one."""
        return int(self._counts[1])

    def before_step(self) -> None:
        """Copy the networks' running statistics, which a forward pass changes."""
        for buffers in self._buffers:
            buffers.copy()

    def apply(self, optimiser: torch.optim.Optimizer, figures: Iterable[Tensor]) -> None:
        """The optimiser's step if `figures` (loss and scalars) and all gradients are finite, else none; in
        every process alike. Fused optimisers look at `found_inf` on the device."""
        gradients = [p.grad for p in self.weights if p.grad is not None]
        bad = ~all_finite([*figures, nn.utils.get_total_norm(gradients)])
        if self.fabric.world_size > 1:
            reduced = self.fabric.all_reduce(bad.float(), reduce_op="sum")
            assert isinstance(reduced, Tensor)
            bad = reduced > 0
        setattr(getattr(optimiser, "optimizer", optimiser), "found_inf", bad.float())  # noqa: B010
        optimiser.step()
        for buffers in self._buffers:
            buffers.restore(bad)
        self._counts += bad
        self._counts[1] *= bad


def all_finite(values: Iterable[Tensor]) -> Bool[Tensor, ""]:
    """True where every one of the scalars is a finite number."""
    return torch.stack([value.detach().float() for value in values]).isfinite().all()
