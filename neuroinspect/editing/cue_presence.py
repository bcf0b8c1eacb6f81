"""Which samples show the cue? The chosen neurons make a first guess, all neurons then correct it.

No group label is used: a sample shows the cue as far as it stands out WITHIN its class in the way the chosen neurons say. Where
that splits the samples into two clear heaps, the split is corrected in turn (self-training, Nigam et al. 2000, "Text
classification from labeled and unlabeled documents using EM"). Where it does not, as on photos with a small cue, corrections
of a hard split drift away from the cue, and the score itself is the better answer.

Reference: docs/method.md section 6, step 1, which stops at the first guess.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from neuroinspect.editing.select_moments import SelectMoments, scratch_for, weighted_sum

START = 1.0
"""Standard deviations above the mean of a score at which a sample is first taken to show the cue."""
SMOOTHINGS = 10
"""How often all neurons read the score again before it is split."""
CLEAR = 3.0
"""Gap between the two heaps, in standard deviations of one, from which on one sample in fifteen is misplaced at most."""
CORRECTIONS = 10
"""Budget of the corrections of a split."""
SETTLED = 0.01
"""Change of the presence, as a part of it, at which the corrections stop."""
SAME_CUE = 0.25
"""Correlation within classes above which two neurons fire for the same cue."""
_SPLIT_STEPS = 50
_SPLIT_SETTLED = 1e-4
_BORROWED = 2.0  # samples' worth of the overall rate that each class's own rate is mixed with


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """A score seen as two heaps.

    Attributes:
        upper: (N,) probability of belonging to the upper one, 0..1.
        gap: between them, in standard deviations of one heap; 0 where there is none.
    """

    upper: Tensor
    gap: float


@dataclass(frozen=True, slots=True, eq=False)
class CuePresence:
    """What is believed about the cue.

    Attributes:
        score: (N,) how far a sample shows the cue; a probability, 0..1, where the heaps are clear, else any number.
        count: samples that rather show it.
        gap: between the samples with and without it, in standard deviations.
        clear: the gap was wide enough for corrections.
        converged: they settled within their budget; True where none were made.
    """

    score: Tensor
    count: int
    gap: float
    clear: bool
    converged: bool


def find_presence(features: Tensor, neurons: Sequence[int], moments: SelectMoments) -> CuePresence:
    """Presence of the cue of some neurons.

    Args:
        features: (N, F) of the split that selects.
        neurons: the chosen ones; they may fire for one cue only.
        moments: of these features.
    """
    score = starting_score(features, neurons, moments)
    scratch = scratch_for(features)
    for _ in range(SMOOTHINGS):
        score = standardise(read_presence(features, score, moments, scratch=scratch))
    split = split_scores(score, (score > START).double(), moments)
    clear, converged = split.gap >= CLEAR, True
    if clear:
        split, converged = _correct(features, split, moments, scratch)
        score = split.upper
    return CuePresence(score, int((split.upper > 0.5).sum()), split.gap, clear, converged)


def _correct(features: Tensor, split: Split, moments: SelectMoments, scratch: Tensor) -> tuple[Split, bool]:
    for _ in range(CORRECTIONS):
        score = read_presence(features, split.upper, moments, scratch=scratch)
        corrected = split_scores(standardise(score), split.upper, moments)
        change = (corrected.upper - split.upper).abs().mean()
        settled = bool(change <= SETTLED * split.upper.mean())
        split = corrected
        if settled:
            return split, True
    return split, False


def standardise(score: Tensor) -> Tensor:
    """A score (N,) with mean 0 and deviation 1; zeros where it never varies."""
    spread = score.std()
    return (score - score.mean()) / spread if spread > 0 else torch.zeros_like(score)


def find_cues(features: Tensor, neurons: Sequence[int], moments: SelectMoments) -> list[CuePresence]:
    """The cues that the chosen neurons of one class fire for; mostly one.

    Where the presence is clear, neurons that hardly go with one another within classes fire for different cues: the one that
    agrees most makes a group with those that go with it, then the same with the rest that this cue does not explain. Where
    it is not clear, weak neurons of one cue hardly go together either, and all are taken for one. A neuron that stays alone
    while others go together is rather a wrong pick than a cue of its own, and is passed over.

    Args:
        features: (N, F) of the split that selects.
        neurons: the chosen ones of one class.
        moments: of these features.
    """
    whole = find_presence(features, neurons, moments)
    found: list[CuePresence] = []
    left = list(neurons) if whole.clear else []
    while len(left) > 1:  # a single one that is left would be passed over
        residual = _activations(features, left, moments)[1] / len(features) ** 0.5
        hub = int(_agreement(residual).argmax()) if len(left) > 2 else 0
        together = residual.T @ residual[:, hub] > SAME_CUE
        group = [neuron for k, neuron in enumerate(left) if k == hub or together[k]]
        presence = whole if group == list(neurons) else find_presence(features, group, moments)
        if presence.clear and len(group) > 1:
            found.append(presence)
        explained = residual.T @ _within(presence.score, moments) > SAME_CUE
        left = [neuron for k, neuron in enumerate(left) if neuron not in group and not explained[k]]
    return found or [whole]


def starting_score(features: Tensor, neurons: Sequence[int], moments: SelectMoments) -> Tensor:
    """Score (N,) of the chosen neurons, standardised: each counts as much as it agrees with the others.

    Of three or more, the weights are the first principal component of their correlations within classes, so that a wrong
    pick among right ones is voted down; of one or two all count the same.
    """
    scaled, residual = _activations(features, neurons, moments)
    alive = residual.square().sum(0) > 0
    weights = _agreement(residual).clamp_min(0.0) if len(neurons) > 2 else alive.double()
    return standardise(scaled @ weights)


def _activations(features: Tensor, neurons: Sequence[int], moments: SelectMoments) -> tuple[Tensor, Tensor]:
    """Activations (N, K) in deviations within classes, around the mean and around the class's; zeros of a dead neuron."""
    chosen = features[:, list(neurons)].double()
    residual = chosen - moments.class_means[:, list(neurons)][moments.row]
    deviation = residual.square().mean(0).sqrt()
    alive = deviation > 1e-9 * chosen.abs().amax(0).clamp_min(1e-30)
    scale = torch.where(alive, deviation, torch.inf)
    return (chosen - chosen.mean(0)) / scale, residual / scale


def _agreement(residual: Tensor) -> Tensor:
    """First principal component (K,) of activations (N, K), most of it above 0."""
    leading = torch.linalg.eigh(residual.T @ residual / len(residual)).eigenvectors[:, -1]
    return torch.where(leading.sum() < 0, -leading, leading)


def _within(score: Tensor, moments: SelectMoments) -> Tensor:
    """A score (N,) within classes, of length 1."""
    sums = torch.zeros_like(moments.counts).index_add_(0, moments.row, score)
    centred = score - (sums / moments.counts)[moments.row]
    return torch.div(centred, centred.norm().clamp_min(1e-30))


def read_presence(
    features: Tensor, presence: Tensor, moments: SelectMoments, *, scratch: Tensor | None = None
) -> Tensor:
    """Score (N,) of the best linear reader of a presence (N,) within classes, for each sample as if it had not taken part.

    Ridge regression on the features within classes, penalised by the shrinkage of their covariance; leaving one sample out
    is exact but for the class means. Without it the reader would confirm every guess as soon as neurons are many.

    Args:
        features: (N, F) of the split that selects.
        presence: (N,).
        moments: of these features.
        scratch: from `scratch_for`, where many presences are read one after another.
    """
    count, classes = len(features), len(moments.counts)
    rates = torch.zeros(classes, dtype=torch.float64, device=features.device).index_add_(0, moments.row, presence)
    wanted = presence - (rates / moments.counts)[moments.row]
    pull = weighted_sum(features, wanted, scratch=scratch) / count
    reader = moments.solve_within(pull[:, None])[:, 0]
    by_class = moments.class_means @ reader
    fitted = (features @ reader.to(features)).double() - by_class[moments.row]
    alone = (fitted - moments.leverage * wanted) / (1.0 - moments.leverage).clamp_min(1e-9)
    return alone + by_class[moments.row]


def split_scores(scores: Tensor, start: Tensor, moments: SelectMoments) -> Split:
    """See scores as two normal distributions.

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

    sums, upper, distance = by_class(scores), start, 0.0
    for _ in range(_SPLIT_STEPS):
        shown = by_class(upper)
        hidden = counts - shown
        weight = shown * hidden / counts
        if weight.sum() <= 1e-9:
            return Split(upper, 0.0)
        high = by_class(upper * scores)
        gaps = high / shown.clamp_min(1e-12) - (sums - high) / hidden.clamp_min(1e-12)
        gap = (weight * gaps).sum() / weight.sum()
        place = (sums - gap * shown) / counts
        rest = scores - place[row]
        variance = (upper * (rest - gap).square() + (1 - upper) * rest.square()).mean().clamp_min(1e-12)
        rate = (shown + _BORROWED * upper.mean()) / (counts + _BORROWED)
        odds = (rate.log() - (1 - rate).log())[row]
        updated = torch.sigmoid(odds + gap * (2 * rest - gap) / (2 * variance))
        change, distance = (updated - upper).abs().max(), float(gap / variance.sqrt())
        upper = updated
        if change < _SPLIT_SETTLED:
            break
    return Split(upper, distance)
