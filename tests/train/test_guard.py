import torch
from lightning_fabric import Fabric
from torch import nn

from mono2many.train.guard import FiniteGuard, all_finite


def test_a_step_that_is_not_finite_changes_neither_weights_nor_statistics_nor_moments() -> None:
    fabric = Fabric(accelerator="cpu", devices=1)
    network = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3))
    optimiser = torch.optim.Adam(network.parameters(), lr=0.1, fused=True)
    guard = FiniteGuard(network, fabric)

    def step(x: torch.Tensor) -> None:
        guard.before_step()
        loss = network(x).square().mean()
        optimiser.zero_grad()
        loss.backward()
        guard.apply(optimiser, [loss])

    step(torch.randn(4, 3))
    before = [v.clone() for v in network.state_dict().values()]
    moments = [s["exp_avg"].clone() for s in optimiser.state.values()]
    assert (guard.in_a_row, guard.skipped) == (0, 0)
    for _ in range(2):
        step(torch.full((4, 3), torch.inf))
    assert all(torch.equal(a, b) for a, b in zip(before, network.state_dict().values(), strict=True))
    assert all(torch.equal(a, s["exp_avg"]) for a, s in zip(moments, optimiser.state.values(), strict=True))
    assert (guard.in_a_row, guard.skipped) == (2, 2)
    step(torch.randn(4, 3))
    assert not torch.equal(before[0], network[0].weight)
    assert (guard.in_a_row, guard.skipped) == (0, 2)


def test_one_bad_number_among_good_ones_is_seen() -> None:
    good, bad = torch.tensor(1.0), torch.tensor(torch.nan)
    assert bool(all_finite([good, good]))
    assert not bool(all_finite([good, bad]))
