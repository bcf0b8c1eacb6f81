import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from neuroinspect.errors import FeaturesError
from neuroinspect.masking import (
    cue_score,
    log_probability_ratio,
    log_ratio_of_each_neuron,
    neuron_family,
    probability_ratio,
)
from tests.reference import family_twin, linear
from tests.reference import probability_ratio as literal_ratio


def problem(seed: int, *, samples: int = 5, neurons: int = 7, classes: int = 4) -> tuple[torch.Tensor, nn.Linear]:
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(classes, neurons, generator=generator, dtype=torch.float64)
    layer = linear(weight, torch.randn(classes, generator=generator, dtype=torch.float64))
    return torch.randn(samples, neurons, generator=generator, dtype=torch.float64).relu(), layer


def mask(neurons: list[int], size: int = 7) -> torch.Tensor:
    silenced = torch.zeros(size, dtype=torch.bool)
    silenced[neurons] = True
    return silenced


def test_the_ratio_of_one_neuron_by_hand() -> None:
    # Logits (2, 0) with the neuron, (0, 0) without: e^2 / (1 + e^2) against 1/2.
    layer = linear(torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.zeros(2))
    ratio = probability_ratio(torch.tensor([[2.0, 0.0]]), layer, class_index=0, silenced=mask([0], 2))
    np.testing.assert_allclose(ratio.item(), 2 * math.exp(2) / (1 + math.exp(2)), rtol=1e-12)


def test_silencing_no_neuron_leaves_the_ratio_at_one() -> None:
    features, layer = problem(0)
    assert torch.equal(probability_ratio(features, layer, class_index=1, silenced=mask([])), torch.ones(5).double())


def test_a_neuron_that_is_silent_already_has_ratio_one() -> None:
    features, layer = problem(1)
    features[:, 3] = 0
    logarithms = log_ratio_of_each_neuron(features, layer, class_index=2)
    torch.testing.assert_close(logarithms[:, 3], torch.zeros(5).double())


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), silenced=st.sets(st.integers(0, 6)), class_index=st.integers(0, 3))
def test_the_ratio_equals_the_one_from_probabilities(seed: int, silenced: set[int], class_index: int) -> None:
    features, layer = problem(seed)
    ratios = probability_ratio(features, layer, class_index=class_index, silenced=mask(sorted(silenced)))
    literal = [literal_ratio(f, layer, class_index=class_index, silenced=silenced) for f in features]
    np.testing.assert_allclose(ratios.detach().numpy(), literal, rtol=1e-9)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_every_neuron_at_once_equals_one_after_the_other(seed: int) -> None:
    features, layer = problem(seed)
    together = log_ratio_of_each_neuron(features, layer, class_index=0)
    for neuron in range(7):
        alone = log_probability_ratio(features, layer, class_index=0, silenced=mask([neuron])).detach()
        torch.testing.assert_close(together[:, neuron], alone, atol=1e-12, rtol=1e-9)


def test_chosen_neurons_are_columns_of_all_neurons() -> None:
    features, layer = problem(2)
    every = log_ratio_of_each_neuron(features, layer, class_index=1)
    torch.testing.assert_close(
        log_ratio_of_each_neuron(features, layer, class_index=1, neurons=[5, 0]), every[:, [5, 0]]
    )
    assert log_ratio_of_each_neuron(features, layer, class_index=1, neurons=[]).shape == (5, 0)


def test_many_samples_in_pieces_give_the_same_ratios(monkeypatch: pytest.MonkeyPatch) -> None:
    features, layer = problem(3)
    whole = log_ratio_of_each_neuron(features, layer, class_index=0)
    monkeypatch.setattr("neuroinspect.masking._CHUNK_ELEMENTS", 60)
    torch.testing.assert_close(log_ratio_of_each_neuron(features, layer, class_index=0), whole)


def test_a_probability_close_to_zero_keeps_its_ratio() -> None:
    layer = linear(torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([-500.0, 500.0]))
    log_ratio = log_probability_ratio(torch.tensor([[3.0, 0.0]]), layer, class_index=0, silenced=mask([0], 2))
    np.testing.assert_allclose(log_ratio.item(), 3.0, rtol=1e-12)


def test_gradients_flow_to_the_decision_layer() -> None:
    features, layer = problem(4)
    log_probability_ratio(features, layer, class_index=0, silenced=mask([0, 2])).sum().backward()
    assert layer.weight.grad is not None
    assert layer.weight.grad.any()


def correlated(seed: int = 0) -> torch.Tensor:
    """Neuron 0 is the cue; 1 follows it closely, 2 loosely, 3 is noise, 4 constant, 5 its opposite."""
    generator = torch.Generator().manual_seed(seed)
    cue, *noise = torch.randn(4, 400, generator=generator)
    return torch.stack([cue, cue + 0.2 * noise[0], cue + noise[1], noise[2], torch.full_like(cue, 3.3), -cue], dim=1)


def test_the_family_follows_the_chosen_neuron() -> None:
    assert neuron_family(correlated(), [0], size=2) == [1, 2]


def test_the_chosen_the_constant_and_the_opposite_neuron_are_never_family() -> None:
    family = neuron_family(correlated(), [0], size=6)
    assert not {0, 4, 5} & set(family)


def test_a_larger_family_begins_with_the_smaller_one() -> None:
    features = torch.rand(50, 30, generator=torch.Generator().manual_seed(1))
    large = neuron_family(features, [3, 7], size=10)
    assert len(large) == 10
    assert neuron_family(features, [7, 3], size=4) == large[:4]
    assert neuron_family(features, [3, 7], size=0) == []


def test_scaling_a_neuron_leaves_the_family() -> None:
    features = torch.rand(50, 30, generator=torch.Generator().manual_seed(2))
    scaled = features * torch.linspace(0.01, 100, 30) + 5
    assert neuron_family(scaled, [3, 7], size=8) == neuron_family(features, [3, 7], size=8)


@pytest.mark.parametrize("size", [3, None])
def test_the_family_equals_the_slow_twin(size: int | None) -> None:
    generator = torch.Generator().manual_seed(3)
    features = torch.rand(60, 12, generator=generator, dtype=torch.float64)
    features[:, [2, 5, 7, 9]] += (torch.rand(60, 1, generator=generator) < 0.3) * 1.0
    labels = torch.arange(60) % 4
    found = neuron_family(features, [2, 5], labels=labels, size=size)
    assert found == family_twin(features.numpy(), labels.numpy(), [2, 5], size=size)
    assert found[:2] in ([7, 9], [9, 7])


def class_and_cue(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Neurons 0 to 2 carry the cue, 3 to 5 the class 0 that it goes with, 24 more are noise."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(600) % 3
    shows = torch.where(
        labels == 0, torch.rand(600, generator=generator) < 0.95, torch.rand(600, generator=generator) < 0.2
    )
    features = 0.5 * torch.randn(600, 30, generator=generator)
    features[:, :3] += 1.5 * shows[:, None]
    features[:, 3:6] += 1.5 * (labels == 0)[:, None]
    return features, labels


@pytest.mark.parametrize("seed", [0, 1])
def test_seen_within_classes_the_class_itself_is_no_family(seed: int) -> None:
    features, labels = class_and_cue(seed)
    assert sorted(neuron_family(features, [0], labels=labels)) == [1, 2]
    assert {3, 4, 5} & set(neuron_family(features, [0], size=5))


def test_only_neurons_that_stand_out_are_family() -> None:
    noise = torch.randn(500, 40, generator=torch.Generator().manual_seed(4))
    assert len(neuron_family(noise, [0])) <= 2
    assert len(neuron_family(noise, [0], size=10)) == 10


def test_the_cue_score_of_one_neuron_is_its_activation_in_standard_deviations() -> None:
    features = torch.tensor([[0.0, 9.0], [0.0, 9.0], [2.0, 9.0], [2.0, 9.0]])
    assert cue_score(features, [0]).tolist() == pytest.approx([-1.0, -1.0, 1.0, 1.0])
    assert cue_score(features, [1]).tolist() == [0.0] * 4
    assert cue_score(features, [0], labels=torch.tensor([0, 0, 1, 1])).tolist() == [0.0] * 4


def test_classes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(FeaturesError, match="labels"):
        neuron_family(correlated(), [0], labels=torch.zeros(3, dtype=torch.int64))


def test_constant_chosen_neurons_have_no_family() -> None:
    assert neuron_family(correlated(), [4], size=3) == []


@pytest.mark.parametrize("neurons", [[], [-1], [6]])
def test_neurons_that_do_not_exist_have_no_family(neurons: list[int]) -> None:
    with pytest.raises(FeaturesError, match="neuron"):
        neuron_family(correlated(), neurons, size=3)


def test_what_does_not_fit_is_refused() -> None:
    features, layer = problem(5)
    with pytest.raises(FeaturesError, match="bool"):
        probability_ratio(features, layer, class_index=0, silenced=torch.zeros(7))
    with pytest.raises(FeaturesError, match="bool"):
        probability_ratio(features, layer, class_index=0, silenced=mask([], 6))
    with pytest.raises(FeaturesError, match="class_index"):
        log_ratio_of_each_neuron(features, layer, class_index=4)
    with pytest.raises(FeaturesError, match=r"\(N, 7\)"):
        log_ratio_of_each_neuron(features[:, :6], layer, class_index=0)
    with pytest.raises(FeaturesError, match="finite"):
        log_ratio_of_each_neuron(features / 0, layer, class_index=0)
    with pytest.raises(FeaturesError, match="neurons"):
        log_ratio_of_each_neuron(features, layer, class_index=0, neurons=[7])
    with pytest.raises(FeaturesError, match="finite"):
        neuron_family(features / 0, [0], size=1)
