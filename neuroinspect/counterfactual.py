"""Counterfactual explanation of mistakes: the smallest shift of the features that turns each mistake right.

For a mistake with features f (F,) and true class y, a shift w (F,), started at zero, follows

    min_w  CE(W (f + w) + b, y) + l1_weight * |w|_1 + l2_weight * |w|_2

and stops as soon as the decision is y. Both norms are divided by F with `penalty="mean"`. w_j > 0 means that neuron j
was insufficient for the true class, w_j < 0 that it was excessive.

Reference: Ju, Park, Lee 2023, section III-C (eq. 1). `sgd` follows the released code, all mistakes in one batch on
cached features. `proximal` differs: accelerated proximal gradient, and a last line search back to the smallest flip.

The mistakes are solved in chunks that keep the memory under a cap, whatever their number and that of neurons and classes.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neuroinspect.errors import FeaturesError
from neuroinspect.settings import CounterfactualSettings

_MARGINS = (1e-6, 1e-5, 1e-4, 1e-3)  # of the largest logit: by how much the true class must lead after the line search
_STILL = 1e-7  # a step below this part of the shift changes nothing in float32
_WORTH_PACKING = 0.75  # part of the samples still open below which the others are thrown out of the working memory
# What the solvers hold at once for each mistake, counted in vectors of F and of C: in the precision of the layer, in double.
_VECTORS, _DOUBLE_VECTORS = (8, 7), (2, 5)


@dataclass(frozen=True, slots=True, eq=False)
class Counterfactuals:
    """A shift for each mistake.

    Attributes:
        shifts: (M, F); zero for a sample that was right from the start. Where not converged, the last shift tried.
        steps: (M,) int64, steps taken until the flip.
        converged: (M,) bool, whether the shift flips the decision to the true class.
    """

    shifts: Tensor
    steps: Tensor
    converged: Tensor

    @property
    def neurons_moved(self) -> Tensor:
        """Number of neurons that each shift moves (M,), int64."""
        return torch.count_nonzero(self.shifts, dim=1)

    @property
    def sizes(self) -> Tensor:
        """Euclidean length of each shift (M,)."""
        lengths: Tensor = torch.linalg.vector_norm(self.shifts, dim=1)
        return lengths


@dataclass(frozen=True, slots=True, eq=False)
class _Problem:
    """Mistakes to be solved together, with the penalties as they stand in the sum."""

    features: Tensor
    targets: Tensor
    layer: nn.Linear
    l1: float
    l2: float
    settings: CounterfactualSettings

    def rows(self, rows: Tensor) -> "_Problem":
        return _Problem(self.features[rows], self.targets[rows], self.layer, self.l1, self.l2, self.settings)

    def flipped(self, shifts: Tensor) -> Tensor:
        return torch.eq(self.layer(self.features + shifts).argmax(dim=1), self.targets)


@dataclass(slots=True, eq=False)
class _Active:
    """Samples of a problem that are still open, packed together.

    Attributes:
        rows: (A,) of the problem.
        features: (A, F).
        targets: (A,).
        shifts: (A, F), where each sample stands; the solver moves them.
        logits: (A, C), at the shifts.
        carried: what the solver keeps for each sample, (A, ...) each.
    """

    rows: Tensor
    features: Tensor
    targets: Tensor
    shifts: Tensor
    logits: Tensor
    carried: list[Tensor]

    def gradient(self, logits: Tensor, layer: nn.Linear) -> Tensor:
        """Gradient (A, F) of the cross-entropy where the logits were taken, without the penalties."""
        slopes = logits.softmax(dim=1)
        slopes[torch.arange(len(slopes), device=slopes.device), self.targets] -= 1
        return torch.mm(slopes, layer.weight)

    def pack(self, kept: Tensor) -> None:
        """Keep these samples (A,) bool alone."""
        self.rows, self.features, self.targets = self.rows[kept], self.features[kept], self.targets[kept]
        self.shifts, self.logits = self.shifts[kept], self.logits[kept]
        self.carried = [values[kept] for values in self.carried]


# Moves the shifts of all samples by one step and says which stand still (A,).
_Step = Callable[[_Active], Tensor]


@torch.no_grad()
def explain_mistakes(
    features: Tensor, targets: Tensor, decision_layer: nn.Linear, *, settings: CounterfactualSettings | None = None
) -> Counterfactuals:
    """Find a shift for each mistake.

    Args:
        features: (M, F) penultimate features.
        targets: (M,) true classes, 0..C - 1.
        decision_layer: weight (C, F); not changed.
        settings: solver, penalties and budget; None takes the defaults.

    Returns:
        Shifts on the device and in the precision of the decision layer.

    Raises:
        FeaturesError: shapes that do not match, targets out of range, or values that are not finite.
    """
    settings = settings or CounterfactualSettings()
    weight = decision_layer.weight
    _check(features, targets, decision_layer)
    count, width = features.shape
    scale = width if settings.penalty == "mean" else 1
    solve = _solve_proximal(weight) if settings.solver == "proximal" else _solve_sgd
    found = Counterfactuals(
        weight.new_zeros((count, width)),
        torch.zeros(count, dtype=torch.int64, device=weight.device),
        torch.zeros(count, dtype=torch.bool, device=weight.device),
    )
    size = chunk_size(weight, cap_mb=settings.memory_cap_mb)
    for start in range(0, count, size):
        rows = slice(start, start + size)
        problem = _Problem(
            features[rows].to(weight),
            targets[rows].to(weight.device).long(),
            decision_layer,
            settings.l1_weight / scale,
            settings.l2_weight / scale,
            settings,
        )
        solve(problem, Counterfactuals(found.shifts[rows], found.steps[rows], found.converged[rows]))
    return found


def chunk_size(weight: Tensor, *, cap_mb: int) -> int:
    """How many mistakes are solved at once.

    Args:
        weight: (C, F) of the decision layer.
        cap_mb: memory for what is computed, MiB; inputs and results are not counted.
    """
    classes, width = weight.shape
    vectors = [neurons * width + logits * classes for neurons, logits in (_VECTORS, _DOUBLE_VECTORS)]
    return max(1, cap_mb * 2**20 // (vectors[0] * weight.element_size() + vectors[1] * 8))


def _check(features: Tensor, targets: Tensor, decision_layer: nn.Linear) -> None:
    num_classes, num_features = decision_layer.weight.shape
    if features.dim() != 2 or features.shape[1] != num_features:
        raise FeaturesError(f"expected features of shape (M, {num_features}), got {tuple(features.shape)}")
    if targets.shape != features.shape[:1] or targets.is_floating_point():
        raise FeaturesError(
            f"expected {len(features)} whole numbers as targets, got shape {tuple(targets.shape)} of {targets.dtype}"
        )
    if not all(map(_is_finite, (features, *decision_layer.parameters()))):
        raise FeaturesError(
            "features and decision layer must be finite; look for NaN or infinity in what the backbone gives"
        )
    if len(targets) and not 0 <= int(targets.min()) <= int(targets.max()) < num_classes:
        raise FeaturesError(f"targets must lie in 0..{num_classes - 1}, got {int(targets.min())}..{int(targets.max())}")


def _is_finite(values: Tensor) -> bool:
    # the two extremes carry NaN and infinity, and unlike isfinite() take no second array of that size
    return values.numel() == 0 or all(bool(extreme.isfinite()) for extreme in values.aminmax())


def _solve_sgd(problem: _Problem, found: Counterfactuals) -> None:
    settings = problem.settings

    def step(active: _Active) -> Tensor:
        (speed,) = active.carried
        norm = torch.linalg.vector_norm(active.shifts, dim=1, keepdim=True)
        speed.mul_(settings.momentum).add_(active.gradient(active.logits, problem.layer))
        speed.add_(active.shifts.sign(), alpha=problem.l1)
        speed.addcmul_(active.shifts, problem.l2 / norm.masked_fill(norm == 0, 1))
        active.shifts.sub_(speed, alpha=settings.learning_rate)
        return torch.zeros_like(active.rows, dtype=torch.bool)

    active = _opened(problem, found)
    active.carried = [torch.zeros_like(active.shifts)]
    _iterate(problem, active, found, step)


def _solve_proximal(weight: Tensor) -> Callable[[_Problem, Counterfactuals], None]:
    size = 1 / _curvature(weight)

    def solve(problem: _Problem, found: Counterfactuals) -> None:
        l1, l2 = size * problem.l1, size * problem.l2

        def step(active: _Active) -> Tensor:
            start, logits_before, pace, part = active.carried
            # The logits are linear in the shift, so those ahead follow from the last two.
            logits = torch.lerp(logits_before, active.logits, 1 + part)
            after = _shrink(active.gradient(logits, problem.layer).mul_(-size).add_(start), l1=l1, l2=l2)
            move = after - active.shifts
            step_taken = start.sub_(after)
            # Momentum that points uphill is dropped (O'Donoghue, Candes 2015), sample by sample.
            uphill = torch.linalg.vecdot(step_taken, move)[:, None] > 0
            before = pace.masked_fill(uphill, 1)
            pace = (1 + (1 + 4 * before.square()).sqrt()) / 2
            part = (before - 1) / pace
            still = _largest(step_taken) <= _STILL * _largest(after)
            active.carried = [move.mul_(part).add_(after), active.logits, pace, part]
            active.shifts = after
            return still

        active = _opened(problem, found)
        pace = torch.ones_like(active.shifts[:, :1])
        active.carried = [active.shifts.clone(), active.logits, pace, torch.zeros_like(pace)]
        _iterate(problem, active, found, step)
        flipped = torch.nonzero(found.converged & (found.steps > 0)).squeeze(1)
        found.shifts[flipped] = _shorten(problem.rows(flipped), found.shifts[flipped])

    return solve


def _largest(values: Tensor) -> Tensor:
    """Largest absolute value of each row (A,)."""
    largest: Tensor = torch.linalg.vector_norm(values, torch.inf, dim=1)
    return largest


def _curvature(weight: Tensor) -> Tensor:
    """Upper bound of the cross-entropy's curvature in the features, the same for every sample.

    Along a direction u the curvature is the variance of the logits' slopes W u under the softmax. A variance is at most a
    quarter of the squared range, and every slope lies within r |u| of that of the mean class, r the largest distance of a
    row of W from the mean row: so it is at most r^2.
    """
    distances = (weight - weight.mean(dim=0)).square().sum(dim=1)
    return distances.amax().clamp_min(1e-12)


def _opened(problem: _Problem, found: Counterfactuals) -> _Active:
    """The samples that are not right from the start, at the shift zero."""
    logits = problem.layer(problem.features)
    torch.eq(logits.argmax(dim=1), problem.targets, out=found.converged)
    rows = torch.nonzero(~found.converged).squeeze(1)
    features = problem.features[rows]
    return _Active(rows, features, problem.targets[rows], torch.zeros_like(features), logits[rows], [])


def _iterate(problem: _Problem, active: _Active, found: Counterfactuals, step: _Step) -> None:
    """Step until every sample has flipped, stands still at its minimum, or the budget is spent."""
    still_open = torch.ones_like(active.rows, dtype=torch.bool)
    for number in range(1, problem.settings.max_steps + 1):
        if not still_open.any():
            break
        still = step(active)
        active.logits = problem.layer(active.features + active.shifts)
        flipped = torch.eq(active.logits.argmax(dim=1), active.targets)
        ended = still_open & (flipped | still) if number < problem.settings.max_steps else still_open.clone()
        rows = active.rows[ended]
        found.shifts[rows], found.converged[rows], found.steps[rows] = active.shifts[ended], flipped[ended], number
        still_open &= ~ended
        if int(still_open.sum()) < _WORTH_PACKING * len(still_open):
            active.pack(still_open)
            still_open = torch.ones_like(active.rows, dtype=torch.bool)


def _shrink(shifts: Tensor, *, l1: Tensor, l2: Tensor) -> Tensor:
    """Proximal step of l1 * |w|_1 + l2 * |w|_2: soft threshold, then the whole row towards zero."""
    soft = shifts.sub_(shifts.clamp(-l1, l1))
    norm = torch.linalg.vector_norm(soft, dim=1, keepdim=True)
    return soft.mul_((1 - l2 / norm.clamp_min(1e-30)).clamp_min(0))


def _shorten(problem: _Problem, shifts: Tensor) -> Tensor:
    """The smallest part of each shift that still flips: the logits are linear along it, so it has a closed form."""
    weight = problem.layer.weight.double()
    bias = None if problem.layer.bias is None else problem.layer.bias.double()
    at_start = F.linear(problem.features.double(), weight, bias)
    slope = F.linear(shifts.double(), weight)
    truth = problem.targets[:, None]
    largest = at_start.abs().amax(dim=1, keepdim=True).clamp_min(1)
    lead = at_start.gather(1, truth).sub(at_start)
    gain = slope.gather(1, truth).sub(slope)
    rivals = (gain > 0).scatter(1, truth, False)
    best, waiting = shifts.clone(), torch.arange(len(shifts), device=shifts.device)
    for margin in _MARGINS:
        if not len(waiting):
            break
        parts = (margin * largest[waiting] - lead[waiting]).div_(gain[waiting]).masked_fill_(~rivals[waiting], 0)
        shorter = parts.amax(dim=1).clamp(0, 1)[:, None].to(shifts) * shifts[waiting]
        # Rounding can undo a flip this close to the border; then a wider margin is tried, and at last the whole shift.
        done = problem.rows(waiting).flipped(shorter)
        best[waiting[done]] = shorter[done]
        waiting = waiting[~done]
    return best
