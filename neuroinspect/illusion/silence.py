"""Gradients through silent ReLUs, so that a neuron that is zero on the first grey picture can be woken.

A ReLU passes no gradient where its input is negative: a neuron that is silent everywhere stays so, and the picture stays
grey. Inside `redirected_gradients` a channel of a picture that would pass no gradient at all passes the part that asks it to
rise. The values are unchanged.

Reference: the redirected ReLU gradients of Olah et al. 2017, "Feature Visualization"; theirs looks at a whole picture, ours at
each channel, because the class logit always passes something. Nothing is hooked to the model: other threads that use it at
the same time are not touched, and nothing is left behind.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

_RELUS: frozenset[Callable[..., Any]] = frozenset((torch.relu, Tensor.relu, functional.relu))
_RELUS_IN_PLACE: frozenset[Callable[..., Any]] = frozenset((torch.relu_, Tensor.relu_, functional.relu_))


@contextmanager
def redirected_gradients() -> Iterator[None]:
    """Within it, ReLU and ReLU6 (as layers or as functions) pass redirected gradients."""
    with _Redirect():
        yield


class _Redirect(TorchFunctionMode):
    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        named = dict(kwargs or {})
        ceiling, in_place = _ceiling(func, args, named)
        if ceiling is None:
            return func(*args, **named)
        values = args[0] if args else named["input"]
        rectified = _RedirectedRelu.apply(values, ceiling)
        return values.copy_(rectified) if in_place else rectified


def _ceiling(function: Callable[..., Any], args: Sequence[Any], named: Mapping[str, Any]) -> tuple[float | None, bool]:
    def argument(position: int, name: str, default: float | bool) -> float | bool:
        value: float | bool = args[position] if len(args) > position else named.get(name, default)
        return value

    if function in _RELUS:
        return math.inf, function is functional.relu and bool(argument(1, "inplace", False))
    if function in _RELUS_IN_PLACE:
        return math.inf, True
    if function is functional.relu6:
        return 6.0, bool(argument(1, "inplace", False))
    if function is functional.hardtanh and argument(1, "min_val", -1.0) == 0:
        return float(argument(2, "max_val", 1.0)), bool(argument(3, "inplace", False))
    return None, False


class _RedirectedRelu(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, ceiling: float) -> Tensor:
        below = values <= 0
        ctx.save_for_backward(below, ~below & (values < ceiling))
        return values.clamp(0, None if math.isinf(ceiling) else ceiling)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        below, alive = ctx.saved_tensors
        (gradient,) = gradients
        passed = gradient * alive
        if gradient.dim() == 2:
            nothing = passed == 0
        else:
            places = (1,) if gradient.dim() == 3 else tuple(range(2, gradient.dim()))
            nothing = passed.abs().sum(places, keepdim=True) == 0
        rising = gradient.clamp_max(0) * below
        return torch.where(nothing, rising, passed), None
