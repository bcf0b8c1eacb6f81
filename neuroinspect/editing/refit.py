"""Train many decision layers side by side on the same cached features: every try of every method in one loop.

Reference: docs/method.md section 5; Ju et al. 2023, eq. (8) and (9); Jamieson and Talwalkar 2016, "Non-stochastic best arm
identification and hyperparameter optimization" (halving). Unlike the released code the backbone is never run, so BatchNorm
cannot move, the schedule runs once over all epochs, and the first epoch can be the best one.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from neuroinspect.editing.bias import shift_bias
from neuroinspect.editing.problem import EditProblem, Try
from neuroinspect.editing.selection import Score, rank, score_layer
from neuroinspect.editing.stack import Stack
from neuroinspect.editing.strength import FULL, blend
from neuroinspect.ports import Progress, silent
from neuroinspect.settings import TrainSettings

Layer = tuple[Tensor, Tensor]
_TOGETHER = 256
_TOGETHER_WEIGHTS = 4_200_000  # of the layers trained together: 17 MB, and four times that for what goes with them
_CHUNK_ELEMENTS = 8_000_000  # logits held at once: 32 MB


@dataclass(frozen=True, slots=True)
class Contest:
    """Which tries compete: after the epochs of `halve_after` the worse half of each group is trained no further.

    Attributes:
        groups: number of the group of each try.
        original: score of the original layer.
        average_tolerance: of the selection rule, which says what is worse.
        strength: how far from the original layer a try would be delivered; so it competes.
    """

    groups: Sequence[int]
    original: Score
    average_tolerance: float
    strength: float = FULL


def train_tries(
    problem: EditProblem,
    tries: Sequence[Try],
    *,
    settings: TrainSettings,
    contest: Contest | None = None,
    progress: Progress = silent,
) -> list[Layer]:
    """Train the decision layer of every try.

    Args:
        problem: the data.
        tries: what to train; those not to be trained come back as they are. The same object twice is trained once.
        settings: the same for all, so that every try has the same chance; batches come in the same order for each.
        contest: who competes; None: each try is alone, and trained to its end.
        progress: told how many tries are done.

    Returns:
        For each try the decision layer on plain features, (C, F) and (C,), of the epoch with the highest average accuracy on
        the validation features: projections are folded in, biases shifted.
    """
    layers = [(one.weight, one.bias) for one in tries]
    groups = range(len(tries)) if contest is None else contest.groups
    halve_after = settings.halve_after if contest is not None and _is_large(problem, settings) else ()
    first = {id(one): position for position, one in reversed(list(enumerate(tries)))}
    waiting = [position for position, one in enumerate(tries) if one.trained and first[id(one)] == position]
    done = 0
    for together in _chunks(waiting, groups, problem.weight.numel()):
        progress("refitting decision layers", done, len(waiting))
        race = _Race(problem, {position: tries[position] for position in together}, settings)
        for epoch in range(settings.epochs):
            race.run_epoch(epoch)
            if contest is not None and epoch + 1 in halve_after:
                race.halve(contest)
            if not race.running:
                break
        for position, layer in race.best.items():
            layers[position] = layer
        done += len(together)
    progress("refitting decision layers", len(waiting), len(waiting))
    return [shift_bias(problem, layers[first[id(one)]], one.shift) for one in tries]


def _is_large(problem: EditProblem, settings: TrainSettings) -> bool:
    return len(problem.features) * problem.weight.numel() > settings.halve_above


def _chunks(waiting: Sequence[int], groups: Sequence[int], size: int) -> Iterator[list[int]]:
    """Tries to train together: as many whole groups as the memory allows, and one at least."""
    most = min(_TOGETHER, _TOGETHER_WEIGHTS // size)
    members: dict[int, list[int]] = {}
    for position in waiting:
        members.setdefault(groups[position], []).append(position)
    chunk: list[int] = []
    for group in members.values():
        if chunk and len(chunk) + len(group) > most:
            yield chunk
            chunk = []
        chunk = chunk + group
    if chunk:
        yield chunk


class _Race:
    """The training of some tries, known by their positions: those still running, and the best layer of each so far."""

    def __init__(self, problem: EditProblem, tries: Mapping[int, Try], settings: TrainSettings) -> None:
        self.running = list(tries)
        self.best: dict[int, Layer] = {}
        self._problem, self._tries, self._settings = problem, tries, settings
        self._in_contest = set(tries)
        self._accuracy = dict.fromkeys(tries, -1.0)
        self._waited = dict.fromkeys(tries, 0)
        self._order = torch.Generator().manual_seed(settings.seed)
        self._rates = _learning_rates(settings, math.ceil(len(problem.features) / settings.batch_size))
        self._stack = Stack.of(list(tries.values()))
        self._weights, self._biases = (one.requires_grad_() for one in self._stack.start(list(tries.values())))
        self._gradient = torch.empty_like(self._weights)
        self._optimizer = torch.optim.Adam([self._weights, self._biases], fused=True)

    def run_epoch(self, epoch: int) -> None:
        """Train on every sample once, keep what got better, and let go of what has waited too long for it."""
        problem, size = self._problem, self._settings.batch_size
        permutation = torch.randperm(len(problem.features), generator=self._order).to(problem.features.device)
        rates = iter(self._rates[epoch * math.ceil(len(permutation) / size) :])
        for rows in permutation.split(size):
            self._optimizer.param_groups[0]["lr"] = next(rates)
            batch = problem.features[rows], problem.labels[rows]
            with torch.no_grad():
                found = self._stack.gradients(batch, self._weights, self._biases, out=self._gradient)
                self._weights.grad, self._biases.grad = found
            self._optimizer.step()
        self._keep_best()
        self._stop(one for one in self.running if self._waited[one] >= self._settings.patience)

    def halve(self, contest: Contest) -> None:
        """Stop the worse half of each group, by the selection rule."""
        groups: dict[int, list[int]] = {}
        for position in sorted(self._in_contest):
            groups.setdefault(contest.groups[position], []).append(position)
        for members in groups.values():
            scores = [self._score(position, contest.strength) for position in members]
            order = rank(scores, contest.original, average_tolerance=contest.average_tolerance)
            self._in_contest -= {members[k] for k in order[max(1, len(members) // 2) :]}
        self._stop(one for one in self.running if one not in self._in_contest)

    def _score(self, position: int, strength: float) -> Score:
        shifted = shift_bias(self._problem, self.best[position], self._tries[position].shift)
        weight, bias = blend((self._problem.weight, self._problem.bias), shifted, strength)
        features, labels = self._problem.validation_features, self._problem.validation_labels
        return score_layer(weight, bias, features=features, labels=labels)

    @torch.no_grad()
    def _keep_best(self) -> None:
        weights, biases = self._stack.fold(self._weights, self._biases)
        for row, accuracy in enumerate(_accuracy(self._problem, weights, biases)):
            position = self.running[row]
            self._waited[position] += 1
            if accuracy > self._accuracy[position]:
                self.best[position] = (weights[row].clone(), biases[row].clone())
                self._accuracy[position], self._waited[position] = accuracy, 0

    def _stop(self, positions: Iterable[int]) -> None:
        gone = set(positions)
        if not gone:
            return
        rows = [row for row, position in enumerate(self.running) if position not in gone]
        self.running = [self.running[row] for row in rows]
        if not rows:
            return
        self._stack = Stack.of([self._tries[position] for position in self.running])
        before = self._weights, self._biases
        self._weights, self._biases = (one.detach()[rows].requires_grad_() for one in before)
        self._gradient = torch.empty_like(self._weights)
        kept = torch.optim.Adam([self._weights, self._biases], fused=True)
        for old, new in zip(before, (self._weights, self._biases), strict=True):
            known = self._optimizer.state[old]
            moments = {name: known[name][rows] for name in ("exp_avg", "exp_avg_sq")}
            kept.state[new] = {"step": known["step"], **moments}
        self._optimizer = kept


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


def _accuracy(problem: EditProblem, weights: Tensor, biases: Tensor) -> list[float]:
    """Average accuracy of each of the layers (T, C, F), (T, C) on the validation features."""
    flat = weights.flatten(0, 1).T
    right = torch.zeros(len(biases), device=biases.device)
    rows = max(1, _CHUNK_ELEMENTS // biases.numel())
    for features, labels in zip(
        problem.validation_features.split(rows), problem.validation_labels.split(rows), strict=True
    ):
        logits = (features @ flat).view(len(features), *biases.shape) + biases
        right += (logits.argmax(2) == labels[:, None]).sum(0)
    found: list[float] = (right / len(problem.validation_labels)).tolist()
    return found
