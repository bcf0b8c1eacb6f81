"""What the chosen neurons cost: the penalties of eq. (8) and (9) for many tries at once, with their gradients written out.

Only the weights of the chosen neurons are touched: a penalty is of low rank beside the cross-entropy.

Reference: Ju et al. 2023, eq. (8) and (9).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from neuroinspect.editing.problem import RatioForm, Try

LOG_RATIO_LIMIT = 20.0
"""Log-ratios are clamped to this before they are exponentiated."""
REFERENCE_BATCH = 128
"""The batch size ratio_weight is meant for; the norm over another batch is divided by sqrt(B / 128)."""


@dataclass(frozen=True, slots=True, eq=False)
class Chosen:
    """Neurons of one class in some of the tries.

    Attributes:
        index: the class.
        rows: (R,) which tries.
        neurons: (R, K), padded where a try has fewer.
        counts: (R, 1, K) 1, or 0 where padded.
    """

    index: int
    rows: Tensor
    neurons: Tensor
    counts: Tensor

    @classmethod
    def of(cls, index: int, chosen: Mapping[int, Sequence[int]], device: torch.device) -> "Chosen":
        """From the neurons of each try, by its row."""
        most = max(map(len, chosen.values()))
        padded = [[*neurons, *[0] * (most - len(neurons))] for neurons in chosen.values()]
        counts = [[float(k < len(neurons)) for k in range(most)] for neurons in chosen.values()]
        return cls(
            index,
            torch.tensor(list(chosen), device=device),
            torch.tensor(padded, device=device),
            torch.tensor(counts, device=device)[:, None],
        )

    def weights(self, weights: Tensor) -> Tensor:
        """Weights (R, C, K) of these neurons, of all (T, C, F)."""
        return weights.mT[self.rows[:, None], self.neurons].mT * self.counts

    def values(self, features: Tensor, erased: "Erased | None") -> Tensor:
        """What the tries see of these neurons (R, B, K), of a batch (B, F)."""
        values = features[:, self.neurons].transpose(0, 1)
        if erased is None:
            return values
        left = erased.left[self.rows[:, None], self.neurons]
        return values - erased.readings[:, self.rows].transpose(0, 1) @ left.mT

    def add(self, gradient: Tensor, part: Tensor) -> None:
        """Add the gradients (R, C, K) of these neurons' weights to those of all weights (T, C, F)."""
        at = (self.rows[:, None], self.neurons)
        gradient.mT.index_put_(at, (part * self.counts).mT, accumulate=True)


@dataclass(frozen=True, slots=True, eq=False)
class Ratios:
    """The ratio penalty of the tries that share form and classes; weight and target (R,)."""

    form: RatioForm
    chosen: tuple[Chosen, ...]
    weight: Tensor
    target: Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Erased:
    """What a batch holds of the erased directions: left (T, F, k), readings (B, T, k)."""

    left: Tensor
    readings: Tensor


def softmax(logits: Tensor) -> tuple[Tensor, Tensor]:
    """Probabilities (..., C) and the logarithm of their denominator (..., 1)."""
    highest = logits.amax(-1, keepdim=True)
    probability = (logits - highest).exp_()
    total = probability.sum(-1, keepdim=True)
    probability /= total
    return probability, highest + total.log()


def ratio_slopes(
    ratios: Ratios,
    features: Tensor,
    known: tuple[Tensor, Tensor, Tensor],
    weights: Tensor,
    slope: Tensor,
    erased: Erased | None,
) -> list[tuple[Chosen, Tensor]]:
    """Add the slopes of a ratio penalty to those of the logits (B, T, C); return what the silenced neurons do not share.

    With P = p_c / p'_c, where ' is of the logits with the chosen neurons silenced: dP/dz = P (e_c - p), dP/dz' = P (p' - e_c).
    """
    rows = ratios.chosen[0].rows
    logits, probability, total = (one[:, rows] for one in known)
    parts = []
    for chosen in ratios.chosen:
        values = chosen.values(features, erased)
        silent, silent_total = softmax(logits - (values @ chosen.weights(weights).mT).transpose(0, 1))
        lost = (values.transpose(0, 1) * chosen.weights(weights)[:, chosen.index]).sum(2)
        log_ratio = lost - (total - silent_total)[:, :, 0]
        inside = log_ratio.abs() < LOG_RATIO_LIMIT
        ratio = log_ratio.clamp(-LOG_RATIO_LIMIT, LOG_RATIO_LIMIT).exp()
        parts.append((chosen, values, silent, ratio, inside))
    pulls = _pulls(ratios, [ratio for _, _, _, ratio, _ in parts])
    found = []
    added = torch.zeros_like(probability)
    for (chosen, values, silent, ratio, inside), pull in zip(parts, pulls, strict=True):
        strength = (pull * ratio * inside)[:, :, None]
        onto_silent = silent * strength
        onto_silent[:, :, chosen.index] -= strength[:, :, 0]
        added -= probability * strength
        added[:, :, chosen.index] += strength[:, :, 0]
        added += onto_silent
        found.append((chosen, -(onto_silent.permute(1, 2, 0) @ values)))
    slope.index_add_(1, rows, added)
    return found


def contribution_slopes(
    chosen: Chosen, strength: Tensor, values: Tensor, *, layers: tuple[Tensor, Tensor]
) -> tuple[Tensor, Tensor]:
    """Gradients (R, C, K), (R,) of a contribution penalty: of the neurons' weights, and of the bias of their class.

    Args:
        chosen: the neurons.
        strength: the weight of the penalty (R,).
        values: what the tries see of the neurons (R, B, K).
        layers: all weights (T, C, F) and biases (T, C).
    """
    weights = chosen.weights(layers[0])
    own = (values * weights[:, [chosen.index]]).sum(2) + layers[1][chosen.rows, chosen.index, None]
    pushed = (own > 0) * (strength / values.shape[1])[:, None]
    part = torch.zeros_like(weights)
    part[:, chosen.index] = (pushed[:, :, None] * values).sum(1)
    return part, pushed.sum(1)


def _pulls(ratios: Ratios, found: Sequence[Tensor]) -> list[Tensor]:
    """How the penalty changes with each ratio (B, R) of each class."""
    if ratios.form == "mean":
        mean = torch.stack([ratio.mean(0) for ratio in found]).mean(0)
        pull = ratios.weight * (mean - ratios.target).sign() / (len(found[0]) * len(found))
        return [pull.expand_as(ratio) for ratio in found]
    scale = math.sqrt(len(found[0]) / REFERENCE_BATCH)
    pulls = []
    for ratio in found:
        distance = ratio - ratios.target
        pulls.append(ratios.weight / scale * distance / (distance.square().sum(0) + 1e-12).sqrt())
    return pulls


def ratios_of(tries: Sequence[Try], device: torch.device) -> tuple[Ratios, ...]:
    """The ratio penalties that some of the tries ask for."""
    alike: dict[tuple[RatioForm, tuple[int, ...]], list[int]] = {}
    for row, one in enumerate(tries):
        # Without weight the penalty is left out, so that it equals retrain-only bit for bit.
        if one.ratio is not None and one.ratio.weight:
            alike.setdefault((one.ratio.form, tuple(one.ratio.neurons)), []).append(row)
    found = []
    for (form, classes), rows in alike.items():
        penalties = {row: asked for row in rows if (asked := tries[row].ratio) is not None}
        chosen = tuple(
            Chosen.of(index, {row: one.neurons[index] for row, one in penalties.items()}, device) for index in classes
        )
        weight = torch.tensor([one.weight for one in penalties.values()], device=device)
        target = torch.tensor([one.target_ratio for one in penalties.values()], device=device)
        found.append(Ratios(form, chosen, weight, target))
    return tuple(found)


def contributions_of(tries: Sequence[Try], device: torch.device) -> tuple[tuple[Chosen, Tensor], ...]:
    """The contribution penalties that some of the tries ask for, each with its weight (R,)."""
    penalties = {row: asked for row, one in enumerate(tries) if (asked := one.contribution) is not None}
    found = []
    for index in dict.fromkeys(index for one in penalties.values() for index in one.neurons):
        rows = {row: one for row, one in penalties.items() if index in one.neurons}
        chosen = Chosen.of(index, {row: one.neurons[index] for row, one in rows.items()}, device)
        found.append((chosen, torch.tensor([one.weight for one in rows.values()], device=device)))
    return tuple(found)
