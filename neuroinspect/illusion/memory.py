"""How many pictures fit in memory at once: measured on the model in hand, not guessed from its name."""

import logging
from collections.abc import Callable

import torch
from torch import Tensor

# Beside what is saved for the backward pass there are the gradients on their way and the workspace of convolutions.
_WORKSPACE = 1.5
_MEGABYTE = 2**20
log = logging.getLogger(__name__)


def saved_bytes(compute: Callable[[], Tensor]) -> int:
    """Bytes a computation keeps for its backward pass; tensors that share storage count once."""
    storages: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        storages[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        # The result holds the graph, and so every storage, until all are counted: no address is used twice.
        result = compute()
    total = sum(storages.values())
    del result
    return total


def images_under_cap(compute: Callable[[int], Tensor], *, cap_mb: int, wanted: int) -> int:
    """Largest even batch that stays under a cap, or 1.

    Weights are saved too, but only once: the difference between two pictures and one is what a picture costs.

    Args:
        compute: one forward pass with the given number of pictures; its result is the loss.
        cap_mb: megabytes for the pictures of a batch, weights not counted.
        wanted: most pictures asked for, even.

    Returns:
        An even number up to `wanted`; 1 where two pictures are over the cap, with a warning in the log where one is.
    """
    each = (saved_bytes(lambda: compute(2)) - saved_bytes(lambda: compute(1))) * _WORKSPACE / _MEGABYTE
    if each > cap_mb:
        log.warning("one picture needs about %d MB, over memory_cap_mb = %d; they are made one by one", each, cap_mb)
    fitting = min(wanted, int(cap_mb / max(each, 1 / _MEGABYTE)))
    return max(1, fitting - fitting % 2)
