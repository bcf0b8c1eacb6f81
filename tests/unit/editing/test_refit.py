"""The training loop against a slow literal twin: one try at a time, the formula written out, in float64."""

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from neuroinspect.editing.edit import method_tries
from neuroinspect.editing.problem import EditProblem, Projection, Try, silenced_mask
from neuroinspect.editing.refit import Contest, train_tries
from neuroinspect.editing.selection import score_layer
from neuroinspect.settings import EditSettings, TrainSettings
from tests import reference

Make = Callable[..., EditProblem]
METHODS = ("retrain", "ratio", "con", "ablate_refit", "cue_erasure", "class_weighting", "focal")


def projected(features: Tensor, projection: Projection | None) -> Tensor:
    if projection is None:
        return features
    parts = {name: getattr(projection, name).to(features) for name in ("kept", "left", "right", "offset")}
    return reference.projected(features, **parts)


def twin_loss(one: Try, features: Tensor, labels: Tensor, *, layer: tuple[Tensor, Tensor]) -> Tensor:
    weight, bias = layer
    linear = torch.nn.Linear(weight.shape[1], weight.shape[0], device="meta")
    del linear.weight, linear.bias
    linear.weight, linear.bias = weight, bias  # type: ignore[assignment]
    weights = torch.ones(len(bias)) if one.class_weights is None else one.class_weights
    loss = reference.weighted_cross_entropy(
        features @ weight.T + bias, labels, weights=weights.double().tolist(), gamma=one.focal
    )
    loss = loss + 0.5 * one.weight_decay * (weight**2).sum()
    if one.ratio is not None:
        loss = loss + one.ratio.weight * reference.ratio_penalty(
            features, linear, neurons=one.ratio.neurons, target=one.ratio.target_ratio, form=one.ratio.form
        )
    if one.contribution is not None:
        penalty = reference.contribution_penalty(features, linear, neurons=one.contribution.neurons)
        loss = loss + one.contribution.weight * penalty
    return loss


def twin_train(problem: EditProblem, one: Try, settings: TrainSettings) -> tuple[Tensor, Tensor]:
    weight, bias = (start.double().clone().requires_grad_() for start in (one.weight, one.bias))
    optimizer = torch.optim.Adam([weight, bias], lr=settings.learning_rate)
    order = torch.Generator().manual_seed(settings.seed)
    batches = math.ceil(len(problem.features) / settings.batch_size)
    total = settings.epochs * batches
    warm = max(1, round(settings.warm_up * total))
    best, kept, waited, step = -1.0, (weight, bias), 0, 0
    seen = projected(problem.validation_features.double(), one.projection)
    features = projected(problem.features.double(), one.projection)
    for _ in range(settings.epochs):
        for rows in torch.randperm(len(features), generator=order).split(settings.batch_size):
            rising = (step + 1) / warm
            falling = 0.5 * (1 + math.cos(math.pi * (step - warm) / (total - warm)))
            optimizer.param_groups[0]["lr"] = settings.learning_rate * (rising if step < warm else falling)
            step += 1
            optimizer.zero_grad()
            twin_loss(one, features[rows], problem.labels[rows], layer=(weight, bias)).backward()
            optimizer.step()
        accuracy = float(((seen @ weight.T + bias).argmax(1) == problem.validation_labels).double().mean())
        waited += 1
        if accuracy > best:
            best, kept, waited = accuracy, (weight.detach().clone(), bias.detach().clone()), 0
        if waited >= settings.patience:
            break
    return kept


def expect_the_twin(problem: EditProblem, one: Try, settings: TrainSettings) -> None:
    weight, bias = train_tries(problem, [one], settings=settings)[0]
    expected_weight, expected_bias = twin_train(problem, one, settings)
    expected = projected(problem.validation_features.double(), one.projection) @ expected_weight.T + expected_bias
    found = problem.validation_features.double() @ weight.double().T + bias.double()
    assert torch.allclose(found, expected, atol=2e-4)


@pytest.fixture
def small(make: Make) -> Callable[..., EditProblem]:
    """A problem with few samples, because the twin goes through them one by one."""

    def build(neurons: dict[int, tuple[int, ...]] | None = None) -> EditProblem:
        problem = make(neurons)
        return replace(problem, features=problem.features[:150], labels=problem.labels[:150])

    return build


SHORT = TrainSettings(epochs=2, learning_rate=0.02, batch_size=64)


@pytest.mark.parametrize("method", METHODS)
def test_each_try_gets_the_layer_its_literal_twin_gets(
    small: Callable[..., EditProblem], settings: EditSettings, method: str
) -> None:
    problem = small()
    expect_the_twin(problem, method_tries(method)(problem, settings)[2], SHORT)


@pytest.mark.parametrize("method", ["ratio", "con", "ablate_refit", "cue_erasure", "class_weighting"])
def test_neurons_of_several_classes_go_together(
    small: Callable[..., EditProblem], settings: EditSettings, method: str
) -> None:
    problem = small({0: (2, 3), 1: (5,)})
    expect_the_twin(problem, method_tries(method)(problem, settings)[3], SHORT)


def test_the_mean_ratio_of_the_authors_is_the_other_form(
    small: Callable[..., EditProblem], settings: EditSettings
) -> None:
    problem = small({0: (2, 3), 1: (5,)})
    mean = settings.model_copy(update={"ratio_form": "mean"})
    tries = [method_tries("ratio")(problem, one)[4] for one in (settings, mean)]
    expect_the_twin(problem, tries[1], SHORT)
    layers = train_tries(problem, tries, settings=SHORT)
    assert not torch.allclose(layers[0][0], layers[1][0], atol=1e-3)


def test_all_that_a_try_may_ask_for_goes_together(small: Callable[..., EditProblem], settings: EditSettings) -> None:
    problem = small()
    erased = method_tries("cue_erasure")(problem, settings)[0]
    asked = replace(
        erased,
        weight_decay=0.01,
        ratio=method_tries("ratio")(problem, settings)[3].ratio,
        contribution=method_tries("con")(problem, settings)[1].contribution,
        class_weights=torch.tensor([1.0, 0.5, 0.9]),
        focal=1.5,
    )
    expect_the_twin(problem, asked, SHORT)


def test_tries_trained_together_equal_tries_trained_alone(make: Make, settings: EditSettings) -> None:
    problem = make()
    tries = [method_tries(name)(problem, settings)[1] for name in METHODS]
    together = train_tries(problem, tries, settings=settings.train)
    for one, (weight, bias) in zip(tries, together, strict=True):
        alone_weight, alone_bias = train_tries(problem, [one], settings=settings.train)[0]
        assert torch.allclose(weight, alone_weight, atol=1e-5)
        assert torch.allclose(bias, alone_bias, atol=1e-5)


def test_a_bound_on_the_memory_does_not_change_the_layers(
    make: Make, settings: EditSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    problem = make()
    tries = [one for method in ("retrain", "ratio") for one in method_tries(method)(problem, settings)[:2]]
    at_once = train_tries(problem, tries, settings=settings.train)
    monkeypatch.setattr("neuroinspect.editing.refit._TOGETHER_WEIGHTS", 50)  # two layers
    monkeypatch.setattr("neuroinspect.editing.refit._CHUNK_ELEMENTS", 50)  # a few samples at a time
    for (weight, bias), (other_weight, other_bias) in zip(
        at_once, train_tries(problem, tries, settings=settings.train), strict=True
    ):
        assert torch.allclose(weight, other_weight, atol=1e-5)
        assert torch.allclose(bias, other_bias, atol=1e-5)


def test_a_ratio_weight_of_zero_is_retrain_only(make: Make, settings: EditSettings) -> None:
    problem = make()
    zero = method_tries("ratio")(problem, settings.model_copy(update={"ratio_weights": (0.0,)}))
    plain = method_tries("retrain")(problem, settings.model_copy(update={"weight_decays": (0.0,)}))
    first, second = (train_tries(problem, tries, settings=settings.train)[0] for tries in (zero, plain))
    assert torch.equal(first[0], second[0])
    assert torch.equal(first[1], second[1])


def test_the_same_seed_gives_the_same_layer_and_another_seed_another(make: Make, settings: EditSettings) -> None:
    problem = make()
    tries = method_tries("retrain")(problem, settings)[:1]
    other = settings.train.model_copy(update={"seed": 1})
    first, again, different = (
        train_tries(problem, tries, settings=one)[0][0] for one in (settings.train, settings.train, other)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, different)


def test_a_try_that_is_not_trained_comes_back_as_it_is(make: Make, settings: EditSettings) -> None:
    problem = make()
    one = Try({}, problem.weight + 1.0, problem.bias, trained=False)
    weight, bias = train_tries(
        problem, [*method_tries("retrain")(problem, settings)[:1], one], settings=settings.train
    )[1]
    assert torch.equal(weight, problem.weight + 1.0)
    assert torch.equal(bias, problem.bias)


def test_inputs_are_not_modified(make: Make, settings: EditSettings) -> None:
    problem = make()
    before = (problem.weight.clone(), problem.bias.clone(), problem.features.clone())
    train_tries(problem, method_tries("ratio")(problem, settings), settings=settings.train)
    assert torch.equal(problem.weight, before[0])
    assert torch.equal(problem.bias, before[1])
    assert torch.equal(problem.features, before[2])


def test_the_silenced_mask_is_true_for_the_given_neurons_only() -> None:
    assert silenced_mask((1, 3), 5, torch.device("cpu")).tolist() == [False, True, False, True, False]


def contest_of(problem: EditProblem, count: int) -> Contest:
    judge = {"features": problem.validation_features, "labels": problem.validation_labels}
    return Contest([0] * count, score_layer(problem.weight, problem.bias, **judge), 0.01)


def test_halving_trains_the_better_tries_to_their_end_and_the_others_no_further(
    make: Make, settings: EditSettings
) -> None:
    problem = make()
    slow = TrainSettings(epochs=6, patience=6, learning_rate=0.002, halve_after=(1, 3), halve_above=0)
    tries = method_tries("ratio")(problem, settings)
    halved, whole = (train_tries(problem, tries, settings=slow, contest=c) for c in (contest_of(problem, 5), None))
    same = [torch.allclose(a[0], b[0], atol=1e-5) for a, b in zip(halved, whole, strict=True)]
    right = [
        [int(((problem.validation_features @ w.T + b).argmax(1) == problem.validation_labels).sum()) for w, b in layers]
        for layers in (halved, whole)
    ]
    assert 1 <= sum(same) < 5
    assert all(short <= long for short, long in zip(*right, strict=True))


def test_nothing_is_halved_where_the_data_are_small(make: Make, settings: EditSettings) -> None:
    problem = make()
    tries = method_tries("ratio")(problem, settings)
    contested, alone = (
        train_tries(problem, tries, settings=settings.train, contest=c) for c in (contest_of(problem, 5), None)
    )
    assert all(torch.equal(a[0], b[0]) for a, b in zip(contested, alone, strict=True))


def test_the_same_try_twice_is_trained_once(make: Make, settings: EditSettings) -> None:
    problem, told = make(), []
    one, other = method_tries("retrain")(problem, settings)[:2]
    layers = train_tries(
        problem, [one, one, other], settings=settings.train, progress=lambda _, done, total: told.append(total)
    )
    assert told[-1] == 2
    assert torch.equal(layers[0][0], layers[1][0])
    assert not torch.equal(layers[0][0], layers[2][0])
