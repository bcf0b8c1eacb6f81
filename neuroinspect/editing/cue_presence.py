"""Which samples show the cue? The chosen neurons make a first guess, all neurons then correct it.

No group label is used: a sample shows the cue as far as it stands out WITHIN its class in the way the chosen neurons say.

Reference: method.md section 4, step 1, which stops at the guess; the rounds that follow are self-training (Nigam et al. 2000,
"Text classification from labeled and unlabeled documents using EM") with a linear reader that never scores a sample it
learned from.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from neuroinspect.editing.select_moments import SelectMoments, weighted_sum

START = 1.0
"""Standard deviations above the mean of the starting score at which the first guess is "shows the cue"."""
ROUNDS = 10
"""Budget of the corrections."""
SETTLED = 0.01
"""Change of the presence, as a part of it, at which the corrections stop."""
_SPLIT_STEPS = 50
_SPLIT_SETTLED = 1e-4
_BORROWED = 2.0  # samples' worth of the overall rate that each class's own rate is mixed with


@dataclass(frozen=True, slots=True, eq=False)
class CuePresence:
    """What is believed about the cue.

    Attributes:
        probability: (N,) that a sample shows the cue, 0..1.
        rounds: corrections made.
        converged: they had settled before the budget was spent.
    """

    probability: Tensor
    rounds: int
    converged: bool

    @property
    def count(self) -> int:
        """Samples that rather show the cue."""
        return int((self.probability > 0.5).sum())


def find_presence(features: Tensor, neurons: Sequence[int], moments: SelectMoments) -> CuePresence:
    """Presence of the cue of some neurons.

    Args:
        features: (N, F) of the split that selects.
        neurons: the chosen ones; they may fire for one cue only.
        moments: of these features.
    """
    score = starting_score(features, neurons, moments)
    presence = split_scores(score, (score > START).double(), moments)
    for taken in range(ROUNDS):
        score = read_presence(features, presence, moments)
        corrected = split_scores(score, presence, moments)
        change = (corrected - presence).abs().mean()
        settled = bool(change <= SETTLED * presence.mean())
        presence = corrected
        if settled:
            return CuePresence(presence, taken + 1, True)
    return CuePresence(presence, ROUNDS, False)


def starting_score(features: Tensor, neurons: Sequence[int], moments: SelectMoments) -> Tensor:
    """Score (N,) of the chosen neurons, standardised: each counts as much as it agrees with the others.

    Of three or more, the weights are the first principal component of their correlations within classes, so that a wrong
    pick among right ones is voted down; of one or two all count the same.
    """
    chosen = features[:, list(neurons)].double()
    residual = chosen - moments.class_means[:, list(neurons)][moments.row]
    deviation = residual.square().mean(0).sqrt()
    alive = deviation > 1e-9 * chosen.abs().amax(0).clamp_min(1e-30)
    scaled = torch.where(alive, (chosen - chosen.mean(0)) / deviation.clamp_min(1e-30), 0.0)
    residual = torch.where(alive, residual / deviation.clamp_min(1e-30), 0.0)
    weights = alive.double()
    if len(neurons) > 2:
        leading = torch.linalg.eigh(residual.T @ residual / len(residual)).eigenvectors[:, -1]
        weights = (leading * leading.sum().sign()).clamp_min(0.0)
    score = scaled @ weights
    spread = score.std()
    return (score - score.mean()) / spread if spread > 0 else torch.zeros_like(score)


def read_presence(features: Tensor, presence: Tensor, moments: SelectMoments) -> Tensor:
    """Score (N,) of the best linear reader of the presence within classes, for each sample as if it had not taken part.

    Ridge regression on the features within classes, penalised by the shrinkage of their covariance; leaving one sample out
    is exact but for the class means. Without it the reader would confirm every guess as soon as neurons are many.
    """
    count, classes = len(features), len(moments.counts)
    rates = torch.zeros(classes, dtype=torch.float64, device=features.device).index_add_(0, moments.row, presence)
    wanted = presence - (rates / moments.counts)[moments.row]
    pull = weighted_sum(features, wanted) / count
    reader = moments.solve_within(pull[:, None])[:, 0]
    by_class = moments.class_means @ reader
    fitted = (features @ reader.to(features)).double() - by_class[moments.row]
    alone = (fitted - moments.leverage * wanted) / (1.0 - moments.leverage).clamp_min(1e-9)
    return alone + by_class[moments.row]


def split_scores(scores: Tensor, start: Tensor, moments: SelectMoments) -> Tensor:
    """Probability (N,) that a score belongs to the upper of two normal distributions.

    The two lie one gap apart, the same in all classes; every class has its own place and its own rate, so that a class whose
    samples nearly all show the cue is told from one that merely scores higher.

    Args:
        scores: (N,).
        start: (N,) first probabilities.
        moments: for the classes.
    """
    row, counts, classes = moments.row, moments.counts, len(moments.counts)

    def by_class(values: Tensor) -> Tensor:
        return torch.zeros(classes, dtype=torch.float64, device=values.device).index_add_(0, row, values)

    sums, upper = by_class(scores), start
    for _ in range(_SPLIT_STEPS):
        shown = by_class(upper)
        hidden = counts - shown
        weight = shown * hidden / counts
        high = by_class(upper * scores)
        gaps = high / shown.clamp_min(1e-12) - (sums - high) / hidden.clamp_min(1e-12)
        if weight.sum() <= 1e-9:
            return upper
        gap = (weight * gaps).sum() / weight.sum()
        place = (sums - gap * shown) / counts
        rest = scores - place[row]
        variance = (upper * (rest - gap).square() + (1 - upper) * rest.square()).mean().clamp_min(1e-12)
        rate = (shown + _BORROWED * upper.mean()) / (counts + _BORROWED)
        odds = (rate.log() - (1 - rate).log())[row]
        updated = torch.sigmoid(odds + gap * (2 * rest - gap) / (2 * variance))
        change = (updated - upper).abs().max()
        upper = updated
        if change < _SPLIT_SETTLED:
            break
    return upper
