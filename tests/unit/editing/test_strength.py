"""How far an edit goes: the same for every method and every control, and before the tries are compared."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from neuroinspect.editing.comparison import Comparison, compare_edits
from neuroinspect.editing.edit import edit_decision_layer, register_method
from neuroinspect.editing.problem import EditProblem, Try
from neuroinspect.editing.refit import Contest, train_tries
from neuroinspect.editing.selection import score_layer
from neuroinspect.editing.strength import blend, check_strength
from neuroinspect.errors import SettingsError
from neuroinspect.settings import EditSettings, TrainSettings

Make = Callable[..., EditProblem]
Arrays = tuple[Tensor, Tensor]
ONE_TRY = {
    name: (field.default[2],)
    for name, field in EditSettings.model_fields.items()
    if isinstance(field.default, tuple) and name != "methods"
}


def compare(problem: EditProblem, **values: float) -> Comparison:
    settings = EditSettings(
        methods=("cue_erasure", "ratio+bias", "bias"),
        placebo_draws=1,
        train=TrainSettings(epochs=2, learning_rate=0.02),
        **ONE_TRY,
    )
    return compare_edits(problem, candidates=(2, 3), settings=settings, seed=0, **values)


def test_a_layer_lies_where_the_strength_says() -> None:
    original, edited = (torch.zeros(1, 2), torch.ones(1)), (torch.tensor([[4.0, -8.0]]), torch.tensor([3.0]))
    weight, bias = blend(original, edited, 0.25)
    assert weight.tolist() == [[1.0, -2.0]]
    assert bias.tolist() == [1.5]


def test_the_full_strength_is_the_edit_itself_without_any_arithmetic() -> None:
    edited = (torch.tensor([[0.1]]), torch.tensor([0.3]))
    assert blend((torch.tensor([[1e8]]), torch.tensor([7.0])), edited, 1.0) is edited


def test_every_method_and_control_goes_the_same_part_of_the_way(make: Make) -> None:
    whole, half, plain = compare(make(), strength=1.0), compare(make(), strength=0.5), compare(make())
    before = whole.original
    assert set(whole.edits) == {"retrain", "cue_erasure", "ratio+bias", "bias"} | {
        f"placebo.{name}.0" for name in ("cue_erasure", "ratio+bias")
    }
    for name, one in half.edits.items():
        for part in ("weight", "bias"):
            edited, start = (getattr(layer, part) for layer in (whole.layer(name), before))
            torch.testing.assert_close(getattr(one.decision_layer, part), start + 0.5 * (edited - start))
            assert torch.equal(edited, getattr(plain.layer(name), part))
        assert not torch.equal(one.decision_layer.bias, before.bias)
        assert (one.strength, whole.edits[name].strength) == (0.5, 1.0)


def test_the_try_is_chosen_by_what_is_delivered_and_not_by_where_it_leads(
    training: Arrays, validation: Arrays, decision_layer: nn.Linear, settings: EditSettings
) -> None:
    """The far try ruins the class when taken whole; a tenth of it is best. The near one is the other way round."""

    def far_and_near(problem: EditProblem, _: EditSettings) -> list[Try]:
        raised = torch.zeros_like(problem.bias)
        raised[0] = 1.0
        return [
            Try({"raised": amount}, problem.weight, problem.bias + amount * raised, trained=False)
            for amount in (1.0, 10.0)
        ]

    register_method("far_and_near", far_and_near)
    chosen = {}
    for strength in (1.0, 0.1):
        made = edit_decision_layer(
            *training,
            decision_layer,
            neurons={0: (2,)},
            method="far_and_near",
            settings=settings,
            validation=validation,
            strength=strength,
        )
        chosen[strength] = made.settings["raised"]
        delivered = score_layer(
            made.decision_layer.weight, made.decision_layer.bias, features=validation[0], labels=validation[1]
        )
        assert delivered == made.score
    assert chosen == {1.0: 1.0, 0.1: 10.0}


def test_tries_compete_in_the_contest_as_they_would_be_delivered(make: Make) -> None:
    """Halved after the first epoch: the bias that ruins the class when taken whole is the one that goes on at a tenth."""
    problem = make()
    original = score_layer(
        problem.weight, problem.bias, features=problem.validation_features, labels=problem.validation_labels
    )
    tries = []
    for amount in (3.0, 10.0):
        bias = problem.bias.clone()
        bias[0] += amount
        tries.append(Try({}, problem.weight, bias))
    train = TrainSettings(epochs=4, patience=4, learning_rate=0.003, halve_after=(1,), halve_above=0)
    alone = train_tries(problem, tries, settings=train)
    survivors = {}
    for strength in (1.0, 0.1):
        contest = Contest([0, 0], original, 0.01, strength)
        halved = train_tries(problem, tries, settings=train, contest=contest)
        survivors[strength] = [torch.allclose(a[0], b[0], atol=1e-6) for a, b in zip(halved, alone, strict=True)]
    assert survivors == {1.0: [True, False], 0.1: [False, True]}


@pytest.mark.parametrize("strength", [0.0, -0.5, 1.0001, float("nan"), float("inf")])
def test_what_is_no_strength_is_refused_with_the_range(make: Make, strength: float) -> None:
    with pytest.raises(SettingsError, match="above 0 and at most at 1"):
        check_strength(strength)
    with pytest.raises(SettingsError, match="above 0 and at most at 1"):
        compare(make(), strength=strength)
