"""How many threads torch takes while it computes; another number can round the last bit of a sum differently."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def torch_threads(count: int | None) -> Iterator[int]:
    """Let torch take so many threads in the calling thread, then as many as before; None: what it has. Tells how many.

    Every thread that computes needs it: torch keeps the number for each, whatever the thread that started it took.
    """
    before = torch.get_num_threads()
    if count is None:
        yield before
        return
    torch.set_num_threads(count)
    try:
        yield count
    finally:
        torch.set_num_threads(before)
