"""Moments of the split that selects: against literal twins."""

import numpy as np
import torch

from neuroinspect.editing.problem import make_problem
from neuroinspect.editing.select_moments import measure_moments, moments_of, scratch_for, weighted_sum
from tests import reference
from tests.unit.editing.conftest import draw_features


def test_the_automatic_shrinkage_is_that_of_ledoit_and_wolf() -> None:
    features, labels, _ = draw_features(40, cue_follows_class=False, seed=0)
    moments = measure_moments(features, labels, shrinkage=None)
    assert np.allclose(moments.total, reference.ledoit_wolf(features.numpy()), rtol=1e-9)
    assert np.allclose(moments.total_factor @ moments.total_factor.T, moments.total, rtol=1e-9)
    assert torch.equal(moments.total_factor, moments.total_factor.tril())
    residual = features.double().numpy().copy()
    for index in range(3):
        residual[labels == index] -= residual[labels == index].mean(0)
    ratio = (moments.within @ moments.within.T).numpy() / reference.ledoit_wolf(residual)
    assert np.allclose(ratio, ratio[0, 0], rtol=1e-6)
    assert np.allclose(
        (moments.within @ moments.within.T)[0, 1:], (residual[:, :1] * residual[:, 1:]).mean(0), atol=1e-6
    )


def test_a_given_shrinkage_mixes_in_the_identity() -> None:
    features, labels, _ = draw_features(60, cue_follows_class=False, seed=1)
    covariance = np.cov(features.double().numpy().T, bias=True)
    expected = 0.75 * covariance + 0.25 * np.trace(covariance) / 8 * np.eye(8)
    assert np.allclose(measure_moments(features, labels, shrinkage=0.25).total, expected, rtol=1e-9)


def test_classes_need_no_numbers_in_a_row() -> None:
    features, labels, _ = draw_features(60, cue_follows_class=False, seed=1)
    moments = measure_moments(features, labels * 7 + 2, shrinkage=None)
    assert torch.allclose(moments.class_means[1], features[labels == 1].double().mean(0))
    assert torch.allclose(moments.mean, features.double().mean(0))


def test_leverage_is_the_diagonal_of_the_hat_matrix() -> None:
    features, labels, _ = draw_features(50, cue_follows_class=False, seed=2)
    moments = measure_moments(features, labels, shrinkage=0.1)
    residual = features.double() - moments.class_means[labels]
    hat = residual @ torch.linalg.inv(moments.within @ moments.within.T) @ residual.T / 50
    assert torch.allclose(moments.leverage, hat.diagonal())


def test_features_that_never_vary_are_no_obstacle() -> None:
    moments = measure_moments(torch.ones(12, 4), torch.arange(12) % 2, shrinkage=None)
    assert torch.isfinite(moments.within).all()
    assert torch.equal(moments.leverage, torch.zeros(12, dtype=torch.float64))


def test_more_samples_than_are_held_at_once_give_the_same(monkeypatch) -> None:
    features, labels, _ = draw_features(90, cue_follows_class=False, seed=3)
    whole = measure_moments(features, labels, shrinkage=None)
    monkeypatch.setattr("neuroinspect.editing.select_moments._ROWS", 7)
    parts = measure_moments(features, labels, shrinkage=None)
    assert torch.allclose(whole.total, parts.total)
    assert torch.allclose(whole.leverage, parts.leverage)
    total = weighted_sum(features, labels)
    assert torch.allclose(total, labels.double() @ features.double())
    scratch = scratch_for(features).fill_(float("nan"))
    assert torch.equal(weighted_sum(features, labels, scratch=scratch), total)


def test_they_are_measured_once_for_all_edits_of_the_same_features(training, validation, decision_layer) -> None:
    problem = make_problem(training, validation, decision_layer, neurons={0: (2,)})
    moments = moments_of(problem, shrinkage=None)
    assert moments_of(problem.with_neurons({1: (5,)}), shrinkage=None) is moments
    assert moments_of(problem, shrinkage=0.5) is not moments
