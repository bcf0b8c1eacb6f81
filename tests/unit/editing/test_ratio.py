"""The paper's edit: its target, and the laws of its penalty."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from neuroinspect.editing.problem import EditProblem
from neuroinspect.editing.ratio import authors_target_ratio, ratio_tries
from neuroinspect.editing.refit import train_tries
from neuroinspect.masking import probability_ratio
from neuroinspect.settings import EditSettings
from tests import reference

Make = Callable[..., EditProblem]


def test_the_authors_rule_equals_its_twin_for_several_classes(make: Make, settings: EditSettings) -> None:
    problem = make({0: (0, 1), 1: (4,)})
    layer = reference.linear(problem.weight.double(), problem.bias.double())
    expected = reference.authors_target_ratio(problem.features.double(), problem.labels, layer, neurons=problem.neurons)
    assert expected > 1.0
    assert authors_target_ratio(problem) == pytest.approx(expected, rel=1e-5)
    ruled = ratio_tries(problem, settings.model_copy(update={"target_ratio": None}))
    assert ruled[0].settings["target_ratio"] == pytest.approx(expected, rel=1e-5)


def test_permuting_the_neurons_permutes_the_result(make: Make, settings: EditSettings) -> None:
    problem, order = make({0: (2, 3), 1: (5,)}), torch.tensor([3, 0, 7, 1, 6, 2, 5, 4])
    place = {int(neuron): position for position, neuron in enumerate(order)}
    permuted = replace(
        problem,
        features=problem.features[:, order],
        validation_features=problem.validation_features[:, order],
        weight=problem.weight[:, order],
        neurons={index: tuple(place[neuron] for neuron in chosen) for index, chosen in problem.neurons.items()},
    )
    plain, other = (
        train_tries(one, ratio_tries(one, settings)[2:3], settings=settings.train)[0] for one in (problem, permuted)
    )
    assert torch.allclose(plain[0][:, order], other[0], atol=1e-4)


@pytest.mark.parametrize("form", ["sum", "mean"])
def test_a_heavy_penalty_takes_the_ratio_to_its_target(make: Make, settings: EditSettings, form: str) -> None:
    problem = make({0: (2, 3)})
    heavy = settings.model_copy(update={"ratio_weights": (100.0,), "ratio_form": form})
    weight, bias = train_tries(problem, ratio_tries(problem, heavy), settings=settings.train)[0]
    silenced = torch.zeros(8, dtype=torch.bool)
    silenced[[2, 3]] = True
    means = [
        float(
            probability_ratio(problem.features, reference.linear(*one), class_index=0, silenced=silenced)
            .detach()
            .mean()
        )
        for one in ((problem.weight, problem.bias), (weight, bias))
    ]
    assert abs(means[1] - 1) < 0.2 * abs(means[0] - 1)
