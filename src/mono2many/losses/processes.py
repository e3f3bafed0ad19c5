"""Several processes, each with its share of a batch, have the loss of one that has the whole batch."""

import torch.distributed
from jaxtyping import Float
from torch import Tensor


def mean_over_processes(value: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """The mean of what all processes of a training give; the gradient is that of the own value, since the
    processes' gradients are averaged later. Every process must call it."""
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return value
    mean = value.detach().clone()
    torch.distributed.all_reduce(mean)
    mean = mean / torch.distributed.get_world_size()
    return mean + value - value.detach()
