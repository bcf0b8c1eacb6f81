"""Many tries as one stack of tensors: their logits, the gradients of their losses, and the layers they come to.

All tries see the same batch, so the logits of all of them are one matrix product, and so are their gradients. What a try
erases, silences or is penalised for is of low rank and is added as such: no (T, C, F) tensor is made beside the weights and
their gradients. Every loss here is p - onehot times something, so the gradients are written out.

Reference: Lin et al. 2017, "Focal Loss for Dense Object Detection".
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from neuroinspect.editing.penalties import (
    Chosen,
    Erased,
    Ratios,
    contribution_slopes,
    contributions_of,
    ratio_slopes,
    ratios_of,
    softmax,
)
from neuroinspect.editing.problem import Try


@dataclass(frozen=True, slots=True, eq=False)
class Stack:
    """What T tries ask for.

    Attributes:
        silenced: rows and neurons silenced for all classes, or None; their weights start at 0 and stay there.
        left, right, centre: (T, F, k), (F, T, k) and (T, k) of the projections, or None where no try erases.
        weight_decay, class_weights, focal: (T, 1, 1), (C, T), (T,), or None where no try asks for it.
        ratios, contributions: the penalties; a contribution with its weight (R,).
    """

    silenced: tuple[Tensor, Tensor] | None
    left: Tensor | None
    right: Tensor | None
    centre: Tensor | None
    weight_decay: Tensor | None
    class_weights: Tensor | None
    focal: Tensor | None
    ratios: tuple[Ratios, ...]
    contributions: tuple[tuple[Chosen, Tensor], ...]

    @classmethod
    def of(cls, tries: Sequence[Try]) -> "Stack":
        """A stack of tries of the same decision layer."""
        device = tries[0].weight.device
        left, right, centre = _projections(tries)
        kept = [None if one.projection is None else one.projection.kept for one in tries]
        quiet = [
            (row, neuron)
            for row, mask in enumerate(kept)
            if mask is not None
            for neuron in (mask == 0).nonzero().flatten().tolist()
        ]
        silenced = None
        if quiet:
            rows, neurons = torch.tensor(quiet, device=device).T
            silenced = (rows, neurons)
        decays = [one.weight_decay for one in tries]
        focal = [one.focal for one in tries]
        even = torch.ones(len(tries[0].bias), device=device)
        weighted = [even if one.class_weights is None else one.class_weights for one in tries]
        return cls(
            silenced,
            left,
            right,
            centre,
            torch.tensor(decays, device=device)[:, None, None] if any(decays) else None,
            torch.stack(weighted, 1) if any(one.class_weights is not None for one in tries) else None,
            torch.tensor(focal, device=device) if any(focal) else None,
            ratios_of(tries, device),
            contributions_of(tries, device),
        )

    def start(self, tries: Sequence[Try]) -> tuple[Tensor, Tensor]:
        """Where the tries start, (T, C, F) and (T, C)."""
        weights = torch.stack([one.weight for one in tries])
        if self.silenced is not None:
            weights.mT[self.silenced] = 0.0
        return weights, torch.stack([one.bias for one in tries])

    def fold(self, weights: Tensor, biases: Tensor) -> tuple[Tensor, Tensor]:
        """Layers on plain features, (T, C, F) and (T, C)."""
        if self.left is None or self.right is None or self.centre is None:
            return weights, biases
        read = weights @ self.left
        return weights - read @ self.right.permute(1, 2, 0), biases + (read @ self.centre[:, :, None]).squeeze(2)

    def gradients(
        self, batch: tuple[Tensor, Tensor], weights: Tensor, biases: Tensor, *, out: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Gradients (T, C, F), (T, C) of the losses of a batch: features (B, F), labels (B,); the first are written to out."""
        features, labels = batch
        erased = self._erased(features)
        logits = self._logits(features, weights, biases, erased=erased)
        probability, total = softmax(logits)
        at = labels[:, None, None].expand(-1, len(weights), -1)
        strength = self._strengths(probability, at, labels)
        slope = probability * strength
        slope.scatter_add_(2, at, -strength)
        corrections = [
            part
            for ratios in self.ratios
            for part in ratio_slopes(ratios, features, (logits, probability, total), weights, slope, erased)
        ]
        torch.mm(slope.flatten(1).T, features, out=out.flatten(0, 1))
        gradient = out
        bias_gradient = slope.sum(0)
        if erased is not None:
            read = slope.permute(1, 2, 0) @ erased.readings.transpose(0, 1)
            gradient.baddbmm_(read, erased.left.mT, alpha=-1)
        for chosen, part in corrections:
            chosen.add(gradient, part)
        for chosen, strength in self.contributions:
            part, own = contribution_slopes(chosen, strength, chosen.values(features, erased), layers=(weights, biases))
            chosen.add(gradient, part)
            bias_gradient[chosen.rows, chosen.index] += own
        if self.weight_decay is not None:
            gradient.addcmul_(weights, self.weight_decay)
        if self.silenced is not None:
            gradient.mT[self.silenced] = 0.0
        return gradient, bias_gradient

    def _erased(self, features: Tensor) -> Erased | None:
        if self.left is None or self.right is None or self.centre is None:
            return None
        readings = (features @ self.right.flatten(1)).view(len(features), *self.centre.shape) - self.centre
        return Erased(self.left, readings)

    def _logits(self, features: Tensor, weights: Tensor, biases: Tensor, *, erased: Erased | None) -> Tensor:
        logits = torch.mm(features, weights.flatten(0, 1).T).view(len(features), *biases.shape)
        logits += biases
        if erased is not None:
            read = weights @ erased.left
            logits -= (erased.readings.transpose(0, 1) @ read.mT).transpose(0, 1)
        return logits

    def _strengths(self, probability: Tensor, at: Tensor, labels: Tensor) -> Tensor:
        """What each sample counts in each try, (B, T, 1): 1 / B unless classes are weighted or the loss is focal."""
        strength = probability.new_full((), 1 / len(labels)).expand(len(labels), probability.shape[1], 1)
        if self.class_weights is not None:
            own = self.class_weights[labels]
            strength = (own / own.sum(0))[:, :, None]
        if self.focal is not None:
            right = probability.gather(2, at)[:, :, 0].clamp(1e-12, 1.0)
            wrong = (1 - right).clamp_min(1e-12)
            focused = wrong**self.focal - self.focal * right * wrong ** (self.focal - 1) * right.log()
            strength = strength * focused[:, :, None]
        return strength


def _projections(tries: Sequence[Try]) -> tuple[Tensor, Tensor, Tensor] | tuple[None, None, None]:
    """Tensors left (T, F, k), right (F, T, k), and centre (T, k), what the offset reads."""
    rank = max((one.projection.left.shape[1] for one in tries if one.projection), default=0)
    if rank == 0:
        return None, None, None
    left = tries[0].weight.new_zeros((len(tries), tries[0].weight.shape[1], rank))
    right, centre = torch.zeros_like(left), left.new_zeros((len(tries), rank))
    for row, one in enumerate(tries):
        if one.projection is not None:
            own = one.projection.left.shape[1]
            left[row, :, :own] = one.projection.left * one.projection.kept[:, None]
            right[row, :, :own] = one.projection.right
            centre[row, :own] = one.projection.offset @ one.projection.right
    return left, right.transpose(0, 1).contiguous(), centre
