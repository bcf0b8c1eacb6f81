"""Who shows the cue: by hand, against literal twins, and where the first guess is poor."""

import numpy as np
import torch
from torch import Tensor

from neuroinspect.editing.cue_presence import find_cues, find_presence, read_presence, split_scores, starting_score
from neuroinspect.editing.select_moments import SelectMoments, measure_moments
from tests import reference
from tests.unit.editing.conftest import CUE_NEURONS, draw_features


def measured(count: int = 600, *, seed: int = 2) -> tuple[Tensor, Tensor, Tensor, SelectMoments]:
    features, labels, cue = draw_features(count, cue_follows_class=False, seed=seed)
    return features, labels, cue, measure_moments(features, labels, shrinkage=None)


def test_scores_are_standardised_and_a_dead_neuron_does_not_count() -> None:
    features, labels, _, _ = measured()
    features[:, 7] = 0.0
    moments = measure_moments(features, labels, shrinkage=None)
    scores = starting_score(features, (2, 3, 7), moments)
    assert abs(float(scores.mean())) < 1e-9
    assert abs(float(scores.std()) - 1.0) < 1e-9
    assert torch.allclose(scores, starting_score(features, (2, 3), moments))


def test_of_three_neurons_the_one_that_disagrees_is_voted_down() -> None:
    features, _, cue, moments = measured()
    together = starting_score(features, (2, 3, 6), moments)
    right = starting_score(features, (2, 3), moments)
    equal = (features - features.mean(0))[:, [2, 3, 6]] @ (1 / features[:, [2, 3, 6]].std(0))

    def correlation(one: Tensor, other: Tensor) -> float:
        return float(np.corrcoef(one, other)[0, 1])

    assert correlation(together, right) > 0.97
    assert correlation(together, cue) > correlation(equal, cue) + 0.02


def test_reading_leaves_each_sample_out() -> None:
    features, labels, cue, _ = measured(30)
    moments = measure_moments(features, labels, shrinkage=0.2)
    expected = reference.read_presence_without_each(features.numpy(), labels.numpy(), cue.numpy(), shrinkage=0.2)
    assert np.allclose(read_presence(features, cue.double(), moments), expected, atol=1e-5)


def test_a_split_gives_the_probabilities_of_its_own_fit() -> None:
    features, labels, cue, moments = measured()
    scores = starting_score(features, CUE_NEURONS, moments)
    upper = split_scores(scores, (scores > 1).double(), moments).upper
    assert np.allclose(upper, reference.split_step(scores.numpy(), labels.numpy(), upper.numpy()), atol=1e-3)
    assert float(((upper > 0.5) == cue).double().mean()) > 0.95


def test_a_class_that_nearly_always_shows_the_cue_is_not_taken_for_one_that_never_does() -> None:
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(400) % 2
    cue = torch.rand(400, generator=generator) < torch.where(labels == 0, 0.95, 0.2)
    scores = cue.double() + 0.1 * torch.randn(400, generator=generator)
    moments = measure_moments(torch.zeros(400, 1), labels, shrinkage=None)
    split = split_scores(scores, (scores > 0.8).double(), moments)
    assert torch.equal(split.upper > 0.5, cue)
    assert 8 < split.gap < 12


def test_scores_without_a_gap_stay_as_they_were() -> None:
    _, _, _, moments = measured(30)
    nothing = torch.zeros(30, dtype=torch.float64)
    split = split_scores(nothing, nothing, moments)
    assert torch.equal(split.upper, nothing)
    assert split.gap == 0.0


def cue_in_many_neurons(size: float) -> tuple[Tensor, Tensor, SelectMoments]:
    generator = torch.Generator().manual_seed(1)
    cue = torch.rand(600, generator=generator) < 0.3
    features = torch.randn(600, 20, generator=generator)
    features[:, 0] += 4.0 * cue
    features[:, 1:8] += size * cue[:, None]
    return features, cue, measure_moments(features, torch.arange(600) % 3, shrinkage=None)


def test_all_neurons_correct_the_guess_of_one() -> None:
    features, cue, moments = cue_in_many_neurons(2.0)
    guess = starting_score(features, (0,), moments) > 1
    found = find_presence(features, (0,), moments)
    assert float((guess == cue).double().mean()) < 0.96
    assert float(((found.score > 0.5) == cue).double().mean()) > 0.99
    assert found.clear
    assert found.converged
    assert found.count == int((found.score > 0.5).sum())


def test_where_the_heaps_are_not_clear_the_score_itself_is_kept() -> None:
    features, cue, _ = cue_in_many_neurons(0.5)
    features[:, 0] -= 3.0 * cue
    found = find_presence(features, (0, 1, 2), measure_moments(features, torch.arange(600) % 3, shrinkage=None))
    assert found.gap < 3
    assert not found.clear
    assert len(found.score.unique()) == 600
    assert float(np.corrcoef(found.score, cue)[0, 1]) > float(np.corrcoef(features[:, 1], cue)[0, 1])


def test_a_dead_neuron_shows_nothing() -> None:
    features = torch.ones(30, 4)
    found = find_presence(features, (1,), measure_moments(features, torch.arange(30) % 3, shrinkage=None))
    assert torch.equal(found.score, torch.zeros(30, dtype=torch.float64))
    assert found.count == 0


def test_neurons_of_two_cues_are_told_apart_and_a_wrong_pick_is_passed_over() -> None:
    generator = torch.Generator().manual_seed(5)
    first, second, other = torch.rand(3, 600, generator=generator) < 0.3
    features = torch.randn(600, 12, generator=generator)
    features[:, :3] += 6.0 * (first & ~second)[:, None]
    features[:, 3:6] += 6.0 * second[:, None]
    features[:, 6] += 6.0 * other
    moments = measure_moments(features, torch.arange(600) % 3, shrinkage=None)
    found = find_cues(features, (0, 3, 1, 6, 4), moments)
    assert len(found) == 2
    shown = {tuple((cue.score > 0.5).tolist()) for cue in found}
    assert shown == {tuple((first & ~second).tolist()), tuple(second.tolist())}
    assert len(find_cues(features, (0, 1, 6), moments)) == 1


def test_where_it_is_not_clear_all_neurons_are_taken_for_one_cue() -> None:
    features, _, moments = cue_in_many_neurons(0.5)
    found = find_cues(features, (1, 2, 3, 15), moments)
    assert len(found) == 1
    assert not found[0].clear
