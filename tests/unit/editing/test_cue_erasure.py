"""Cue erasure: the laws that make it an erasure, and what it does to the reliance."""

from collections.abc import Callable

import pytest
import torch

from neuroinspect.editing.cue_erasure import cue_erasure_tries, erase_directions
from neuroinspect.editing.edit import as_linear, edit_decision_layer
from neuroinspect.editing.problem import EditProblem, Projection
from neuroinspect.editing.select_moments import measure_moments, moments_of
from neuroinspect.settings import EditSettings
from tests import reference
from tests.unit.editing.conftest import CUE_NEURONS, draw_features

Make = Callable[..., EditProblem]


def projected(problem: EditProblem, settings: EditSettings, position: int = -1) -> Projection:
    projection = cue_erasure_tries(problem, settings)[position].projection
    assert projection is not None
    return projection


def some_directions(count: int) -> torch.Tensor:
    return torch.randn(8, count, dtype=torch.float64, generator=torch.Generator().manual_seed(7))


@pytest.mark.parametrize("count", [1, 3])
def test_the_erasure_is_leace_of_the_directions(make: Make, count: int) -> None:
    problem = make()
    moments = moments_of(problem, shrinkage=None)
    projection = erase_directions(some_directions(count), moments)
    expected = reference.leace(some_directions(count).numpy(), moments.total.numpy())
    assert torch.allclose(projection.left @ projection.right.T, torch.from_numpy(expected).float(), atol=1e-5)


def test_of_an_erased_direction_nothing_is_left(make: Make) -> None:
    projection = erase_directions(some_directions(2), moments_of(make(), shrinkage=None))
    once = torch.eye(8) - projection.left @ projection.right.T
    assert float((once @ some_directions(2).float()).abs().max()) < 1e-5
    assert torch.allclose(once @ once, once, atol=1e-5)


def test_saying_a_direction_twice_erases_it_once(make: Make) -> None:
    moments = moments_of(make(), shrinkage=None)
    one = some_directions(1)
    once, twice = (erase_directions(torch.cat([one] * times, 1), moments) for times in (1, 2))
    assert torch.allclose(once.left @ once.right.T, twice.left @ twice.right.T, atol=1e-5)


def test_no_direction_erases_nothing() -> None:
    features, labels, _ = draw_features(60, cue_follows_class=False, seed=0)
    projection = erase_directions(some_directions(0), measure_moments(features, labels, shrinkage=None))
    assert projection.left.shape == projection.right.shape == (8, 0)


def test_the_cue_of_the_chosen_neurons_is_what_is_erased(make: Make, settings: EditSettings) -> None:
    problem = make()
    projection = projected(problem, settings, 0)
    _, labels, cue = draw_features(600, cue_follows_class=False, seed=2)  # as the fixture of the selecting split
    erased = problem.validation_features - (problem.validation_features @ projection.right) @ projection.left.T

    def gap(features: torch.Tensor) -> float:
        return float((features[cue & (labels == 1)].mean(0) - features[~cue & (labels == 1)].mean(0)).norm())

    assert projection.left.shape[1] == 1
    assert gap(erased) < 0.15 * gap(problem.validation_features)


def test_the_cues_of_two_classes_are_both_erased(make: Make, settings: EditSettings) -> None:
    both = projected(make({0: CUE_NEURONS, 1: (5,)}), settings, 0)
    alone = [projected(make({0: chosen}), settings, 0) for chosen in (CUE_NEURONS, (5,))]
    once = torch.eye(8) - both.left @ both.right.T
    assert both.left.shape[1] == 2
    for one in alone:
        assert float((once @ one.left).abs().max()) < 1e-4


def test_erasure_takes_the_reliance_away_where_a_bias_cannot(make: Make, settings: EditSettings) -> None:
    problem = make()
    features, labels, cue = draw_features(900, cue_follows_class=False, seed=9)

    def cross_cue(weight: torch.Tensor, bias: torch.Tensor) -> float:
        logits = features @ weight.T + bias
        margin = logits[:, 0] - logits[:, 1:].logsumexp(1)
        own, other = margin[(labels == 0) & ~cue], margin[(labels != 0) & cue]
        return float((own[:, None] > other[None]).float().mean())

    found = {}
    for method in ("cue_erasure", "bias", "retrain"):
        layer = edit_decision_layer(
            problem.features,
            problem.labels,
            as_linear(problem.weight, problem.bias),
            neurons={0: CUE_NEURONS},
            method=method,
            settings=settings,
            validation=(problem.validation_features, problem.validation_labels),
        ).decision_layer
        found[method] = cross_cue(layer.weight, layer.bias)
    assert found["cue_erasure"] > found["retrain"] + 0.2
    assert abs(found["bias"] - cross_cue(problem.weight, problem.bias)) < 1e-6
