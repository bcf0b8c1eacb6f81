"""The one interface, the controls and the comparison."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from neuroinspect.editing.comparison import compare_edits
from neuroinspect.editing.controls import placebo_neurons
from neuroinspect.editing.edit import edit_decision_layer, register_method
from neuroinspect.editing.problem import EditProblem, Try
from neuroinspect.errors import EvidenceError, FeaturesError, ReviewError, SettingsError
from neuroinspect.settings import EditSettings

Make = Callable[..., EditProblem]
Arrays = tuple[Tensor, Tensor]


def test_every_method_returns_a_new_frozen_layer_and_leaves_the_original(
    training: Arrays, validation: Arrays, decision_layer: nn.Linear, settings: EditSettings
) -> None:
    before = decision_layer.weight.clone()
    for method in ("retrain", "bias", "ratio", "con", "ablate_refit", "cue_erasure"):
        made = edit_decision_layer(
            *training, decision_layer, neurons={0: (2, 3)}, method=method, settings=settings, validation=validation
        )
        assert made.decision_layer is not decision_layer
        assert not made.decision_layer.weight.requires_grad
        assert len(made.tries) == 5
        assert made.settings == made.tries[made.chosen].settings
    assert torch.equal(decision_layer.weight, before)


def test_the_bias_shift_moves_the_bias_of_the_class_and_nothing_else(
    training: Arrays, validation: Arrays, decision_layer: nn.Linear, settings: EditSettings
) -> None:
    layer = edit_decision_layer(
        *training, decision_layer, neurons={0: (2,)}, method="bias", settings=settings, validation=validation
    ).decision_layer
    assert torch.equal(layer.weight, decision_layer.weight)
    assert torch.equal(layer.bias[1:], decision_layer.bias[1:])
    assert float(layer.bias[0]) > float(decision_layer.bias[0])


def test_ablation_leaves_no_weight_on_the_silenced_neurons(
    training: Arrays, validation: Arrays, decision_layer: nn.Linear, settings: EditSettings
) -> None:
    made = edit_decision_layer(
        *training, decision_layer, neurons={0: (2, 3)}, method="ablate_refit", settings=settings, validation=validation
    )
    silenced = made.settings["silenced"]
    assert {2, 3} <= set(silenced)
    assert torch.equal(made.decision_layer.weight[:, silenced], torch.zeros(3, len(silenced)))


def test_a_method_from_outside_gets_the_same_loop_and_rule(
    training: Arrays, validation: Arrays, decision_layer: nn.Linear, settings: EditSettings
) -> None:
    def halve(problem: EditProblem, _: EditSettings) -> list[Try]:
        return [Try({"factor": 0.5}, problem.weight * 0.5, problem.bias * 0.5, trained=False)]

    register_method("halve", halve)
    made = edit_decision_layer(
        *training, decision_layer, neurons={0: (2,)}, method="halve", settings=settings, validation=validation
    )
    assert torch.equal(made.decision_layer.weight, decision_layer.weight * 0.5)
    for taken in ("halve", "original", "placebo.halve.0"):
        with pytest.raises(SettingsError, match=taken):
            register_method(taken, halve)


def refuse(problem: EditProblem, _: EditSettings) -> list[Try]:
    raise EvidenceError("3 samples are too few")


def refuse_neuron_5(problem: EditProblem, _: EditSettings) -> list[Try]:
    if 5 in problem.neurons[0]:
        raise EvidenceError("nothing shows")
    return [Try({}, problem.weight, problem.bias, trained=False)]


register_method("refuse", refuse)
register_method("refuse_neuron_5", refuse_neuron_5)


def test_a_method_that_refuses_is_left_out_with_its_placebos_and_its_reason(make: Make, settings: EditSettings) -> None:
    methods = settings.model_copy(update={"methods": ("refuse", "bias")})
    compared = compare_edits(make(), candidates=(), settings=methods, seed=0)
    assert compared.refused == {"refuse": "3 samples are too few"}
    assert set(compared.edits) == {"retrain", "bias"}


def test_a_placebo_draw_that_refuses_is_dropped_and_counted(make: Make, settings: EditSettings) -> None:
    methods = settings.model_copy(update={"methods": ("refuse_neuron_5",), "placebo_draws": 8})
    compared = compare_edits(make({0: (2,)}), candidates=(), settings=methods, seed=0)
    kept = [one.neurons[0] for name, one in compared.edits.items() if name.startswith("placebo.")]
    assert 0 < len(kept) < 8
    assert (5,) not in kept
    assert compared.placebo_refused == {"refuse_neuron_5": 8 - len(kept)}


def test_one_edit_lets_the_refusal_through(
    training: Arrays, validation: Arrays, decision_layer: nn.Linear, settings: EditSettings
) -> None:
    with pytest.raises(EvidenceError, match="too few"):
        edit_decision_layer(
            *training, decision_layer, neurons={0: (2,)}, method="refuse", settings=settings, validation=validation
        )


def test_bad_input_is_named(
    training: Arrays, validation: Arrays, decision_layer: nn.Linear, settings: EditSettings
) -> None:
    def edit(features: Tensor, labels: Tensor, neurons: dict[int, tuple[int, ...]], method: str = "ratio") -> object:
        return edit_decision_layer(
            features, labels, decision_layer, neurons=neurons, method=method, settings=settings, validation=validation
        )

    features, labels = training
    with pytest.raises(SettingsError, match="unknown edit method"):
        edit(features, labels, {0: (2,)}, "magic")
    with pytest.raises(ReviewError, match=r"neurons in 0\.\.7"):
        edit(features, labels, {0: (8,)})
    with pytest.raises(ReviewError, match="class 3 does not exist"):
        edit(features, labels, {3: (1,)})
    with pytest.raises(FeaturesError, match=r"expected \(N, 8\)"):
        edit(features[:, :4], labels, {0: (2,)})
    with pytest.raises(FeaturesError, match="not finite"):
        edit(features * float("nan"), labels, {0: (2,)})


def test_the_comparison_holds_every_method_and_control_and_recommends_no_placebo(
    make: Make, settings: EditSettings
) -> None:
    compared = compare_edits(make(), candidates=(2, 3), settings=settings, seed=0)
    names = {"retrain", "bias", "ratio", "ablate_refit", "cue_erasure"}
    placebo = {f"placebo.{method}.{draw}" for method in ("ratio", "ablate_refit", "cue_erasure") for draw in range(2)}
    assert set(compared.edits) == names | placebo
    assert compared.recommended in names | {"original"}
    best = max(compared.edits[name].score.worst_class for name in names)
    assert compared.edits[compared.recommended].score.worst_class == best


def test_two_classes_get_placebo_neurons_of_their_own(make: Make, settings: EditSettings) -> None:
    many = settings.model_copy(update={"methods": ("ratio",), "placebo_draws": 6})
    compared = compare_edits(make({0: (2,), 1: (5,)}), candidates=(), settings=many, seed=0)
    draws = [compared.edits[f"placebo.ratio.{draw}"].neurons for draw in range(6)]
    assert any(drawn[0] != drawn[1] for drawn in draws)


def test_placebo_neurons_are_never_chosen_or_suspected() -> None:
    sets = placebo_neurons(
        count=3,
        draws=10,
        num_features=64,
        suspected=range(20),
        chosen=(40, 41, 42),
        generator=torch.Generator().manual_seed(0),
    )
    drawn = {neuron for one in sets for neuron in one}
    assert len(sets) == 10
    assert all(len(set(one)) == 3 for one in sets)
    assert not drawn & ({*range(20)} | {40, 41, 42})


def test_a_narrow_layer_keeps_at_least_the_chosen_neurons_out_of_the_placebo() -> None:
    sets = placebo_neurons(
        count=2, draws=3, num_features=8, suspected=range(8), chosen=(0, 1), generator=torch.Generator().manual_seed(0)
    )
    assert not {neuron for one in sets for neuron in one} & {0, 1}


def test_too_few_neurons_for_a_placebo_is_said() -> None:
    with pytest.raises(ReviewError, match="too few are left"):
        placebo_neurons(
            count=5, draws=1, num_features=8, suspected=(), chosen=range(5), generator=torch.Generator().manual_seed(0)
        )
