from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from neuroinspect.editing.edit import edit_all, plan_edit, register_method
from neuroinspect.editing.problem import EditProblem, Try, make_problem
from neuroinspect.editing.suggest import GAIN_STEP, Suggestions, suggest_neurons
from neuroinspect.errors import EvidenceError, ReviewError, SettingsError
from neuroinspect.settings import EditSettings, SuggestSettings, TrainSettings

QUICK = EditSettings(train=TrainSettings(epochs=2, learning_rate=0.02))
CANDIDATES = (2, 3, 1, 4)
Data = tuple[Tensor, Tensor]


def run(
    problem: EditProblem, *, seed: int = 0, candidates: tuple[int, ...] = CANDIDATES, **values: object
) -> Suggestions:
    settings = SuggestSettings.model_validate({"placebo_draws": 1, **values})
    return suggest_neurons(problem, candidates, settings, class_index=0, edit_settings=QUICK, seed=seed)


@pytest.fixture(scope="module")
def found(training: Data, validation: Data, decision_layer: nn.Linear) -> Suggestions:
    return run(make_problem(training, validation, decision_layer, neurons={0: (7,)}))


def test_a_cue_neuron_is_suggested_first_and_the_object_is_not(found: Suggestions) -> None:
    first = found.sets[0]
    assert set(first.neurons) & {2, 3}
    assert not {1, 4} & set(first.neurons)
    assert first.auroc_gain is not None
    assert first.auroc_gain > 0.02
    assert first.eligible
    alone = {one.neurons: one for one in found.sets}
    assert alone[(2,)].auroc_gain > alone[(4,)].auroc_gain


def test_each_candidate_and_the_family_of_the_cue_are_tried(found: Suggestions) -> None:
    kinds = {one.neurons: one.kind for one in found.sets}
    assert {(neuron,) for neuron in CANDIDATES} <= set(kinds)
    assert kinds[(2, 3)] == "family"
    assert {neuron for one in found.sets for neuron in one.neurons} <= set(CANDIDATES)


def test_sets_are_sorted_eligible_first_then_by_gain_then_the_smaller_set(found: Suggestions) -> None:
    keys = [(one.eligible, round(one.auroc_gain / GAIN_STEP), -len(one.neurons)) for one in found.sets]
    assert keys == sorted(keys, reverse=True)


def test_the_same_seed_gives_the_same_suggestions(make: Callable[..., EditProblem], found: Suggestions) -> None:
    again = run(make({0: (7,)}))
    assert again.sets == found.sets
    assert again.original == found.original


def test_no_more_sets_are_tried_than_the_budget(make: Callable[..., EditProblem]) -> None:
    found = run(make(), max_sets=3)
    assert {one.neurons for one in found.sets} == {(2,), (3,), (1,)}


def test_figures_are_means_over_halves_that_did_not_select(make: Callable[..., EditProblem]) -> None:
    """Retold from outside: the seed's halves, one edit on each, judged on the other."""
    problem = make({0: (2,)})
    labels = problem.validation_labels
    generator = torch.Generator().manual_seed(5)
    first = torch.zeros(len(labels), dtype=torch.bool)
    for index in range(3):
        rows = (labels == index).nonzero().flatten()
        first[rows[torch.randperm(len(rows), generator=generator)[: (len(rows) + 1) // 2]]] = True
    averages = []
    for selects in (first, ~first):
        half = EditProblem(
            problem.features,
            problem.labels,
            problem.validation_features[selects],
            labels[selects],
            problem.weight,
            problem.bias,
            {0: (2,)},
        )
        layer = edit_all({"one": plan_edit(half, "cue_erasure", settings=QUICK)}, settings=QUICK)["one"].decision_layer
        right = layer(problem.validation_features[~selects]).argmax(1) == labels[~selects]
        averages.append(float(right.double().mean()))
    (only,) = run(problem, seed=5, candidates=(2,), most_neurons=1).sets
    assert only.figures.average == pytest.approx(sum(averages) / 2, abs=1e-9)


def test_a_refused_set_is_named_with_the_reason(make: Callable[..., EditProblem]) -> None:
    def picky(problem: EditProblem, settings: EditSettings) -> list[Try]:
        if 1 in problem.neurons[0]:
            raise EvidenceError("not with neuron 1")
        return [Try({}, problem.weight, problem.bias, trained=False)]

    register_method("picky", picky)
    found = run(make(), method="picky")
    assert all("neuron 1" in reason and 1 in neurons for neurons, reason in found.refused.items())
    assert (1,) in found.refused
    assert {one.auroc_gain for one in found.sets} == {0.0}
    with pytest.raises(EvidenceError, match="not with neuron 1"):
        run(make(), method="picky", candidates=(1,))


def test_a_gain_that_is_not_known_comes_after_every_known_one(make: Callable[..., EditProblem]) -> None:
    def unknown_alone(problem: EditProblem, settings: EditSettings) -> list[Try]:
        suspected = set(problem.neurons[0]) <= set(CANDIDATES)
        if len(problem.neurons[0]) == 1 and not suspected:
            raise EvidenceError("no placebo of one neuron")
        weight = problem.weight.clone()
        weight[0] *= -1.0 if suspected and len(problem.neurons[0]) > 1 else 1.0
        return [Try({}, weight, problem.bias, trained=False)]

    register_method("unknown_alone", unknown_alone)
    settings = SuggestSettings(method="unknown_alone", placebo_draws=1, most_neurons=2)
    tolerant = QUICK.model_copy(update={"average_tolerance": 1.0})
    found = suggest_neurons(make(), CANDIDATES, settings, class_index=0, edit_settings=tolerant, seed=0)
    gains = [one.auroc_gain for one in found.sets]
    known = [gain for gain in gains if gain is not None]
    assert 0 < len(known) < len(gains)
    assert max(known) < -GAIN_STEP
    assert gains[: len(known)] == known


def test_what_cannot_be_suggested_is_refused(make: Callable[..., EditProblem]) -> None:
    with pytest.raises(SettingsError, match="edits no neurons"):
        run(make(), method="bias")
    with pytest.raises(SettingsError, match="unknown edit method"):
        run(make(), method="magic")
    with pytest.raises(ReviewError, match="no candidate"):
        run(make(), candidates=())
