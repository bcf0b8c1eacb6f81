"""Find the decision layer of a model, and the layer whose maps show where a neuron looks, by running the model once."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from neuroinspect.errors import DataError, UnsupportedModelError

_PROBED_NEURONS = 4


@dataclass(frozen=True, slots=True, eq=False)
class ActivationSource:
    """Layer of the activation maps and how to read them."""

    kind: Literal["channel", "tokens", "grad_cam"]
    layer: nn.Module
    prefix_tokens: int = 0

    def maps(self, module: nn.Module, decision_layer: nn.Linear, images: Tensor, neurons: Tensor | None) -> Tensor:
        """Maps (N, F, h, w); Grad-CAM of given neurons: (N, h, w)."""
        if self.kind == "grad_cam":
            return self._grad_cam(module, decision_layer, images, neurons)
        with _outputs_of([self.layer]) as outputs:
            module(images)
        output = outputs[-1][1]
        if self.kind == "channel":
            return output
        side = math.isqrt(output.shape[1] - self.prefix_tokens)
        return output[:, self.prefix_tokens :].transpose(1, 2).unflatten(2, (side, side))

    def _grad_cam(self, module: nn.Module, decision_layer: nn.Linear, images: Tensor, neurons: Tensor | None) -> Tensor:
        with torch.enable_grad():
            images = images.detach().requires_grad_()
            with _outputs_of([self.layer]) as outputs, inputs_of(decision_layer) as inputs:
                module(images)
            maps, features = outputs[-1][1], inputs[-1]
            if neurons is not None:
                chosen = features[torch.arange(len(features)), neurons.to(features.device)]
                return _cam(maps, chosen.sum(), keep=False)
            columns = range(features.shape[1])
            return torch.stack([_cam(maps, features[:, j].sum(), keep=True) for j in columns], dim=1)


def _cam(maps: Tensor, value: Tensor, *, keep: bool) -> Tensor:
    """Grad-CAM (Selvaraju et al. 2017): maps (N, c, h, w) weighted by the mean gradient of a value -> (N, h, w)."""
    (slope,) = torch.autograd.grad(value, maps, retain_graph=keep)
    return (maps * slope.mean((2, 3), keepdim=True)).sum(1).relu().detach()


def find_decision_layer(module: nn.Module, probe: Tensor) -> nn.Linear:
    """The `nn.Linear` whose output is the output of the model.

    Args:
        module: the model.
        probe: images (2, 3, H, W) to run it on.

    Raises:
        UnsupportedModelError: there is none, or its input is not (N, F).
        DataError: the model does not run on images of this size.
    """
    linears = [layer for layer in module.modules() if isinstance(layer, nn.Linear)]
    if not linears:
        raise UnsupportedModelError("the model has no nn.Linear; NeuroInspect edits the last linear layer of a classifier")
    with torch.no_grad(), _outputs_of(linears) as outputs:
        try:
            logits = module(probe)
        except RuntimeError as error:
            size = tuple(probe.shape[2:])
            raise DataError(f"the model does not run on images of {size} pixels; correct `preprocessing` ({error})") from error
    if not isinstance(logits, Tensor):
        raise UnsupportedModelError(f"the model returns {type(logits).__name__}, expected one tensor of logits (N, C)")
    last = outputs[-1] if outputs else None
    if last is None or last[1].shape != logits.shape or not torch.equal(last[1], logits):
        name = type(list(module.modules())[-1]).__name__
        raise UnsupportedModelError(
            f"the output of the model is not the output of an nn.Linear (its last layer is a {name}); return the logits, "
            "without softmax or anything else behind the last Linear"
        )
    layer = last[0]
    if logits.dim() != 2 or not isinstance(layer, nn.Linear):
        raise UnsupportedModelError(f"expected logits of shape (N, C), got {tuple(logits.shape)}")
    return layer


def find_activation_source(module: nn.Module, decision_layer: nn.Linear, probe: Tensor) -> ActivationSource:
    """The layer whose maps belong to the penultimate neurons.

    A layer with as many channels as there are neurons qualifies when most of a neuron's gradient comes from its own channel.
    """
    probe = probe.detach().requires_grad_()
    layers = [layer for layer in module.modules() if layer is not module]
    with torch.enable_grad(), _outputs_of(layers) as outputs, inputs_of(decision_layer) as inputs:
        module(probe)
    features = inputs[-1]
    spatial = [(layer, out) for layer, out in outputs if out.dim() == 4 and out.shape[2] * out.shape[3] > 1]
    for layer, out in reversed(spatial):
        if out.shape[1] == features.shape[1] and _belongs(out, features):
            return ActivationSource("channel", layer)
    tokens = _token_blocks(module, outputs, features.shape[1])
    if tokens:
        layer, count = tokens[-2] if len(tokens) > 1 else tokens[-1]
        return ActivationSource("tokens", layer, prefix_tokens=count - math.isqrt(count) ** 2)
    if not spatial:
        raise UnsupportedModelError("the model has no layer with a spatial map and no tokens; activation maps need one")
    return ActivationSource("grad_cam", spatial[-1][0])


def _belongs(maps: Tensor, features: Tensor) -> bool:
    active = features.detach().abs().sum(0).argsort(descending=True)[:_PROBED_NEURONS].tolist()
    for neuron in active:
        (slope,) = torch.autograd.grad(features[:, neuron].sum(), maps, retain_graph=True, allow_unused=True)
        if slope is None:
            return False
        shares = slope.abs().sum((0, 2, 3))
        if shares[neuron] <= 0.5 * shares.sum():
            return False
    return True


def _token_blocks(module: nn.Module, outputs: list[tuple[nn.Module, Tensor]], width: int) -> list[tuple[nn.Module, int]]:
    by_layer = {id(layer): out for layer, out in outputs}
    best: list[tuple[nn.Module, int]] = []
    for parent in module.modules():
        if not isinstance(parent, nn.ModuleList | nn.Sequential):
            continue
        found = [
            (block, by_layer[id(block)].shape[1])
            for block in parent
            if id(block) in by_layer and by_layer[id(block)].dim() == 3 and by_layer[id(block)].shape[2] == width
        ]
        if len(found) > len(best) and found[-1][1] > 1:
            best = found
    return best


@contextmanager
def _outputs_of(layers: list[nn.Module] | list[nn.Linear]) -> Iterator[list[tuple[nn.Module, Tensor]]]:
    caught: list[tuple[nn.Module, Tensor]] = []

    def catch(layer: nn.Module, _: object, output: object) -> None:
        if isinstance(output, Tensor):
            caught.append((layer, output))

    handles = [layer.register_forward_hook(catch) for layer in layers]
    try:
        yield caught
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def inputs_of(layer: nn.Module) -> Iterator[list[Tensor]]:
    """The inputs a layer gets while the context is open; the hook is removed at its end, also after an exception."""
    caught: list[Tensor] = []

    def catch(_: nn.Module, arguments: tuple[Tensor, ...]) -> None:
        caught.append(arguments[0])

    handle = layer.register_forward_pre_hook(catch)
    try:
        yield caught
    finally:
        handle.remove()
