"""How many pictures fit in memory at once: measured on the model in hand, not guessed from its name."""

import logging
from collections.abc import Callable

import torch
from torch import Tensor

from neuroinspect.errors import ModelError

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
    try:
        each = (saved_bytes(lambda: compute(2)) - saved_bytes(lambda: compute(1))) * _WORKSPACE / _MEGABYTE
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        return 1
    if each > cap_mb:
        log.warning("one picture needs about %d MB, over memory_cap_mb = %d; they are made one by one", each, cap_mb)
    fitting = min(wanted, int(cap_mb / max(each, 1 / _MEGABYTE)))
    return max(1, fitting - fitting % 2)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory was short; the allocator of the CPU raises a plain RuntimeError."""
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in str(error)


def smaller_batch(size: int, device: torch.device) -> int:
    """Half a batch that did not fit, even or 1.

    Raises:
        ModelError: it was a single picture.
    """
    if size <= 1:
        raise ModelError(
            f"not even one picture fits into the memory of {device} together with the model and the guide; free memory, "
            "take a smaller guide, or set `device: cpu`"
        )
    if device.type == "cuda":
        torch.cuda.empty_cache()
    half = max(1, size // 2 - size // 2 % 2)
    log.warning("a batch of %d pictures does not fit into memory; going on with %d", size, half)
    return half
