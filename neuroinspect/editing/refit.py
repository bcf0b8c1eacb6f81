"""Train many decision layers side by side on the same cached features: every try of every method in one loop.

Reference: method.md section 4; Ju et al. 2023, eq. (8) and (9). Unlike the released code the backbone is never run, so
BatchNorm cannot move, the schedule runs once over all epochs, and the first epoch can be the best one.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from neuroinspect.editing.problem import EditProblem, Projection, Try
from neuroinspect.ports import Progress, silent
from neuroinspect.settings import TrainSettings

LOG_RATIO_LIMIT = 20.0
"""Log-ratios are clamped to this before they are exponentiated."""
REFERENCE_BATCH = 128
"""The batch size ratio_weight is meant for; the norm over another batch is divided by sqrt(B / 128)."""
_CHUNK = 64
_CHUNK_ELEMENTS = 32_000_000  # weights or logits held at once, beside the few copies training needs: 128 MB


def train_tries(
    problem: EditProblem, tries: Sequence[Try], *, settings: TrainSettings, progress: Progress = silent
) -> list[tuple[Tensor, Tensor]]:
    """Train the decision layer of every try.

    Args:
        problem: the data.
        tries: what to train; those not to be trained come back as they are.
        settings: the same for all, so that every try has the same chance; batches come in the same order for each.
        progress: told how many tries are done.

    Returns:
        For each try the decision layer on plain features, (C, F) and (C,): projections are folded in.
    """
    layers: list[tuple[Tensor, Tensor] | None] = [None if one.trained else (one.weight, one.bias) for one in tries]
    waiting = [position for position, one in enumerate(tries) if one.trained]
    together = max(1, min(_CHUNK, _CHUNK_ELEMENTS // problem.weight.numel()))
    for start in range(0, len(waiting), together):
        chunk = waiting[start : start + together]
        progress("refitting decision layers", start, len(waiting))
        for position, layer in zip(chunk, _train_chunk(problem, [tries[p] for p in chunk], settings), strict=True):
            layers[position] = layer
    progress("refitting decision layers", len(waiting), len(waiting))
    return [layer for layer in layers if layer is not None]


def _train_chunk(problem: EditProblem, tries: Sequence[Try], settings: TrainSettings) -> list[tuple[Tensor, Tensor]]:
    stack = _Stack.of(tries, problem)
    weights = torch.stack([one.weight for one in tries]).clone().requires_grad_()
    biases = torch.stack([one.bias for one in tries]).clone().requires_grad_()
    optimizer = torch.optim.Adam([weights, biases], lr=settings.learning_rate)
    count = len(problem.features)
    batches = math.ceil(count / settings.batch_size)
    rates = _learning_rates(settings, batches)
    order = torch.Generator().manual_seed(settings.seed)
    best = torch.full((len(tries),), -1.0, device=weights.device)
    best_weights, best_biases = weights.detach().clone(), biases.detach().clone()
    waited = torch.zeros(len(tries), dtype=torch.int64, device=weights.device)
    for epoch in range(settings.epochs):
        permutation = torch.randperm(count, generator=order).to(problem.features.device)
        for number, rows in enumerate(permutation.split(settings.batch_size)):
            for group in optimizer.param_groups:
                group["lr"] = rates[epoch * batches + number]
            loss = stack.loss(problem.features[rows], problem.labels[rows], weights, biases)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        with torch.no_grad():
            accuracy = _accuracy(problem, *stack.fold(weights, biases))
            better = (accuracy > best) & (waited < settings.patience)
            best = torch.where(better, accuracy, best)
            best_weights[better], best_biases[better] = weights[better], biases[better]
            waited = torch.where(better, 0, waited + 1)
        if not (waited < settings.patience).any():
            break
    with torch.no_grad():
        return list(zip(*stack.fold(best_weights, best_biases), strict=True))


def _learning_rates(settings: TrainSettings, batches: int) -> list[float]:
    """Linear warm-up, then a cosine to zero, one value for each batch of all epochs."""
    total = settings.epochs * batches
    warm = min(total, max(1, round(settings.warm_up * total)))
    rising = [settings.learning_rate * (step + 1) / warm for step in range(warm)]
    falling = [
        settings.learning_rate * 0.5 * (1 + math.cos(math.pi * step / max(1, total - warm)))
        for step in range(total - warm)
    ]
    return rising + falling


def _accuracy(problem: EditProblem, weights: Tensor, biases: Tensor) -> Tensor:
    """Average accuracy (T,) on the validation features of layers (T, C, F), (T, C)."""
    rows = max(1, _CHUNK_ELEMENTS // biases.numel())
    batches = zip(problem.validation_features.split(rows), problem.validation_labels.split(rows), strict=True)
    right = [_logits(features, weights, biases).argmax(2) == labels for features, labels in batches]
    return torch.cat(right, 1).float().mean(1)


def _logits(features: Tensor, weights: Tensor, biases: Tensor) -> Tensor:
    """(T, N, C) of features (N, F), weights (T, C, F), biases (T, C)."""
    return torch.einsum("nf,tcf->tnc", features, weights) + biases[:, None]


@dataclass(frozen=True, slots=True, eq=False)
class _Stack:
    """What the tries ask for as tensors with a leading axis of T tries; zeros where a try does not ask.

    Attributes:
        projection: all projections in one, kept (T, 1, F), left and right (T, F, k), offset (T, F, 1).
        weight_decay: (T,).
        silenced: by class index (T, F), neurons silenced in the ratio or counted in the contribution.
        ratio_weight, target_ratio, contribution_weight: (T,).
    """

    projection: Projection
    weight_decay: Tensor
    silenced: Mapping[int, Tensor]
    ratio_weight: Tensor
    target_ratio: Tensor
    contribution_weight: Tensor

    @classmethod
    def of(cls, tries: Sequence[Try], problem: EditProblem) -> "_Stack":
        width, device = problem.weight.shape[1], problem.weight.device
        rank = max((one.projection.left.shape[1] for one in tries if one.projection), default=0)
        kept = torch.ones((len(tries), 1, width), device=device)
        left, right = (torch.zeros((len(tries), width, rank), device=device) for _ in range(2))
        offset = torch.zeros((len(tries), width, 1), device=device)
        masks: dict[int, Tensor] = {}
        for position, one in enumerate(tries):
            if one.projection is not None:
                own = one.projection.left.shape[1]
                kept[position, 0] = one.projection.kept
                left[position, :, :own], right[position, :, :own] = one.projection.left, one.projection.right
                offset[position, :, 0] = one.projection.offset
            asked = one.ratio.silenced if one.ratio else one.contribution
            for index, mask in asked.items():
                masks.setdefault(index, torch.zeros((len(tries), width), device=device))[position] = mask.float()

        def column(values: list[float]) -> Tensor:
            return torch.tensor(values, device=device)

        return cls(
            Projection(kept, left, right, offset),
            column([one.weight_decay for one in tries]),
            masks,
            column([one.ratio.weight if one.ratio else 0.0 for one in tries]),
            column([one.ratio.target_ratio if one.ratio else 1.0 for one in tries]),
            column([float(one.settings["contribution_weight"]) if one.contribution else 0.0 for one in tries]),
        )

    def fold(self, weights: Tensor, biases: Tensor) -> tuple[Tensor, Tensor]:
        """Layers on plain features: (T, C, F) and (T, C)."""
        silenced = weights * self.projection.kept
        folded = silenced - (silenced @ self.projection.left) @ self.projection.right.mT
        return folded, biases + ((silenced - folded) @ self.projection.offset).squeeze(2)

    def loss(self, features: Tensor, labels: Tensor, weights: Tensor, biases: Tensor) -> Tensor:
        """Sum over the tries, which share no parameter, so that each feels only its own loss."""
        logits = _logits(features, *self.fold(weights, biases))
        spread = labels.expand(len(weights), -1)
        entropy = functional.cross_entropy(logits.flatten(0, 1), spread.flatten(), reduction="none").view(
            len(weights), -1
        )
        total = entropy.mean(1) + 0.5 * self.weight_decay * weights.square().sum((1, 2))
        for index, mask in self.silenced.items():
            if self.ratio_weight.any():
                total = total + self.ratio_weight * self._ratio_distance(features, logits, weights, (index, mask))
            if self.contribution_weight.any():
                own = features @ (weights[:, index] * mask).T + biases[:, index]
                total = total + self.contribution_weight * (own.relu().mean(0) * mask.any(1))
        return total.sum()

    def _ratio_distance(self, features: Tensor, logits: Tensor, weights: Tensor, cell: tuple[int, Tensor]) -> Tensor:
        """Eq. (8): || P_c - target_ratio ||_2 over the batch, one for each try (T,)."""
        index, mask = cell
        without = logits - torch.einsum("nf,tcf->tnc", features, weights * mask[:, None])
        log_ratio = logits.log_softmax(2)[..., index] - without.log_softmax(2)[..., index]
        ratio = log_ratio.clamp(-LOG_RATIO_LIMIT, LOG_RATIO_LIMIT).exp()
        distance = (ratio - self.target_ratio[:, None]) * mask.any(1, keepdim=True)
        scale = math.sqrt(len(features) / REFERENCE_BATCH)
        return (distance.square().sum(1) + 1e-12).sqrt() / scale
