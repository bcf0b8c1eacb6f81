"""The training loop against a slow literal twin: one try at a time, the formula written out."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from neuroinspect.editing.ablate_refit import ablate_refit_tries
from neuroinspect.editing.contribution import contribution_tries
from neuroinspect.editing.cue_erasure import cue_erasure_tries
from neuroinspect.editing.problem import EditProblem, Projection, Try, silenced_mask
from neuroinspect.editing.ratio import ratio_tries
from neuroinspect.editing.refit import train_tries
from neuroinspect.editing.retrain import retrain_tries
from neuroinspect.settings import EditSettings, TrainSettings

Make = Callable[..., EditProblem]


def projected(features: Tensor, projection: Projection | None) -> Tensor:
    if projection is None:
        return features
    rows = [(f - projection.left @ (projection.right.T @ (f - projection.offset))) * projection.kept for f in features]
    return torch.stack(rows)


def twin_loss(problem: EditProblem, one: Try, rows: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    features, labels = projected(problem.features[rows], one.projection), problem.labels[rows]
    logits = features @ weight.T + bias
    loss = -(logits.softmax(1)[torch.arange(len(rows)), labels]).log().mean()
    loss = loss + 0.5 * one.weight_decay * (weight**2).sum()
    if one.ratio is not None:
        for index, silenced in one.ratio.silenced.items():
            kept = features * (~silenced)
            ratio = logits.softmax(1)[:, index] / (kept @ weight.T + bias).softmax(1)[:, index]
            norm = torch.sqrt(((ratio - one.ratio.target_ratio) ** 2).sum()) / math.sqrt(len(rows) / 128)
            loss = loss + one.ratio.weight * norm
    for index, silenced in one.contribution.items():
        share = features[:, silenced] @ weight[index, silenced] + bias[index]
        loss = loss + float(one.settings["contribution_weight"]) * share.clamp_min(0).mean()
    return loss


def twin_train(problem: EditProblem, one: Try, settings: TrainSettings) -> tuple[Tensor, Tensor]:
    weight, bias = one.weight.clone().requires_grad_(), one.bias.clone().requires_grad_()
    optimizer = torch.optim.Adam([weight, bias], lr=settings.learning_rate)
    order = torch.Generator().manual_seed(settings.seed)
    batches = math.ceil(len(problem.features) / settings.batch_size)
    total = settings.epochs * batches
    warm = max(1, round(settings.warm_up * total))
    best, kept, waited, step = -1.0, (weight, bias), 0, 0
    seen = projected(problem.validation_features, one.projection)
    for _ in range(settings.epochs):
        for rows in torch.randperm(len(problem.features), generator=order).split(settings.batch_size):
            rising = (step + 1) / warm
            falling = 0.5 * (1 + math.cos(math.pi * (step - warm) / (total - warm)))
            optimizer.param_groups[0]["lr"] = settings.learning_rate * (rising if step < warm else falling)
            step += 1
            optimizer.zero_grad()
            twin_loss(problem, one, rows, weight, bias).backward()
            optimizer.step()
        accuracy = float(((seen @ weight.T + bias).argmax(1) == problem.validation_labels).float().mean())
        waited += 1
        if accuracy > best:
            best, kept, waited = accuracy, (weight.detach().clone(), bias.detach().clone()), 0
        if waited >= settings.patience:
            break
    return kept


TRIES = {
    "retrain": retrain_tries,
    "ratio": ratio_tries,
    "con": contribution_tries,
    "ablate_refit": ablate_refit_tries,
    "cue_erasure": cue_erasure_tries,
}


@pytest.mark.parametrize("method", TRIES)
def test_each_try_gets_the_layer_its_literal_twin_gets(make: Make, settings: EditSettings, method: str) -> None:
    problem = make()
    chosen = TRIES[method](problem, settings)[2]
    short = settings.train.model_copy(update={"epochs": 3})
    weight, bias = train_tries(problem, [chosen], settings=short)[0]
    expected_weight, expected_bias = twin_train(problem, chosen, short)
    expected = projected(problem.validation_features, chosen.projection) @ expected_weight.T + expected_bias
    assert torch.allclose(problem.validation_features @ weight.T + bias, expected, atol=2e-4)


def test_tries_trained_together_equal_tries_trained_alone(make: Make, settings: EditSettings) -> None:
    problem = make()
    tries = [TRIES[name](problem, settings)[1] for name in TRIES]
    together = train_tries(problem, tries, settings=settings.train)
    for one, (weight, bias) in zip(tries, together, strict=True):
        alone_weight, alone_bias = train_tries(problem, [one], settings=settings.train)[0]
        assert torch.allclose(weight, alone_weight, atol=1e-5)
        assert torch.allclose(bias, alone_bias, atol=1e-5)


def test_a_bound_on_the_memory_does_not_change_the_layers(
    make: Make, settings: EditSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    problem = make()
    tries = [*retrain_tries(problem, settings)[:2], *ratio_tries(problem, settings)[:2]]
    at_once = train_tries(problem, tries, settings=settings.train)
    monkeypatch.setattr("neuroinspect.editing.refit._CHUNK_ELEMENTS", 50)  # two layers, a few samples at a time
    for (weight, bias), (other_weight, other_bias) in zip(
        at_once, train_tries(problem, tries, settings=settings.train), strict=True
    ):
        assert torch.allclose(weight, other_weight, atol=1e-5)
        assert torch.allclose(bias, other_bias, atol=1e-5)


def test_a_ratio_weight_of_zero_is_retrain_only(make: Make, settings: EditSettings) -> None:
    problem = make()
    zero = ratio_tries(problem, settings.model_copy(update={"ratio_weights": (0.0,)}))
    plain = retrain_tries(problem, settings.model_copy(update={"weight_decays": (0.0,)}))
    first, second = (train_tries(problem, tries, settings=settings.train)[0] for tries in (zero, plain))
    assert torch.equal(first[0], second[0])
    assert torch.equal(first[1], second[1])


def test_the_same_seed_gives_the_same_layer_and_another_seed_another(make: Make, settings: EditSettings) -> None:
    problem = make()
    tries = retrain_tries(problem, settings)[:1]
    other = settings.train.model_copy(update={"seed": 1})
    first, again, different = (
        train_tries(problem, tries, settings=one)[0][0] for one in (settings.train, settings.train, other)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, different)


def test_a_try_that_is_not_trained_comes_back_as_it_is(make: Make, settings: EditSettings) -> None:
    problem = make()
    one = Try({}, problem.weight + 1.0, problem.bias, trained=False)
    weight, bias = train_tries(problem, [*retrain_tries(problem, settings)[:1], one], settings=settings.train)[1]
    assert torch.equal(weight, problem.weight + 1.0)
    assert torch.equal(bias, problem.bias)


def test_inputs_are_not_modified(make: Make, settings: EditSettings) -> None:
    problem = make()
    before = (problem.weight.clone(), problem.bias.clone(), problem.features.clone())
    train_tries(problem, ratio_tries(problem, settings), settings=settings.train)
    assert torch.equal(problem.weight, before[0])
    assert torch.equal(problem.bias, before[1])
    assert torch.equal(problem.features, before[2])


def test_the_silenced_mask_is_true_for_the_given_neurons_only() -> None:
    assert silenced_mask((1, 3), 5, torch.device("cpu")).tolist() == [False, True, False, True, False]
