"""Slow, literal twins of the formulas, in float64: the judges of the fast ones."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence

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
    samples: Tensor,
    targets: Tensor,
    layer: nn.Linear,
    *,
    backbone: Callable[[Tensor], Tensor] = lambda features: features,
    max_steps: int = 2000,
    alpha: float = 0.1,
    beta: float = 0.01,
) -> tuple[Tensor, Tensor]:
    """Shifts (M, F) and steps (M,) as the released code makes them: one sample after the other, autograd and SGD.

    Samples are features (M, F), or what a backbone makes features of, which then runs again at every step, as released.
    """
    shifts, steps = [], []
    for sample, target in zip(samples, targets.tolist(), strict=True):
        shift = torch.zeros(layer.in_features, dtype=layer.weight.dtype, requires_grad=True)
        optimizer = torch.optim.SGD([shift], lr=0.01, momentum=0.9)
        taken, features = 0, backbone(sample)
        while taken < max_steps and int(layer(features + shift).argmax()) != target:
            scale = len(features)
            loss = counterfactual_objective(features, target, layer, shift=shift, l1=alpha / scale, l2=beta / scale)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            taken, features = taken + 1, backbone(sample)
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


# Square root of the covariance of colours, Olah et al. 2017.
COLOUR_ROOT = np.array([[0.26, 0.09, 0.02], [0.27, 0.00, -0.05], [0.27, -0.09, 0.03]])


def picture_of_spectrum(spectrum: NDArray[np.floating], decay_power: float) -> NDArray[np.floating]:
    """One picture (3, H, H) of a spectrum (3, H, H // 2 + 1, 2): the sum of its waves, one after the other."""
    colours, side, half, _ = spectrum.shape
    planes = np.zeros((colours, side, side))
    rows, columns = np.meshgrid(np.arange(side), np.arange(side), indexing="ij")
    for colour in range(colours):
        for v in range(side):
            for u in range(half):
                signed = v if v <= side // 2 else v - side
                frequency = max(np.hypot(signed / side, u / side), 1 / side)
                value = complex(*spectrum[colour, v, u]) / frequency**decay_power
                wave = np.exp(2j * np.pi * (v * rows + u * columns) / side)
                # a frequency and its mirror are one wave of a real picture
                planes[colour] += np.real(value * wave) * (1 if u in (0, side // 2) else 2) / side
    mixed = np.einsum("rc,chw->rhw", COLOUR_ROOT / np.linalg.norm(COLOUR_ROOT, axis=0).max(), planes)
    return 1 / (1 + np.exp(-mixed))


def spectrum_of_picture(picture: NDArray[np.floating], decay_power: float) -> NDArray[np.floating]:
    """The other way: the amplitude (3, H, H // 2 + 1, 2) of each wave in a picture (3, H, H) with values inside (0, 1)."""
    side = picture.shape[1]
    mixed = np.log(picture / (1 - picture))
    planes = np.einsum("cr,rhw->chw", np.linalg.inv(COLOUR_ROOT / np.linalg.norm(COLOUR_ROOT, axis=0).max()), mixed)
    rows, columns = np.meshgrid(np.arange(side), np.arange(side), indexing="ij")
    spectrum = np.zeros((3, side, side // 2 + 1, 2))
    for v in range(side):
        for u in range(side // 2 + 1):
            signed = v if v <= side // 2 else v - side
            frequency = max(np.hypot(signed / side, u / side), 1 / side)
            wave = np.exp(-2j * np.pi * (v * rows + u * columns) / side)
            amplitude = (planes * wave).sum((1, 2)) / side * frequency**decay_power
            spectrum[:, v, u, 0], spectrum[:, v, u, 1] = amplitude.real, amplitude.imag
    return spectrum


def illusion_score(activation: float, class_logit: float, *, gamma: float) -> float:
    """A_n + gamma z_c: eq. (2) before its sign."""
    return activation + gamma * class_logit


def illusion_loss(score: float, cosine: float | None, *, epsilon: float) -> float:
    """Eq. (4) of one picture with our guard, eq. (2) without a guide; `cosine` is 1 minus eq. (3)."""
    if cosine is None or score <= 0:
        return -score
    return -max(cosine + epsilon, epsilon) * score


def released_illusion_loss(scores: Tensor, cosines: Tensor, *, epsilon: float) -> Tensor:
    """Eq. (4) as the released code computes it: the cosines as (B, 1), so that the product is (B, B)."""
    total, count = torch.zeros((), dtype=torch.float64), len(scores)
    for i in range(count):
        for j in range(count):
            total = total - (cosines[i] + epsilon) * scores[j]
    return total / count**2


def cosine_schedule(step: int, steps: int, *, last: float) -> float:
    """Part of the learning rate at a step: half a cosine from 1 down to `last` at the last of them."""
    return last + (1 - last) * (1 + math.cos(math.pi * step / (steps - 1))) / 2


def moved_picture(
    picture: NDArray[np.floating],
    *,
    angle: float,
    shift: tuple[float, float],
    scale: tuple[float, float],
    tint: Sequence[float],
) -> NDArray[np.floating]:
    """A picture (3, H, H) tinted, scaled, turned, then shifted, pixel by pixel: bilinear, black outside.

    Args:
        picture: the picture.
        angle: in radians.
        shift: x and y, in half sides.
        scale: x and y of the content before it turns.
        tint: added to each colour.
    """
    side = picture.shape[1]
    padded = np.zeros((3, side + 2, side + 2))
    padded[:, 1:-1, 1:-1] = picture + np.asarray(tint)[:, None, None]
    result = np.zeros_like(picture)
    for row in range(side):
        for column in range(side):
            x, y = (2 * column + 1) / side - 1, (2 * row + 1) / side - 1
            # from where the pixel comes: the steps backwards
            x, y = x - shift[0], y - shift[1]
            turned = (math.cos(angle) * x + math.sin(angle) * y, -math.sin(angle) * x + math.cos(angle) * y)
            across, down = ((place * side + side - 1) / 2 + 1 for place in (turned[0] / scale[0], turned[1] / scale[1]))
            left, top = math.floor(across), math.floor(down)
            for i, j in ((0, 0), (0, 1), (1, 0), (1, 1)):
                if 0 <= top + i < side + 2 and 0 <= left + j < side + 2:
                    part = (1 - abs(down - top - i)) * (1 - abs(across - left - j))
                    result[:, row, column] += part * padded[:, top + i, left + j]
    return result


def pooled_difference(
    features: NDArray[np.float64], labels: NDArray[np.int64], present: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Mean difference between samples with and without the cue in each class, pooled with n1 n0 / (n1 + n0)."""
    total, weights = np.zeros(features.shape[1]), 0.0
    for index in set(labels.tolist()):
        with_cue, without = features[(labels == index) & present], features[(labels == index) & ~present]
        if len(with_cue) and len(without):
            weight = len(with_cue) * len(without) / (len(with_cue) + len(without))
            total += weight * (with_cue.mean(0) - without.mean(0))
            weights += weight
    return total / weights if weights else total
