"""What layers get and give while a model runs: hooks that live as long as one `with`, also when it ends in an exception.

Threads share the layers, so each sees the hooks of all: a hook takes only what its own thread passes.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from threading import get_ident
from types import MappingProxyType

from torch import Tensor, nn


@contextmanager
def outputs_of(layers: Sequence[nn.Module]) -> Iterator[list[tuple[nn.Module, Tensor]]]:
    """Every tensor that layers give to this thread, in the order they run; of a tuple each tensor in it."""
    caught: list[tuple[nn.Module, Tensor]] = []
    here = get_ident()

    def catch(layer: nn.Module, _: object, output: object) -> None:
        if get_ident() == here:
            several = output if isinstance(output, tuple | list) else (output,)
            caught.extend((layer, one) for one in several if isinstance(one, Tensor))

    handles = [layer.register_forward_hook(catch) for layer in layers]
    try:
        yield caught
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def inputs_of(layer: nn.Module) -> Iterator[list[Tensor]]:
    """The inputs a layer gets from this thread."""
    caught: list[Tensor] = []
    here = get_ident()

    # Removed by its own thread while another one calls it, a hook is called without `named`.
    def catch(_: nn.Module, arguments: tuple[Tensor, ...], named: Mapping[str, Tensor] = MappingProxyType({})) -> None:
        if get_ident() == here:
            caught.append(arguments[0] if arguments else named["input"])

    handle = layer.register_forward_pre_hook(catch, with_kwargs=True)
    try:
        yield caught
    finally:
        handle.remove()
