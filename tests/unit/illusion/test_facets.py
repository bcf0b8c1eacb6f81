"""A neuron in the classes it belongs to most."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from neuroinspect.errors import FeaturesError, ModelError
from neuroinspect.illusion import facets, related_classes, synthesize
from neuroinspect.settings import IllusionSettings
from tests.unit.illusion.networks import small_classifier

WEIGHT = torch.tensor([[2.0, 0.0], [1.0, 1.0], [-3.0, 1.0]])
MEANS = torch.tensor([[0.1, 1.0], [0.5, 0.0], [2.0, 3.0]])


def test_the_classes_are_those_whose_logit_the_neuron_raises_most_on_their_own_pictures():
    # contributions of neuron 0: 0.2, 0.5 and -6; of neuron 1: 0, 0 and 3
    assert related_classes(0, WEIGHT, MEANS, count=3) == [1, 0, 2]
    assert related_classes(1, WEIGHT, MEANS, count=3) == [2, 0, 1]


def test_more_classes_than_there_are_give_all_of_them():
    assert sorted(related_classes(0, WEIGHT, MEANS, count=9)) == [0, 1, 2]


@given(seed=st.integers(0, 30), order=st.permutations(range(5)))
def test_the_order_of_the_classes_does_not_matter(seed, order):
    generator = torch.Generator().manual_seed(seed)
    weight, means = torch.randn(5, 3, generator=generator), torch.rand(5, 3, generator=generator)
    moved = related_classes(1, weight[list(order)], means[list(order)], count=2)
    assert [order[index] for index in moved] == related_classes(1, weight, means, count=2)


@pytest.mark.parametrize(
    ("neuron", "means", "count", "kind", "message"),
    [
        (2, MEANS, 1, ModelError, "no neuron 2; the model has those from 0 to 1"),
        (0, MEANS[:, :1], 1, FeaturesError, r"shape \(3, 2\), got \(3, 1\)"),
        (0, MEANS, 0, FeaturesError, "at least one class, got 0"),
    ],
)
def test_what_does_not_fit_is_refused(neuron, means, count, kind, message):
    with pytest.raises(kind, match=message):
        related_classes(neuron, WEIGHT, means, count=count)


def test_facets_are_the_illusions_of_these_pairs():
    classifier = small_classifier()
    means = torch.rand(classifier.num_classes, classifier.num_features)
    settings = IllusionSettings(steps=2, restarts=0)
    made = facets(
        classifier, 1, means, count=2, guide=None, settings=settings, generator=torch.Generator().manual_seed(4)
    )
    classes = related_classes(1, classifier.decision_layer.weight, means, count=2)
    assert [one.class_index for one in made] == classes
    plain = synthesize(
        classifier,
        [(1, index) for index in classes],
        guide=None,
        settings=settings,
        generator=torch.Generator().manual_seed(4),
    )
    assert all(torch.equal(one.image, other.image) for one, other in zip(made, plain, strict=True))
