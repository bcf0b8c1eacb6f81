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
PRESENT = 1.0
"""A sample shows the cue where its score is more than this many standard deviations above the mean."""
FAMILY_CUTOFF = 2.5
"""Robust standard deviations by which a neuron must stand out to be family (measured: benchmarks/neuron_family.py)."""
_TO_DEVIATION = 1.4826  # from the median absolute deviation to the standard deviation of a normal distribution
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
    if neurons is not None:
        _check_neurons(neurons, features)
        features, weight = features[:, list(neurons)], weight[:, list(neurons)]
    values = features.to(weight)
    ratios = torch.empty_like(values)
    chunk = max(1, _CHUNK_ELEMENTS // max(1, weight.numel()))
    for start in range(0, len(values), chunk):
        rows = slice(start, start + chunk)
        without = logits[rows, None, :] - values[rows, :, None] * weight.T
        ratios[rows] = _log_probability(logits[rows], class_index)[:, None] - _log_probability(without, class_index)
    return ratios


def cue_score(features: Tensor, neurons: Sequence[int], *, labels: Tensor | None = None) -> Tensor:
    """How strongly each sample shows what the chosen neurons fire on: their mean standardised activation (N,), standardised.

    Args:
        features: (N, F) of samples the model was not trained on.
        neurons: the chosen ones, 0..F - 1.
        labels: (N,) class numbers; where given, activations are seen within each class.

    Returns:
        In standard deviations, float64; zeros where no chosen neuron varies. A score above PRESENT counts as shown.

    Raises:
        FeaturesError: shapes that do not match, values that are not finite, no neuron, or no such neuron.
    """
    _check_chosen(features, neurons, labels)
    chosen, _ = _standardised(features[:, sorted(set(neurons))], labels)
    score, _ = _standardised(chosen.mean(dim=1, keepdim=True), None)
    return torch.mul(score[:, 0], len(features) ** 0.5)


def cue_correlation(features: Tensor, neurons: Sequence[int], *, labels: Tensor | None = None) -> Tensor:
    """Correlation (F,) of each neuron's activation with whether the cue of the chosen ones shows; 0 for a constant neuron.

    Args:
        features: (N, F) of samples the model was not trained on.
        neurons: the chosen ones, 0..F - 1.
        labels: (N,) class numbers; where given, both are seen within each class.

    Raises:
        FeaturesError: shapes that do not match, values that are not finite, no neuron, or no such neuron.
    """
    return _correlation_and_varies(features, neurons, labels)[0]


def neuron_family(
    features: Tensor, neurons: Sequence[int], *, labels: Tensor | None = None, size: int | None = None
) -> list[int]:
    """The other neurons that carry the same cue: those that fire where the chosen ones say it shows.

    A sample shows the cue where `cue_score` is above PRESENT. The family is what correlates most with that, both seen within
    each class, because in a validation set in which cue and class go together the family would else be the class. Without a
    size the correlation must stand out from that of all other neurons: FAMILY_CUTOFF robust deviations above their median.

    Args:
        features: (N, F) of samples the model was not trained on.
        neurons: the chosen ones, 0..F - 1; never in their own family.
        labels: (N,) class numbers; None: not within classes.
        size: neurons wanted, fewer where fewer are correlated above 0; None: those that stand out.

    Returns:
        The highest correlation first, equal ones by number; a constant neuron is never one.

    Raises:
        FeaturesError: shapes that do not match, values that are not finite, no neuron, or no such neuron.
    """
    correlation, varies = _correlation_and_varies(features, neurons, labels)
    chosen = sorted(set(neurons))
    others = varies.clone()
    others[chosen] = False
    allowed = others & (correlation > 0)
    if size is None and others.any():
        middle = correlation[others].median()
        spread = _TO_DEVIATION * (correlation[others] - middle).abs().median()
        allowed &= correlation > middle + FAMILY_CUTOFF * spread
    order = correlation.masked_fill(~allowed, -torch.inf).argsort(descending=True, stable=True)
    count = int(allowed.sum())
    return [int(neuron) for neuron in order[: count if size is None else max(0, min(size, count))]]


def _correlation_and_varies(features: Tensor, neurons: Sequence[int], labels: Tensor | None) -> tuple[Tensor, Tensor]:
    """`cue_correlation`, and which neurons are not constant (F,)."""
    shown = cue_score(features, neurons, labels=labels) > PRESENT
    presence, _ = _standardised(shown[:, None], labels)
    # Some neurons at a time: float64 copies of all features would take several times their memory.
    together = max(1, _CHUNK_ELEMENTS // 8 // max(1, len(features)))
    correlations, varying = [], []
    for columns in features.split(together, dim=1):
        values, varies = _standardised(columns, labels)
        correlations.append(torch.mv(values.T, presence[:, 0]))
        varying.append(varies)
    return torch.cat(correlations), torch.cat(varying)


def _standardised(values: Tensor, labels: Tensor | None) -> tuple[Tensor, Tensor]:
    """Columns (N, K) with mean 0, within each class where labels are given, and norm 1; and which vary (K,). Others are 0."""
    centred = values.double()
    limit = (
        _CONSTANT * centred.abs().amax(dim=0) * len(values) ** 0.5
        if len(values)
        else centred.new_zeros(values.shape[1])
    )
    if labels is None:
        centred = centred - centred.mean(dim=0)
    else:
        classes, row = labels.to(centred.device).unique(return_inverse=True)
        members = torch.bincount(row, minlength=len(classes)).double()
        sums = torch.zeros(len(classes), values.shape[1], dtype=torch.float64, device=centred.device).index_add_(
            0, row, centred
        )
        centred = centred - (sums / members[:, None])[row]
    norm = centred.norm(dim=0)
    varies = norm > limit
    return torch.where(varies, centred / norm.masked_fill(~varies, 1), torch.zeros_like(centred)), varies


def _check_chosen(features: Tensor, neurons: Sequence[int], labels: Tensor | None) -> None:
    if features.dim() != 2 or not features.isfinite().all():
        raise FeaturesError(f"expected finite features of shape (N, F), got {tuple(features.shape)}")
    if labels is not None and labels.shape != (len(features),):
        raise FeaturesError(f"expected labels of shape ({len(features)},), got {tuple(labels.shape)}")
    if not neurons:
        raise FeaturesError("a family needs at least one chosen neuron, got none")
    _check_neurons(neurons, features)


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
