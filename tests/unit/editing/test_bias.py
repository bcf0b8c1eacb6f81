"""A shift of the bias, alone and after another method."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from neuroinspect.editing.bias import shift_bias, with_bias
from neuroinspect.editing.edit import edit_all, method_tries, plan_edit, uses_neurons
from neuroinspect.editing.problem import BiasShift, EditProblem
from neuroinspect.errors import SettingsError
from neuroinspect.metrics import class_auroc
from neuroinspect.settings import EditSettings

Make = Callable[..., EditProblem]


def test_a_class_is_raised_by_the_quantile_of_what_its_mistakes_lack_by_hand(make: Make) -> None:
    features = torch.tensor([[1.0, 2.0], [1.0, 4.0], [1.0, 6.0], [5.0, 1.0], [0.0, 1.0]])
    problem = replace(make(), validation_features=features, validation_labels=torch.tensor([0, 0, 0, 0, 1]))
    layer = (torch.eye(2), torch.zeros(2))
    # the mistakes of class 0 lack 1, 3 and 5; the fourth sample is right and lacks nothing
    _, bias = shift_bias(problem, layer, BiasShift(0.5, (0,)))
    assert bias.tolist() == pytest.approx([3.0001, 0.0], abs=1e-6)
    assert shift_bias(problem, layer, BiasShift(0.5, (1,)))[1].tolist() == [0.0, 0.0]


@pytest.mark.parametrize("method", ["cue_erasure", "ratio", "silencing"])
def test_a_bias_after_a_method_has_as_many_tries_and_never_moves_an_auroc(
    make: Make, settings: EditSettings, method: str
) -> None:
    problem = make()
    names = (method, f"{method}+bias")
    plain, shifted = edit_all(
        {name: plan_edit(problem, name, settings=settings) for name in names}, settings=settings
    ).values()
    assert len(shifted.tries) == len(plain.tries) == 5
    assert [one.settings["bias_quantile"] for one in shifted.tries] == list(settings.bias_quantiles)
    bare = {key: value for key, value in shifted.settings.items() if key != "bias_quantile"}
    position = [dict(one.settings) for one in plain.tries].index(bare)
    again = plan_edit(problem, method, settings=settings).tries[position]
    (alone,) = edit_all(
        {"alone": replace(plan_edit(problem, method, settings=settings), tries=(again,))}, settings=settings
    ).values()
    logits = [
        problem.validation_features @ one.decision_layer.weight.T + one.decision_layer.bias for one in (alone, shifted)
    ]
    aurocs = [class_auroc(one, problem.validation_labels, 0) for one in logits]
    assert aurocs[0] == pytest.approx(aurocs[1], abs=2e-4)
    assert float(shifted.decision_layer.bias[0]) > float(alone.decision_layer.bias[0])


def test_a_bias_twice_is_no_method_and_a_bias_after_retraining_names_no_neuron() -> None:
    with pytest.raises(SettingsError, match=r"bias\+bias"):
        method_tries("bias+bias")
    assert not uses_neurons("retrain+bias")
    assert uses_neurons("cue_erasure+bias")


def test_a_method_with_other_tries_than_there_are_quantiles_is_refused(make: Make, settings: EditSettings) -> None:
    problem = make()
    with pytest.raises(SettingsError, match="got 2 and 5"):
        with_bias(method_tries("ratio")(problem, settings)[:2], problem, settings)
