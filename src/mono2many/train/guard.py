"""A step whose loss or gradient is not finite changes nothing; nothing waits for the device to find out."""

from collections.abc import Iterable

import torch
from jaxtyping import Bool
from lightning_fabric import Fabric
from torch import Tensor, nn


class FiniteGuard:
    """Counts skipped steps on the device; ask `in_a_row` and `skipped` only where a wait does not matter."""

    def __init__(self, network: nn.Module, fabric: Fabric, skipped: int = 0) -> None:
        self.fabric, self.buffers = fabric, list(network.buffers())
        self.weights = [p for p in network.parameters() if p.requires_grad]
        self._before = [b.clone() for b in self.buffers]
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
        # one kernel; a loop of copy_ is one for each of some two hundred buffers, and there is no public name
        torch._foreach_copy_(self._before, self.buffers)

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
        for buffer, before in zip(self.buffers, self._before, strict=True):
            torch.where(bad, before, buffer, out=buffer)
        self._counts += bad
        self._counts[1] *= bad


def all_finite(values: Iterable[Tensor]) -> Bool[Tensor, ""]:
    """True where every one of the scalars is a finite number."""
    return torch.stack([value.detach().float() for value in values]).isfinite().all()
