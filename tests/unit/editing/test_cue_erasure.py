"""Cue erasure: by hand, and the laws that make it an erasure."""

from collections.abc import Callable

import numpy as np
import torch

from neuroinspect.editing.cue_erasure import cue_direction, cue_scores, erase_cues, shrunk_covariance
from neuroinspect.editing.edit import as_linear, edit_decision_layer
from neuroinspect.editing.problem import EditProblem, Projection
from neuroinspect.settings import EditSettings
from tests.unit.editing.conftest import CUE_NEURONS, draw_features

Make = Callable[..., EditProblem]


def erase(problem: EditProblem, *, threshold: float = 1.0, shrinkage: float | None = None) -> tuple[Projection, int]:
    covariance = shrunk_covariance(problem.validation_features, shrinkage)
    return erase_cues(problem, threshold=threshold, covariance=covariance)


def test_the_direction_is_taken_within_classes_by_hand() -> None:
    features = torch.tensor([[0.0, 0.0], [2.0, 0.0], [5.0, 1.0], [5.0, 3.0], [9.0, 9.0]])
    labels = torch.tensor([0, 0, 1, 1, 2])
    present = torch.tensor([False, True, False, True, True])
    # class 0 differs by (2, 0), class 1 by (0, 2), class 2 shows the cue only; both weights are 1 * 1 / 2
    assert torch.allclose(cue_direction(features, labels, present), torch.tensor([1.0, 1.0], dtype=torch.float64))


def test_a_cue_that_always_goes_with_its_class_gives_no_direction() -> None:
    features, labels, _ = draw_features(60, cue_follows_class=True, seed=0)
    assert torch.equal(cue_direction(features, labels, labels == 0), torch.zeros(8, dtype=torch.float64))


def test_scores_are_standardised_and_a_dead_neuron_does_not_count() -> None:
    features, _, _ = draw_features(300, cue_follows_class=False, seed=3)
    features[:, 7] = 0.0
    scores = cue_scores(features, (2, 3, 7))
    assert abs(float(scores.mean())) < 1e-9
    assert abs(float(scores.std()) - 1.0) < 1e-9
    assert torch.allclose(scores, cue_scores(features, (2, 3)))


def test_after_the_erasure_the_cue_direction_cannot_be_read(make: Make) -> None:
    problem = make()
    projection, _ = erase(problem, shrinkage=0.0)
    present = cue_scores(problem.validation_features, CUE_NEURONS) > 1.0
    direction = cue_direction(problem.validation_features, problem.validation_labels, present)
    reader = torch.linalg.solve(shrunk_covariance(problem.validation_features, 0.0), direction).float()
    centred = problem.validation_features - projection.offset
    erased = centred - (centred @ projection.right) @ projection.left.T
    assert float((centred @ reader).std()) > 0.1
    assert float((erased @ reader).abs().max()) < 1e-3 * float((centred @ reader).abs().max())


def test_erasing_twice_is_erasing_once(make: Make) -> None:
    projection, _ = erase(make())
    once = torch.eye(8) - projection.left @ projection.right.T
    assert projection.left.shape[1] == 1
    assert torch.allclose(once @ once, once, atol=1e-5)


def test_two_cues_are_erased_one_after_the_other(make: Make) -> None:
    projection, _ = erase(make({0: CUE_NEURONS, 1: (5,)}))
    assert projection.left.shape[1] == 2


def test_two_cues_give_the_product_of_two_full_projections(make: Make) -> None:
    problem = make({0: CUE_NEURONS, 1: (5,)})
    features, labels = problem.validation_features.double(), problem.validation_labels
    covariance, mean, identity = shrunk_covariance(features, None), features.mean(0), torch.eye(8, dtype=torch.float64)
    total = identity
    for chosen in problem.neurons.values():
        present = cue_scores(problem.validation_features, chosen) > 1.0
        direction = cue_direction((features - mean) @ total.T + mean, labels, present)
        spread = total @ covariance @ total.T + 1e-9 * covariance.diagonal().mean() * identity
        reader = torch.linalg.solve(spread, direction)
        total = (identity - torch.outer(direction, reader) / (direction @ reader)) @ total
    projection, _ = erase(problem)
    assert torch.allclose(identity.float() - projection.left @ projection.right.T, total.float(), atol=1e-5)


def test_the_automatic_shrinkage_is_that_of_ledoit_and_wolf() -> None:
    features = np.random.default_rng(0).normal(size=(40, 12)) @ np.diag(np.linspace(0.5, 2, 12))
    centred = features - features.mean(0)
    sample = centred.T @ centred / 40
    target = np.trace(sample) / 12 * np.eye(12)
    noise = np.mean([np.sum((np.outer(row, row) - sample) ** 2) for row in centred]) / 40
    share = min(1.0, noise / np.sum((sample - target) ** 2))
    expected = share * target + (1 - share) * sample
    assert np.allclose(shrunk_covariance(torch.from_numpy(features), None).numpy(), expected, rtol=1e-9)


def test_a_cue_nobody_shows_erases_nothing(make: Make) -> None:
    projection, shown = erase(make(), threshold=50.0)
    assert shown == 0
    assert projection.left.shape[1] == 0


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
