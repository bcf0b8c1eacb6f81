"""Find the decision layer of a model, and the layer whose maps show where a neuron looks, by running the model once."""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from threading import get_ident
from types import MappingProxyType
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neuroinspect.errors import DataError, UnsupportedModelError, WeightsError

_PROBED_NEURONS = 4


@dataclass(frozen=True, slots=True, eq=False)
class ActivationSource:
    """Layer of the activation maps and how to read them.

    Attributes:
        kind: what a map is.
        layer: whose output holds the maps.
        prefix_tokens: tokens before those of the patches.
        channels_last: whether the output is (N, h, w, c), as in Swin, and not (N, c, h, w).
    """

    kind: Literal["channel", "tokens", "grad_cam"]
    layer: nn.Module
    prefix_tokens: int = 0
    channels_last: bool = False

    def maps(self, module: nn.Module, decision_layer: nn.Linear, images: Tensor, neurons: Tensor | None) -> Tensor:
        """Maps (N, F, h, w); Grad-CAM of given neurons: (N, h, w)."""
        if self.kind == "grad_cam":
            return self._grad_cam(module, decision_layer, images, neurons)
        with _outputs_of([self.layer]) as outputs:
            module(images)
        output = outputs[-1][1]
        if self.kind == "channel":
            return output.movedim(-1, 1) if self.channels_last else output
        side = math.isqrt(output.shape[1] - self.prefix_tokens)
        patches = output[:, self.prefix_tokens :].transpose(1, 2)
        return patches.reshape(*patches.shape[:2], side, side)

    def _grad_cam(self, module: nn.Module, decision_layer: nn.Linear, images: Tensor, neurons: Tensor | None) -> Tensor:
        with torch.enable_grad():
            images = images.detach().requires_grad_()
            with _outputs_of([self.layer]) as outputs, inputs_of(decision_layer) as inputs:
                module(images)
            maps, features = outputs[-1][1], inputs[-1]
            if neurons is not None:
                chosen = features[torch.arange(len(features)), neurons.to(features.device)]
                return self._cam(maps, chosen.sum(), keep=False)
            columns = range(features.shape[1])
            return torch.stack([self._cam(maps, features[:, j].sum(), keep=True) for j in columns], dim=1)

    def _cam(self, maps: Tensor, value: Tensor, *, keep: bool) -> Tensor:
        """Maps weighted by the mean gradient of a value, summed over channels -> (N, h, w).

        Reference: Selvaraju et al. 2017, "Grad-CAM", eqs. 1 and 2.
        """
        (slope,) = torch.autograd.grad(value, maps, retain_graph=keep)
        channel, *place = (3, 1, 2) if self.channels_last else (1, 2, 3)
        return (maps * slope.mean(place, keepdim=True)).sum(channel).relu().detach()


def find_decision_layer(module: nn.Module, probe: Tensor) -> nn.Linear:
    """The `nn.Linear` whose output is the output of the model.

    Args:
        module: the model.
        probe: images (2, 3, H, W) to run it on.

    Raises:
        UnsupportedModelError: there is none, it has no bias, or its input is not (N, F).
        WeightsError: the logits are NaN or infinite.
        DataError: the model does not run on images of this size.
    """
    linears = [layer for layer in module.modules() if isinstance(layer, nn.Linear)]
    if not linears:
        raise UnsupportedModelError(
            "the model has no nn.Linear; NeuroInspect edits the last linear layer of a classifier"
        )
    with torch.no_grad(), _outputs_of(linears) as outputs:
        try:
            logits = module(probe)
        except Exception as error:  # models complain of a wrong size with RuntimeError, AssertionError, ValueError ...
            size = " x ".join(map(str, probe.shape[2:]))
            raise DataError(
                f"the model does not run on images of {size} pixels; correct `preprocessing` ({error})"
            ) from error
    if not isinstance(logits, Tensor):
        raise UnsupportedModelError(f"the model returns {type(logits).__name__}, expected one tensor of logits (N, C)")
    if not logits.isfinite().all():
        raise WeightsError("the model gives logits that are NaN or infinite on a test image; its weights are damaged")
    if logits.dim() != 2:
        single = "; a model with a single logit needs two here" if logits.numel() == len(probe) else ""
        raise UnsupportedModelError(f"expected logits of shape (N, C), got {tuple(logits.shape)}{single}")
    matching = [layer for layer, out in outputs if out.shape == logits.shape and torch.equal(out, logits)]
    layer = matching[-1] if matching else None
    if not isinstance(layer, nn.Linear) or not _is_plain(module, layer, probe, logits):
        name = type(list(module.modules())[-1]).__name__
        raise UnsupportedModelError(
            f"the output of the model is not the output of one nn.Linear (its last layer is a {name}); return the "
            "logits, without softmax or anything else behind the last Linear"
        )
    if layer.bias is None:
        raise UnsupportedModelError("the last nn.Linear has no bias, which edits need; give it one of zeros")
    return layer


def _is_plain(module: nn.Module, layer: nn.Linear, probe: Tensor, logits: Tensor) -> bool:
    """Whether features @ W.T + b gives the logits, and nothing behind the layer changes them.

    Not so for a subclass with another formula. What comes behind shows on planted outputs of both signs: a ReLU leaves the
    logits of the probe alone where all of them happen to be positive.
    """
    planted = torch.linspace(-3.0, 3.0, logits.numel(), dtype=logits.dtype, device=logits.device).view_as(logits)
    with torch.no_grad(), inputs_of(layer) as inputs:
        module(probe)
        handle = layer.register_forward_hook(lambda *_: planted.clone())
        try:
            passed = module(probe)
        finally:
            handle.remove()
    explained = F.linear(inputs[0], layer.weight, layer.bias)
    return torch.equal(passed, planted) and torch.allclose(explained, logits, rtol=1e-3, atol=1e-4)


def find_activation_source(module: nn.Module, decision_layer: nn.Linear, probe: Tensor) -> ActivationSource:
    """The layer whose maps belong to the penultimate neurons.

    A layer with as many channels as there are neurons qualifies when most of a neuron's gradient comes from its own
    channel.
    """
    probe = probe.detach().requires_grad_()
    layers = [layer for layer in module.modules() if layer is not module]
    with torch.enable_grad(), _outputs_of(layers) as outputs, inputs_of(decision_layer) as inputs:
        module(probe)
    features = inputs[-1]
    last_output = {id(layer): out for layer, out in outputs}
    spatial = [(layer, out) for layer, out in outputs if last_output[id(layer)] is out and _is_spatial(out)]
    for layer, out in reversed(spatial):
        if out.shape[1] == features.shape[1] and _belongs(out, features, (0, 2, 3)):
            return ActivationSource("channel", layer)
        if out.shape[3] == features.shape[1] and _belongs(out, features, (0, 1, 2)):
            return ActivationSource("channel", layer, channels_last=True)
    tokens = _token_blocks(module, outputs, features.shape[1])
    if tokens:
        layer, count = tokens[-2] if len(tokens) > 1 else tokens[-1]
        return ActivationSource("tokens", layer, prefix_tokens=count - math.isqrt(count) ** 2)
    slopes = torch.autograd.grad(features.sum(), [out for _, out in spatial], allow_unused=True) if spatial else ()
    reached = [pair for pair, slope in zip(spatial, slopes, strict=True) if slope is not None]
    if not reached:
        raise UnsupportedModelError("the model has no layer with a spatial map and no tokens; activation maps need one")
    layer, out = reached[-1]
    return ActivationSource("grad_cam", layer, channels_last=_has_channels_last(out))


def _has_channels_last(maps: Tensor) -> bool:
    # the probe is a square, so the two equal sides are the places
    return maps.shape[1] == maps.shape[2] != maps.shape[3]


def _is_spatial(out: Tensor) -> bool:
    if out.dim() != 4 or not out.requires_grad:
        return False
    height, width = out.shape[1:3] if _has_channels_last(out) else out.shape[2:]
    return height * width > 1


def _belongs(maps: Tensor, features: Tensor, places: tuple[int, ...]) -> bool:
    active = features.detach().abs().sum(0).argsort(descending=True)[:_PROBED_NEURONS].tolist()
    for neuron in active:
        (slope,) = torch.autograd.grad(features[:, neuron].sum(), maps, retain_graph=True, allow_unused=True)
        if slope is None:
            return False
        shares = slope.abs().sum(places)
        if shares[neuron] <= 0.5 * shares.sum():
            return False
    return True


def _token_blocks(
    module: nn.Module, outputs: list[tuple[nn.Module, Tensor]], width: int
) -> list[tuple[nn.Module, int]]:
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
    here = get_ident()

    def catch(layer: nn.Module, _: object, output: object) -> None:
        if isinstance(output, Tensor) and get_ident() == here:
            caught.append((layer, output))

    handles = [layer.register_forward_hook(catch) for layer in layers]
    try:
        yield caught
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def inputs_of(layer: nn.Module) -> Iterator[list[Tensor]]:
    """The inputs a layer gets from this thread while the context is open; its end removes the hook, also after an exception.

    Threads share the layer, so each sees the hooks of all: a hook takes only what its own thread passes.
    """
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
