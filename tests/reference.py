"""Slow, literal twins of the formulas, in float64: the judges of the fast ones."""

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn


def linear(weight: Tensor, bias: Tensor) -> nn.Linear:
    """A decision layer of given weight (C, F) and bias (C,)."""
    layer = nn.Linear(weight.shape[1], weight.shape[0], dtype=weight.dtype)
    layer.weight.data, layer.bias.data = weight.clone(), bias.clone()
    return layer


def counterfactual_objective(
    features: Tensor, target: int, layer: nn.Linear, *, shift: Tensor, l1: float, l2: float
) -> Tensor:
    """Eq. 1 for one sample: features and shift (F,)."""
    cross_entropy = -torch.log_softmax(layer(features + shift), dim=0)[target]
    return cross_entropy + l1 * shift.abs().sum() + l2 * shift.norm()


def counterfactual_one_at_a_time(
    features: Tensor,
    targets: Tensor,
    layer: nn.Linear,
    *,
    max_steps: int = 2000,
    alpha: float = 0.1,
    beta: float = 0.01,
) -> tuple[Tensor, Tensor]:
    """Shifts (M, F) and steps (M,) as the released code makes them: one sample after the other, autograd and SGD."""
    shifts, steps = [], []
    for sample, target in zip(features, targets.tolist(), strict=True):
        shift = torch.zeros_like(sample, requires_grad=True)
        optimizer = torch.optim.SGD([shift], lr=0.01, momentum=0.9)
        taken = 0
        while taken < max_steps and int(layer(sample + shift).argmax()) != target:
            scale = len(sample)
            loss = counterfactual_objective(sample, target, layer, shift=shift, l1=alpha / scale, l2=beta / scale)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            taken += 1
        shifts.append(shift.detach())
        steps.append(taken)
    return torch.stack(shifts), torch.tensor(steps)


def name_scores_one_by_one(activations: NDArray[np.floating], likeness: NDArray[np.floating]) -> NDArray[np.float64]:
    """Score (F, T) of each word for each neuron, from activations (N, F) and likeness (N, T), with plain loops."""

    def standardised(values: Sequence[float]) -> list[float]:
        mean = sum(values) / len(values)
        deviation = math.sqrt(sum((value - mean) ** 2 for value in values) / len(values))
        return [(value - mean) / deviation if deviation else 0.0 for value in values]

    pictures, words = range(len(likeness)), range(likeness.shape[1])
    compared = [standardised(likeness[:, word].tolist()) for word in words]
    typical = [sum(column[picture] for column in compared) / len(compared) for picture in pictures]
    scores = np.zeros((activations.shape[1], len(words)))
    for neuron in range(activations.shape[1]):
        fired = [max(value, 0.0) for value in standardised(activations[:, neuron].tolist())]
        for word in words:
            present = [max(compared[word][picture] - typical[picture] - 0.5, 0.0) for picture in pictures]
            pairs = zip(standardised(fired), standardised(present), strict=True)
            scores[neuron, word] = sum(one * other for one, other in pairs) / len(pictures)
    return scores


def softmax_curvature(logits: Tensor, layer: nn.Linear) -> float:
    """Largest curvature of the cross-entropy in the features of one sample, from its Hessian W^T (diag p - p p^T) W."""
    p = logits.softmax(dim=0)
    hessian = layer.weight.T @ (torch.diag(p) - torch.outer(p, p)) @ layer.weight
    return float(torch.linalg.eigvalsh(hessian.detach())[-1])


def vote_share(shifts: NDArray[np.floating], neuron: int, *, top_k: int, sign: int) -> float:
    """Part of the mistakes with a neuron in their top k of one sign, counted one by one."""
    mistakes = [row for row in shifts.tolist() if any(row)]
    votes = 0
    for row in mistakes:
        order = sorted(range(len(row)), key=lambda j: (-sign * row[j], j))[:top_k]
        votes += neuron in order and sign * row[neuron] > 0
    return votes / len(mistakes)


def probability_ratio(features: Tensor, layer: nn.Linear, *, class_index: int, silenced: Iterable[int]) -> float:
    """Eq. 5 to 7 for one sample (F,), from probabilities and the features with zeros in them."""

    def probability(values: Tensor) -> float:
        logits = [(w @ values + b).item() for w, b in zip(layer.weight, layer.bias, strict=True)]
        return math.exp(logits[class_index]) / sum(math.exp(logit) for logit in logits)

    quiet = features.clone()
    for neuron in silenced:
        quiet[neuron] = 0
    return probability(features) / probability(quiet)


def auroc(positive: Sequence[float], negative: Sequence[float]) -> float:
    """Part of all pairs in which the positive is above, a tie for half."""
    won = sum((p > n) + 0.5 * (p == n) for p in positive for n in negative)
    return won / (len(positive) * len(negative))


def margin(logits: Sequence[float], class_index: int) -> float:
    """Logit of a class minus the log-sum-exp of the others."""
    return logits[class_index] - math.log(sum(math.exp(z) for k, z in enumerate(logits) if k != class_index))


def mcnemar(only_first: int, only_second: int) -> float:
    """Exact two-sided binomial test of equal chances, summed term by term."""
    total = only_first + only_second
    chances = [math.comb(total, k) / 2**total for k in range(total + 1)]
    return min(1.0, sum(chance for chance in chances if chance <= chances[only_first] * (1 + 1e-9)))


def family_twin(
    features: NDArray[np.float64], labels: NDArray[np.int64], chosen: list[int], *, size: int | None
) -> list[int]:
    """Neurons whose activation goes, within classes, with the presence of what the chosen ones fire on."""

    def within(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.array([value - values[labels == k].mean() for value, k in zip(values, labels, strict=True)])

    columns = [within(features[:, neuron]) for neuron in range(features.shape[1])]
    score = np.mean([columns[neuron] / columns[neuron].std() for neuron in chosen], axis=0)
    shown = within(((score - score.mean()) / score.std() > 1.0).astype(float))
    correlation = {j: np.corrcoef(shown, columns[j])[0, 1] for j in range(len(columns)) if j not in chosen}
    ranked = sorted((j for j in correlation if correlation[j] > 0), key=lambda j: -correlation[j])
    if size is not None:
        return ranked[:size]
    values = np.sort(list(correlation.values()))
    middle = values[(len(values) - 1) // 2]  # torch's median: the lower of two
    deviations = np.sort(np.abs(values - middle))
    cutoff = middle + 2.5 * 1.4826 * deviations[(len(values) - 1) // 2]
    return [j for j in ranked if correlation[j] > cutoff]


def ratio_penalty(
    features: Tensor, layer: nn.Linear, *, neurons: Mapping[int, Iterable[int]], target: float, form: str
) -> Tensor:
    """The second term of eq. (8) without its weight, of a batch (B, F), sample by sample and class by class.

    "sum": over the classes of the norm over the batch, for a batch of 128; "mean": as the authors did on Waterbirds.
    """
    ratios = []
    for index, chosen in neurons.items():
        quiet = features.clone()
        quiet[:, list(chosen)] = 0
        pairs = zip(features, quiet, strict=True)
        ratios.append(
            torch.stack([torch.softmax(layer(f), 0)[index] / torch.softmax(layer(q), 0)[index] for f, q in pairs])
        )
    if form == "mean":
        return (torch.stack(ratios).mean() - target).abs()
    distances = [torch.sqrt(((ratio - target) ** 2).sum()) for ratio in ratios]
    return torch.stack(distances).sum() / math.sqrt(len(features) / 128)


def contribution_penalty(features: Tensor, layer: nn.Linear, *, neurons: Mapping[int, Iterable[int]]) -> Tensor:
    """Eq. (9) without its weight: the norm of what is left of one number after the ReLU, averaged over the batch."""
    total = torch.zeros((), dtype=features.dtype)
    for index, chosen in neurons.items():
        own = [
            torch.relu(sum((layer.weight[index, j] * f[j] for j in chosen), layer.bias[index])).norm() for f in features
        ]
        total = total + torch.stack(own).mean()
    return total


def weighted_cross_entropy(logits: Tensor, labels: Tensor, *, weights: Sequence[float], gamma: float = 0.0) -> Tensor:
    """Weighted mean of (1 - p)^gamma * -log p, sample by sample; gamma 0 is cross-entropy."""
    total, weight = torch.zeros((), dtype=logits.dtype), 0.0
    for row, label in zip(logits, labels.tolist(), strict=True):
        right = torch.exp(row[label]) / torch.exp(row).sum()
        total = total - weights[label] * (1 - right) ** gamma * torch.log(right)
        weight += weights[label]
    return total / weight


def projected(features: Tensor, *, kept: Tensor, left: Tensor, right: Tensor, offset: Tensor) -> Tensor:
    """kept * (f - left right^T (f - offset)) with the (F, F) matrix written out."""
    matrix = torch.eye(len(kept), dtype=features.dtype) - left @ right.T
    return torch.stack([kept * (matrix @ (f - offset) + offset) for f in features])


def authors_target_ratio(
    features: Tensor, labels: Tensor, layer: nn.Linear, *, neurons: Mapping[int, Iterable[int]]
) -> float:
    """1 + max(0, min_j P_j - 1) / 3, P_j of one neuron at the mean features of its class."""
    ratios = [
        probability_ratio(features[labels == index].mean(0), layer, class_index=index, silenced=[neuron])
        for index, chosen in neurons.items()
        for neuron in chosen
    ]
    return 1 + max(0.0, min(ratios) - 1) / 3


def whitened_cosine(first: NDArray[np.float64], second: NDArray[np.float64], covariance: NDArray[np.float64]) -> float:
    """Cosine of two directions in the metric of covariance^-1, by the inverse itself."""
    inverse = np.linalg.inv(covariance)
    lengths = math.sqrt(first @ inverse @ first) * math.sqrt(second @ inverse @ second)
    return float(first @ inverse @ second) / lengths if lengths > 0 else 0.0


def ledoit_wolf(features: NDArray[np.floating]) -> NDArray[np.float64]:
    """Shrunk covariance of samples (N, F), one outer product after the other; the samples' mean is taken away."""
    centred = features.astype(np.float64) - features.astype(np.float64).mean(0)
    count, width = centred.shape
    sample = centred.T @ centred / count
    target = np.trace(sample) / width * np.eye(width)
    noise = np.mean([np.sum((np.outer(row, row) - sample) ** 2) for row in centred]) / count
    share = min(1.0, noise / np.sum((sample - target) ** 2))
    return np.asarray(share * target + (1 - share) * sample)


def read_presence_without_each(
    features: NDArray[np.floating], labels: NDArray[np.integer], presence: NDArray[np.bool_], *, shrinkage: float
) -> list[float]:
    """Ridge score of the presence within classes, fitted again without each sample; the class mean of the score is added."""
    values, wanted = features.astype(np.float64).copy(), presence.astype(np.float64)
    means = np.stack([values[labels == label].mean(0) for label in labels])
    rates = np.array([wanted[labels == label].mean() for label in labels])
    values, wanted, count = values - means, wanted - rates, len(labels)
    covariance = values.T @ values / count
    penalty = shrinkage / (1 - shrinkage) * np.trace(covariance) / len(covariance) * np.eye(len(covariance))

    def fit(rows: NDArray[np.integer]) -> NDArray[np.float64]:
        gram = values[rows].T @ values[rows] / count + penalty
        return np.asarray(np.linalg.solve(gram, values[rows].T @ wanted[rows] / count))

    whole = fit(np.arange(count))
    others = [fit(np.delete(np.arange(count), one)) for one in range(count)]
    return [float(values[one] @ others[one] + means[one] @ whole) for one in range(count)]


def split_step(scores: NDArray[np.floating], labels: NDArray[np.integer], upper: NDArray[np.floating]) -> list[float]:
    """One step of the two normal distributions, class by class: fit to the probabilities, then the probabilities of the fit."""
    gaps, weights = [], []
    for label in np.unique(labels):
        own, part = scores[labels == label], upper[labels == label]
        high, low = np.average(own, weights=part), np.average(own, weights=1 - part)
        gaps.append(high - low)
        weights.append(part.sum() * (1 - part).sum() / len(part))
    gap = float(np.average(gaps, weights=weights))
    place = {label: np.mean((scores - gap * upper)[labels == label]) for label in np.unique(labels)}
    rate = {
        label: (upper[labels == label].sum() + 2 * upper.mean()) / (np.sum(labels == label) + 2)
        for label in np.unique(labels)
    }
    rest = scores - np.array([place[label] for label in labels])
    variance = np.mean(upper * (rest - gap) ** 2 + (1 - upper) * rest**2)
    chances = []
    for value, label in zip(rest, labels, strict=True):
        shown = rate[label] * math.exp(-((value - gap) ** 2) / (2 * variance))
        hidden = (1 - rate[label]) * math.exp(-(value**2) / (2 * variance))
        chances.append(shown / (shown + hidden))
    return chances


def cue_strengths(
    features: NDArray[np.floating], labels: NDArray[np.integer], presence: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Squared singular values of the classes' differences, weighted, whitened by the covariance within class and cue."""
    values = features.astype(np.float64)
    residual, columns = values.copy(), []
    for label in np.unique(labels):
        high, low = (labels == label) & presence, (labels == label) & ~presence
        weight = high.sum() * low.sum() / (high.sum() + low.sum())
        columns.append(np.sqrt(weight) * (values[high].mean(0) - values[low].mean(0)))
        residual[high] -= values[high].mean(0)
        residual[low] -= values[low].mean(0)
    within = residual.T @ residual / len(values)
    spread, turns = np.linalg.eigh(within)
    whitened = (turns / np.sqrt(spread)) @ turns.T @ np.stack(columns, 1)
    return np.asarray(np.linalg.svd(whitened, compute_uv=False) ** 2)


def leace(directions: NDArray[np.floating], covariance: NDArray[np.floating]) -> NDArray[np.float64]:
    """What is taken away, (F, F), when directions (F, K) are erased one after the other, each from what the last one left."""
    width = len(covariance)
    kept = np.eye(width)
    for direction in directions.T:
        seen, spread = kept @ direction, kept @ covariance @ kept.T
        reader = np.linalg.pinv(spread, rcond=1e-10) @ seen
        kept = (np.eye(width) - np.outer(seen, reader) / (seen @ reader)) @ kept
    return np.asarray(np.eye(width) - kept)
