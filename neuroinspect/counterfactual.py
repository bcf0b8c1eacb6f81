"""Counterfactual explanation of mistakes: the smallest shift of the features that turns each mistake right.

For a mistake with features f (F,) and true class y, a shift w (F,), started at zero, follows

    min_w  CE(W (f + w) + b, y) + l1_weight * |w|_1 + l2_weight * |w|_2

and stops as soon as the decision is y. Both norms are divided by F with `penalty="mean"`. w_j > 0 means that neuron j
was insufficient for the true class, w_j < 0 that it was excessive.

Reference: Ju, Park, Lee 2023, section III-C (eq. 1). `sgd` follows the released code, all mistakes in one batch on
cached features. `proximal` differs: accelerated proximal gradient, and a last line search back to the smallest flip.
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
        decisions = self.layer(self.features + shifts).argmax(dim=1)
        return torch.eq(decisions, self.targets)

    def gradient(self, shifts: Tensor) -> Tensor:
        """Gradient (M, F) of the cross-entropy, without the penalties."""
        slopes = self.layer(self.features + shifts).softmax(dim=1)
        slopes[torch.arange(len(slopes), device=slopes.device), self.targets] -= 1
        return torch.mm(slopes, self.layer.weight)


# From the samples still open, their row numbers and their shifts to the shifts after the step, and which stand still.
_Step = Callable[[_Problem, Tensor, Tensor], tuple[Tensor, Tensor]]


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
    scale = features.shape[1] if settings.penalty == "mean" else 1
    size = settings.chunk_size
    solve = _solve_proximal if settings.solver == "proximal" else _solve_sgd
    parts = [
        solve(
            _Problem(
                rows.to(weight),
                classes.to(weight.device),
                decision_layer,
                settings.l1_weight / scale,
                settings.l2_weight / scale,
                settings,
            )
        )
        for rows, classes in zip(torch.split(features, size), torch.split(targets.long(), size), strict=True)
    ]
    return Counterfactuals(*(torch.cat(column) for column in zip(*parts, strict=True)))


def _check(features: Tensor, targets: Tensor, decision_layer: nn.Linear) -> None:
    num_classes, num_features = decision_layer.weight.shape
    if features.dim() != 2 or features.shape[1] != num_features:
        raise FeaturesError(f"expected features of shape (M, {num_features}), got {tuple(features.shape)}")
    if targets.shape != features.shape[:1] or targets.is_floating_point():
        raise FeaturesError(
            f"expected {len(features)} whole numbers as targets, got shape {tuple(targets.shape)} of {targets.dtype}"
        )
    if not features.isfinite().all() or not all(p.isfinite().all() for p in decision_layer.parameters()):
        raise FeaturesError(
            "features and decision layer must be finite; look for NaN or infinity in what the backbone gives"
        )
    if len(targets) and not 0 <= int(targets.min()) <= int(targets.max()) < num_classes:
        raise FeaturesError(f"targets must lie in 0..{num_classes - 1}, got {int(targets.min())}..{int(targets.max())}")


def _solve_sgd(problem: _Problem) -> tuple[Tensor, Tensor, Tensor]:
    settings = problem.settings
    speed = torch.zeros_like(problem.features)

    def step(active: _Problem, rows: Tensor, shifts: Tensor) -> tuple[Tensor, Tensor]:
        norm = shifts.norm(dim=1, keepdim=True)
        penalty = problem.l1 * shifts.sign() + problem.l2 * shifts / norm.masked_fill(norm == 0, 1)
        speed[rows] = settings.momentum * speed[rows] + active.gradient(shifts) + penalty
        return shifts - settings.learning_rate * speed[rows], torch.zeros_like(rows, dtype=torch.bool)

    return _iterate(problem, step)


def _solve_proximal(problem: _Problem) -> tuple[Tensor, Tensor, Tensor]:
    # The cross-entropy's curvature in the logits is at most 1/2, so this bounds it in the features.
    weight = problem.layer.weight
    gram = weight @ weight.T if len(weight) <= weight.shape[1] else weight.T @ weight
    size = 1 / (0.5 * torch.linalg.eigvalsh(gram)[-1]).clamp_min(1e-12)
    ahead = torch.zeros_like(problem.features)
    pace = torch.ones_like(problem.features[:, :1])

    def step(active: _Problem, rows: Tensor, shifts: Tensor) -> tuple[Tensor, Tensor]:
        start = ahead[rows]
        after = _shrink(start - size * active.gradient(start), l1=size * problem.l1, l2=size * problem.l2)
        # Momentum that points uphill is dropped (O'Donoghue, Candes 2015), sample by sample.
        uphill = ((start - after) * (after - shifts)).sum(dim=1, keepdim=True) > 0
        before = pace[rows].masked_fill(uphill, 1)
        pace[rows] = (1 + (1 + 4 * before.square()).sqrt()) / 2
        ahead[rows] = after + (before - 1) / pace[rows] * (after - shifts)
        return after, (after - start).abs().amax(dim=1) <= _STILL * after.abs().amax(dim=1)

    shifts, steps, converged = _iterate(problem, step)
    found = torch.nonzero(converged & (steps > 0)).squeeze(1)
    shifts[found] = _shorten(problem.rows(found), shifts[found])
    return shifts, steps, converged


def _iterate(problem: _Problem, step: _Step) -> tuple[Tensor, Tensor, Tensor]:
    """Step until every sample has flipped, stands still at its minimum, or the budget is spent."""
    shifts = torch.zeros_like(problem.features)
    steps = torch.zeros_like(problem.targets)
    converged = problem.flipped(shifts)
    rows = torch.nonzero(~converged).squeeze(1)
    for _ in range(problem.settings.max_steps):
        if not len(rows):
            break
        active = problem.rows(rows)
        shifts[rows], still = step(active, rows, shifts[rows])
        steps[rows] += 1
        converged[rows] = active.flipped(shifts[rows])
        rows = rows[~converged[rows] & ~still]
    return shifts, steps, converged


def _shrink(shifts: Tensor, *, l1: Tensor, l2: Tensor) -> Tensor:
    """Proximal step of l1 * |w|_1 + l2 * |w|_2: soft threshold, then the whole row towards zero."""
    soft = shifts.sign() * (shifts.abs() - l1).clamp_min(0)
    norm = soft.norm(dim=1, keepdim=True)
    return torch.mul(soft, (1 - l2 / norm.clamp_min(1e-30)).clamp_min(0))


def _shorten(problem: _Problem, shifts: Tensor) -> Tensor:
    """The smallest part of each shift that still flips: the logits are linear along it, so it has a closed form."""
    weight = problem.layer.weight.double()
    bias = None if problem.layer.bias is None else problem.layer.bias.double()
    at_start = F.linear(problem.features.double(), weight, bias)
    slope = F.linear(shifts.double(), weight)
    truth = problem.targets[:, None]
    lead = at_start.gather(1, truth) - at_start
    gain = slope.gather(1, truth) - slope
    rivals = (gain > 0).scatter(1, truth, False)
    best, open_rows = shifts, torch.ones_like(problem.targets, dtype=torch.bool)
    for margin in _MARGINS:
        wanted = margin * at_start.abs().amax(dim=1, keepdim=True).clamp_min(1)
        part = ((wanted - lead) / gain).masked_fill(~rivals, 0).amax(dim=1).clamp(0, 1)
        shorter = part[:, None].to(shifts) * shifts
        # Rounding can undo a flip this close to the border; then a wider margin is tried, and at last the whole shift.
        done = open_rows & problem.flipped(shorter)
        best = torch.where(done[:, None], shorter, best)
        open_rows = open_rows & ~done
    return best
