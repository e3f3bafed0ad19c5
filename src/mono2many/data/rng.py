"""Random numbers as a function of (seed, step, sample, position): no generator, hence nothing to save.

The same on every device and in every process, however a batch is split: counters are hashed
(splitmix64, Steele et al. 2014), all in one vectorised expression.
"""

from functools import lru_cache

import torch
from jaxtyping import Float, Int64
from torch import Tensor

_GOLDEN = -7046029254386353131  # 0x9E3779B97F4A7C15 as a signed integer


def _signed(value: int) -> int:
    return (value + 2**63) % 2**64 - 2**63


def _shift(x: Tensor, bits: int) -> Tensor:
    """Logical right shift of int64."""
    return (x >> bits) & ((1 << (64 - bits)) - 1)


def _mix(x: Tensor) -> Tensor:
    x = (x ^ _shift(x, 30)) * -4658895280553007687
    x = (x ^ _shift(x, 27)) * -7723592293110705685
    return x ^ _shift(x, 31)


def uniform(seed: int, step: int, sample: Int64[Tensor, "B"], count: int) -> Float[Tensor, "B count"]:
    """Uniform numbers in [0, 1), `count` for each sample, in float32 on the sample indices' device."""
    key = _mix(sample * _GOLDEN + _signed(seed * 0x2545F4914F6CDD1D + step * 0x632BE59BD9B4E019))
    position = torch.arange(1, count + 1, device=sample.device)
    bits = _shift(_mix(key[:, None] + position * _GOLDEN), 40)
    return bits.float() * 2.0**-24


def gaussian(seed: int, step: int, sample: Int64[Tensor, "B"], count: int) -> Float[Tensor, "B count"]:
    """Standard normal numbers, `count` for each sample: a stretch of one long table, from a place drawn."""
    table = _normal_table(seed, str(sample.device))
    start = (uniform(seed, step, sample, 1) * len(table)).long()
    return table[(start + torch.arange(count, device=sample.device)) % len(table)]


@lru_cache(maxsize=8)
def _normal_table(seed: int, device: str) -> Tensor:
    return torch.randn(2**20, generator=torch.Generator().manual_seed(seed)).to(device)


def shuffled(seed: int, epoch: int, length: int) -> Int64[Tensor, "length"]:
    """The order of an epoch: a permutation that depends on (seed, epoch) only."""
    generator = torch.Generator().manual_seed((seed * 1_000_003 + epoch) % 2**63)
    return torch.randperm(length, generator=generator)


def step_seed(seed: int, step: int, rank: int) -> int:
    """Seed of torch's own generators in a step (dropout in some encoders): a resumed run draws the same."""
    return ((seed * 1_000_003 + step) * 4_099 + rank) % 2**63
