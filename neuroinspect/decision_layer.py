"""Find the decision layer of a model by running it once, whatever its layers are called.

The last layer of a model is an `nn.Linear`, or a 1x1 convolution on the pooled map, or a 1x1 convolution with nothing but
global average pooling behind it. A 1x1 convolution and an average over places may change places, so both convolutions
compute what a Linear on the averaged map computes: that Linear is the decision layer.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neuroinspect.errors import DataError, UnsupportedModelError, WeightsError
from neuroinspect.hooks import inputs_of, outputs_of

_PLACES = (2, 3)


@dataclass(frozen=True, slots=True, eq=False)
class LastLayer:
    """The last layer of a model, and the decision layer it amounts to.

    Attributes:
        names: of the layer in the model, which may hold it more than once; the first is that of its first place.
        own: the model's own layer.
        linear: weight (C, F), bias (C,): the own layer where it is a Linear with a bias; otherwise a Linear that computes
            the same, its weight in the memory of the own one, its bias zeros where the own layer has none.
    """

    names: tuple[str, ...]
    own: nn.Module
    linear: nn.Linear

    @property
    def name(self) -> str:
        """The first of the names."""
        return self.names[0]

    def features(self, inputs: Tensor) -> Tensor:
        """Penultimate features (N, F) from what the own layer gets: (N, F), or a map (N, F, h, w)."""
        return _pooled(inputs)

    def state(self, weight: Tensor, bias: Tensor) -> dict[str, Tensor]:
        """Another decision layer as entries of the model's state dict, in the shape of the own layer.

        A layer without a bias gets one, unless it is zero.

        Args:
            weight: (C, F).
            bias: (C,).
        """
        shape = _parameter(self.own, "weight").shape
        entries = {}
        for name in self.names:
            prefix = f"{name}." if name else ""
            entries[f"{prefix}weight"] = weight.detach().cpu().reshape(shape).clone()
            if self.own.bias is not None or bias.any():
                entries[f"{prefix}bias"] = bias.detach().cpu().clone()
        return entries


def find_decision_layer(module: nn.Module, probe: Tensor) -> LastLayer:
    """The layer whose output, averaged over places where it has any, is the output of the model.

    Args:
        module: the model, in evaluation mode.
        probe: images (2, channels, H, W) to run it on.

    Raises:
        UnsupportedModelError: no such layer, or its input is not one vector or map for each image.
        WeightsError: the logits are NaN or infinite.
        DataError: the model does not run on images of this size.
    """
    named = {layer: name for name, layer in module.named_modules() if isinstance(layer, nn.Linear) or _is_1x1(layer)}
    with torch.no_grad(), outputs_of(list(named)) as outputs:
        logits = _run(module, probe)
    matching = [
        (layer, out)
        for layer, out in outputs
        if _pooled(out).shape == logits.shape and torch.allclose(_pooled(out), logits, rtol=1e-4, atol=1e-5)
    ]
    if not matching or not _is_plain(module, *matching[-1], probe=probe, logits=logits):
        one_for_each_class = [
            layer for layer, out in outputs if _outputs(layer) == logits.shape[1] and len(out) == len(probe)
        ]
        raise UnsupportedModelError(
            _reason(module, {named[layer]: layer for layer in one_for_each_class}, matching=bool(matching))
        )
    last = matching[-1][0]
    names = tuple(name for name, layer in module.named_modules(remove_duplicate=False) if layer is last)
    return LastLayer(names, last, _as_linear(last))


def _run(module: nn.Module, probe: Tensor) -> Tensor:
    """Logits (N, C) of the probe."""
    try:
        logits = module(probe)
    except Exception as error:  # models complain of a wrong size with RuntimeError, AssertionError, ValueError ...
        channels, height, width = probe.shape[1:]
        raise DataError(
            f"the model does not run on images of {height} x {width} pixels with {channels} "
            f"channel{'s' if channels > 1 else ''}; correct `preprocessing`: `image_size` is the side, and as many values "
            f"in `mean` and `std` as the model takes channels, 3 or 1 ({error})"
        ) from error
    if not isinstance(logits, Tensor):
        raise UnsupportedModelError(
            f"the model returns {type(logits).__name__}, expected one tensor of logits (N, C); wrap it in a module that "
            "returns the logits alone"
        )
    if not logits.isfinite().all():
        raise WeightsError("the model gives logits that are NaN or infinite on a test image; its weights are damaged")
    if logits.dim() != 2:
        single = "; a model with a single logit needs two here" if logits.numel() == len(probe) else ""
        raise UnsupportedModelError(f"expected logits of shape (N, C), got {tuple(logits.shape)}{single}")
    return logits


def _is_plain(module: nn.Module, layer: nn.Module, output: Tensor, *, probe: Tensor, logits: Tensor) -> bool:
    """Whether features @ W.T + b gives the logits, and nothing but averaging behind the layer changes them.

    Not so for a subclass with another formula. What comes behind shows on planted outputs of both signs: a ReLU leaves the
    logits of the probe alone where all of them happen to be positive.
    """
    planted = torch.linspace(-3.0, 3.0, output.numel(), dtype=output.dtype, device=output.device).view_as(output)
    with torch.no_grad(), inputs_of(layer) as inputs:
        again = module(probe)
        handle = layer.register_forward_hook(lambda *_: planted.clone())
        try:
            passed = module(probe)
        finally:
            handle.remove()
    if not torch.allclose(again, logits, rtol=1e-3, atol=1e-4):
        raise UnsupportedModelError(
            "the model gives other logits when it runs on the same images again: something random stays on in evaluation "
            "mode, such as dropout with training=True; turn it off"
        )
    if inputs[0].dim() not in {2, 4}:
        return False
    linear = _as_linear(layer)
    explained = F.linear(_pooled(inputs[0]), linear.weight, linear.bias)
    unchanged = torch.allclose(passed, _pooled(planted), rtol=1e-5, atol=1e-6)
    return unchanged and torch.allclose(explained, logits, rtol=1e-3, atol=1e-4)


def _reason(module: nn.Module, candidates: Mapping[str, nn.Module], *, matching: bool) -> str:
    """Why a model is refused, and the way out.

    Args:
        module: the model.
        candidates: the linear layers with an output for each class, in the order they ran.
        matching: whether one of them gives the logits of the probe.
    """
    if not candidates and not any(isinstance(layer, nn.Linear) for layer in module.modules()):
        return (
            "the model has no nn.Linear, and no 1x1 convolution that gives the logits; NeuroInspect edits the last linear "
            "layer of a classifier"
        )
    if len(candidates) > 1 and not matching:
        return (
            f"the model makes its logits from several layers ({', '.join(candidates)}), as distilled models do, so no single "
            "decision layer gives them; wrap it in a module that returns the logits of one of these layers"
        )
    last = next(reversed(list(candidates)), "")
    if isinstance(candidates.get(last), nn.Conv2d):
        return (
            f"the last layer of the model, {last}, is a 1x1 convolution, and more than global average pooling follows it (in "
            "SqueezeNet a ReLU), so no Linear computes the same; put pooling, flattening and one nn.Linear in its place, and "
            "train that layer"
        )
    return (
        "the output of the model is not the output of one nn.Linear (its last layer is a "
        f"{type(list(module.modules())[-1]).__name__}); return the logits, without softmax or anything else behind the last "
        "Linear"
    )


def _as_linear(layer: nn.Module) -> nn.Linear:
    if isinstance(layer, nn.Linear) and layer.bias is not None:
        return layer
    weight = _parameter(layer, "weight").detach().flatten(1)
    linear = nn.Linear(weight.shape[1], weight.shape[0], device="meta")
    bias = weight.new_zeros(len(weight)) if layer.bias is None else _parameter(layer, "bias").detach()
    linear.weight, linear.bias = (nn.Parameter(values, requires_grad=False) for values in (weight, bias))
    return linear.eval()


def _parameter(layer: nn.Module, name: str) -> Tensor:
    return layer.get_parameter(name)


def _outputs(layer: nn.Module) -> int:
    return layer.out_channels if isinstance(layer, nn.Conv2d) else _parameter(layer, "weight").shape[0]


def _is_1x1(layer: nn.Module) -> bool:
    return isinstance(layer, nn.Conv2d) and (layer.kernel_size, layer.stride, layer.padding, layer.groups) == (
        (1, 1),
        (1, 1),
        (0, 0),
        1,
    )


def _pooled(values: Tensor) -> Tensor:
    return values.mean(_PLACES) if values.dim() == 4 else values
