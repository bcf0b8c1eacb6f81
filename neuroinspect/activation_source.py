"""Find the layer whose maps show where a neuron looks, by running the model once."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from neuroinspect.decision_layer import LastLayer
from neuroinspect.errors import UnsupportedModelError
from neuroinspect.hooks import inputs_of, outputs_of

_PROBED_NEURONS = 4
_FAR_MORE = 5.0


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

    def maps(self, module: nn.Module, last: LastLayer, images: Tensor, neurons: Tensor | None) -> Tensor:
        """Maps (N, F, h, w); Grad-CAM of given neurons: (N, h, w)."""
        if self.kind == "grad_cam":
            return self._grad_cam(module, last, images, neurons)
        with outputs_of([self.layer]) as outputs:
            module(images)
        output = outputs[-1][1]
        if self.kind == "channel":
            return output.movedim(-1, 1) if self.channels_last else output
        side = math.isqrt(output.shape[1] - self.prefix_tokens)
        patches = output[:, self.prefix_tokens :].transpose(1, 2)
        return patches.reshape(*patches.shape[:2], side, side)

    def _grad_cam(self, module: nn.Module, last: LastLayer, images: Tensor, neurons: Tensor | None) -> Tensor:
        with torch.enable_grad():
            images = images.detach().requires_grad_()
            with outputs_of([self.layer]) as outputs, inputs_of(last.own) as inputs:
                module(images)
            maps, features = outputs[-1][1], last.features(inputs[-1])
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


def find_activation_source(module: nn.Module, last: LastLayer, probe: Tensor) -> ActivationSource:
    """The layer whose maps belong to the penultimate neurons.

    A layer with as many channels as there are neurons qualifies when most of a neuron's gradient comes from its own
    channel, or far more than from any other. Where tokens of that width are made behind it, it is no more than their embedding,
    and the tokens are taken.
    """
    probe = probe.detach().requires_grad_()
    layers = [layer for layer in module.modules() if layer is not module]
    with torch.enable_grad(), outputs_of(layers) as outputs, inputs_of(last.own) as inputs:
        module(probe)
        features = last.features(inputs[-1])
    ran = {id(layer): place for place, (layer, _) in enumerate(outputs)}
    spatial = [(place, *outputs[place]) for place in sorted(ran.values()) if _is_spatial(outputs[place][1])]
    tokens = _token_blocks(module, {layer: outputs[place][1] for layer, place in ran.items()}, features.shape[1])
    behind = ran[id(tokens[-1][0])] if tokens else -1
    channels = _own_channels([entry for entry in spatial if entry[0] > behind], features)
    if channels is not None:
        return channels
    if tokens:
        layer, count = tokens[-2] if len(tokens) > 1 else tokens[-1]
        return ActivationSource("tokens", layer, prefix_tokens=_prefix_tokens(module, count))
    for _, layer, out in reversed(spatial):
        (slope,) = torch.autograd.grad(features.sum(), out, retain_graph=True, allow_unused=True)
        if slope is not None:
            return ActivationSource("grad_cam", layer, channels_last=_has_channels_last(out))
    raise UnsupportedModelError("the model has no layer with a spatial map and no tokens; activation maps need one")


def _has_channels_last(maps: Tensor) -> bool:
    # the probe is a square, so the two equal sides are the places
    return maps.shape[1] == maps.shape[2] != maps.shape[3]


def _is_spatial(out: Tensor) -> bool:
    if out.dim() != 4 or not out.requires_grad:
        return False
    height, width = out.shape[1:3] if _has_channels_last(out) else out.shape[2:]
    return height * width > 1


def _own_channels(spatial: Sequence[tuple[int, nn.Module, Tensor]], features: Tensor) -> ActivationSource | None:
    """The last layer with a channel for each neuron, of those in `spatial`."""
    count = features.shape[1]
    # the axis of the channels: a map may have F channels and F columns
    found = [(layer, out, axis) for _, layer, out in spatial for axis in (3, 1) if out.shape[axis] == count]
    active = features.detach().abs().sum(0).argsort(descending=True)[:_PROBED_NEURONS].tolist()
    for neuron in active:
        if not found:
            return None
        maps = [out for _, out, _ in found]
        slopes = torch.autograd.grad(features[:, neuron].sum(), maps, retain_graph=True, allow_unused=True)
        found = [
            entry
            for entry, slope in zip(found, slopes, strict=True)
            if slope is not None and _belongs(slope, neuron, axis=entry[2])
        ]
    return ActivationSource("channel", found[-1][0], channels_last=found[-1][2] == 3) if found else None


def _belongs(slope: Tensor, neuron: int, *, axis: int) -> bool:
    """Whether a neuron's gradient (N, c, h, w) comes from its own channel.

    A normalisation behind the pooling (ConvNeXt) spreads half of it thinly over all channels.
    """
    shares = slope.abs().sum([place for place in range(4) if place != axis])
    own = shares[neuron].item()
    shares[neuron] = 0
    return own > shares.sum().item() or own > _FAR_MORE * shares.max().item()


def _prefix_tokens(module: nn.Module, count: int) -> int:
    """Tokens before those of the patches: timm's models say it, elsewhere what is more than a square."""
    named = getattr(module, "num_prefix_tokens", None)
    if isinstance(named, int) and 0 <= named < count and math.isqrt(count - named) ** 2 == count - named:
        return named
    return count - math.isqrt(count) ** 2


def _token_blocks(module: nn.Module, outputs: Mapping[int, Tensor], width: int) -> list[tuple[nn.Module, int]]:
    """The longest chain of blocks that give tokens (N, T, width), with their T; `outputs` are by id of the layer."""
    best: list[tuple[nn.Module, int]] = []
    for parent in module.modules():
        if not isinstance(parent, nn.ModuleList | nn.Sequential):
            continue
        found = [
            (block, outputs[id(block)].shape[1])
            for block in parent
            if id(block) in outputs and outputs[id(block)].dim() == 3 and outputs[id(block)].shape[2] == width
        ]
        if len(found) > len(best) and found[-1][1] > 1:
            best = found
    return best
