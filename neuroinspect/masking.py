"""Silence neurons: what do they do for a class, and which others move with them?

The probability ratio of a set of neurons for a class is p(class, all) / p(class, silenced). Above 1 they speak for it.

Reference: Ju, Park, Lee 2023, section III-E (eq. 5 to 7). Everything is computed in log space and in float64, so that a
probability close to 0 is no problem.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from neuroinspect.errors import FeaturesError

_CHUNK_ELEMENTS = 16_000_000  # logits held at once by the ratios of single neurons: 128 MB
_CONSTANT = 1e-6  # a standard deviation below this part of the largest activation is rounding


def probability_ratio(features: Tensor, decision_layer: nn.Linear, *, class_index: int, silenced: Tensor) -> Tensor:
    """Ratio (N,) of the probabilities of a class with all neurons and with some silenced together, above 0.

    Args:
        features: (N, F) penultimate features.
        decision_layer: weight (C, F).
        class_index: 0..C - 1.
        silenced: (F,) bool, True = set to zero.

    Raises:
        FeaturesError: shapes that do not match, no such class, or values that are not finite.
    """
    return log_probability_ratio(features, decision_layer, class_index=class_index, silenced=silenced).exp()


def log_probability_ratio(features: Tensor, decision_layer: nn.Linear, *, class_index: int, silenced: Tensor) -> Tensor:
    """Logarithm (N,) of `probability_ratio`; gradients flow to the decision layer.

    Raises:
        FeaturesError: shapes that do not match, no such class, or values that are not finite.
    """
    weight, logits = _weight_and_logits(features, decision_layer, class_index)
    if silenced.shape != weight.shape[1:] or silenced.dtype != torch.bool:
        raise FeaturesError(
            f"expected `silenced` as ({weight.shape[1]},) bool, got {tuple(silenced.shape)} of {silenced.dtype}"
        )
    silent = silenced.to(weight.device)
    without = logits - features.to(weight)[:, silent] @ weight[:, silent].T
    return _log_probability(logits, class_index) - _log_probability(without, class_index)


@torch.no_grad()
def log_ratio_of_each_neuron(
    features: Tensor, decision_layer: nn.Linear, *, class_index: int, neurons: Sequence[int] | None = None
) -> Tensor:
    """Logarithm (N, K) of the probability ratio of each neuron silenced alone; the model is not run again.

    Args:
        features: (N, F) penultimate features.
        decision_layer: weight (C, F).
        class_index: 0..C - 1.
        neurons: K neurons, 0..F - 1; None: all F of them.

    Raises:
        FeaturesError: shapes that do not match, no such class or neuron, or values that are not finite.
    """
    weight, logits = _weight_and_logits(features, decision_layer, class_index)
    values = features.to(weight)
    if neurons is not None:
        _check_neurons(neurons, features)
        values, weight = values[:, list(neurons)], weight[:, list(neurons)]
    ratios = torch.empty_like(values)
    chunk = max(1, _CHUNK_ELEMENTS // max(1, weight.numel()))
    for start in range(0, len(values), chunk):
        rows = slice(start, start + chunk)
        without = logits[rows, None, :] - values[rows, :, None] * weight.T
        ratios[rows] = _log_probability(logits[rows], class_index)[:, None] - _log_probability(without, class_index)
    return ratios


def neuron_family(features: Tensor, neurons: Sequence[int], *, size: int) -> list[int]:
    """Neurons whose activations go most with the mean standardised activation of the chosen ones.

    Args:
        features: (N, F) of samples the model was not trained on.
        neurons: the chosen ones, 0..F - 1; never in their own family.
        size: neurons wanted; fewer come where fewer are correlated above 0.

    Returns:
        At most `size` neurons, the highest correlation first, equal ones by number; a constant neuron is never one.

    Raises:
        FeaturesError: shapes that do not match, values that are not finite, no neuron, or no such neuron.
    """
    if features.dim() != 2 or not features.isfinite().all():
        raise FeaturesError(f"expected finite features of shape (N, F), got {tuple(features.shape)}")
    if not neurons:
        raise FeaturesError("a family needs at least one chosen neuron, got none")
    _check_neurons(neurons, features)
    chosen = sorted(set(neurons))
    if size < 1 or not len(features):
        return []
    values = features.double()
    centred = values - values.mean(dim=0)
    norm = centred.norm(dim=0)
    varies = norm > _CONSTANT * values.abs().amax(dim=0) * len(values) ** 0.5
    standardised = torch.where(varies, centred / norm.masked_fill(~varies, 1), torch.zeros_like(centred))
    correlation = standardised[:, chosen].mean(dim=1) @ standardised
    allowed = varies & (correlation > 0)
    allowed[chosen] = False
    order = correlation.masked_fill(~allowed, -torch.inf).argsort(descending=True, stable=True)
    return [int(neuron) for neuron in order[: min(size, int(allowed.sum()))]]


def _check_neurons(neurons: Sequence[int], features: Tensor) -> None:
    if any(not 0 <= neuron < features.shape[1] for neuron in neurons):
        raise FeaturesError(f"neurons must lie in 0..{features.shape[1] - 1}, got {list(neurons)}")


def _weight_and_logits(features: Tensor, decision_layer: nn.Linear, class_index: int) -> tuple[Tensor, Tensor]:
    num_classes, num_features = decision_layer.weight.shape
    if features.dim() != 2 or features.shape[1] != num_features or not features.isfinite().all():
        raise FeaturesError(f"expected finite features of shape (N, {num_features}), got {tuple(features.shape)}")
    if not 0 <= class_index < num_classes:
        raise FeaturesError(f"class_index must lie in 0..{num_classes - 1}, got {class_index}")
    weight = decision_layer.weight.double()
    logits = features.to(weight) @ weight.T
    return weight, logits if decision_layer.bias is None else logits + decision_layer.bias.double()


def _log_probability(logits: Tensor, class_index: int) -> Tensor:
    return logits.log_softmax(dim=-1)[..., class_index]
