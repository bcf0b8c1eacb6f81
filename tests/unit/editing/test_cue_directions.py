"""Where the cue lives: by hand, against a literal twin, and what chance gives."""

import numpy as np
import torch

from neuroinspect.editing.cue_directions import class_differences, cue_directions
from neuroinspect.editing.select_moments import measure_moments
from tests import reference
from tests.unit.editing.conftest import draw_features


def test_differences_are_taken_within_classes_by_hand() -> None:
    features = torch.tensor([[0.0, 0.0], [2.0, 0.0], [5.0, 1.0], [5.0, 3.0], [9.0, 9.0]])
    labels = torch.tensor([0, 0, 1, 1, 2])
    presence = torch.tensor([0.0, 1.0, 0.0, 1.0, 1.0], dtype=torch.float64)
    differences, weights = class_differences(features, presence, measure_moments(features, labels, shrinkage=None))
    # class 2 shows the cue only: it says nothing
    assert torch.allclose(differences, torch.tensor([[2.0, 0.0], [0.0, 2.0], [0.0, 0.0]], dtype=torch.float64))
    assert weights.tolist() == [0.5, 0.5, 0.0]


def test_a_cue_that_always_goes_with_its_class_gives_no_direction() -> None:
    features, labels, _ = draw_features(60, cue_follows_class=True, seed=0)
    found = cue_directions(features, (labels == 0).double(), measure_moments(features, labels, shrinkage=None))
    assert found.directions.shape == (8, 0)


def test_strengths_are_those_of_differences_whitened_by_what_is_left() -> None:
    features, labels, cue = draw_features(200, cue_follows_class=False, seed=4)
    found = cue_directions(features, cue.double(), measure_moments(features, labels, shrinkage=0.0))
    expected = reference.cue_strengths(features.numpy(), labels.numpy(), cue.numpy())
    assert np.allclose(found.strengths, expected, rtol=1e-3)


def test_a_cue_that_shifts_each_class_alike_has_one_direction() -> None:
    generator = torch.Generator().manual_seed(3)
    labels = torch.arange(600) % 6
    cue = torch.rand(600, generator=generator) < 0.3
    features = torch.randn(600, 10, generator=generator) + cue[:, None] * torch.arange(10)
    found = cue_directions(features, cue.double(), measure_moments(features, labels, shrinkage=None))
    assert found.directions.shape[1] == 1
    cosine = torch.nn.functional.cosine_similarity(found.directions[:, 0], torch.arange(10.0).double(), dim=0)
    assert abs(float(cosine)) > 0.99


def test_a_cue_that_one_class_shows_in_its_own_way_has_two() -> None:
    generator = torch.Generator().manual_seed(3)
    labels = torch.arange(600) % 6
    cue = torch.rand(600, generator=generator) < 0.3
    features = torch.randn(600, 10, generator=generator) + 3.0 * cue[:, None]
    features[:, 0] += 6.0 * (cue & (labels == 2))
    found = cue_directions(features, cue.double(), measure_moments(features, labels, shrinkage=None))
    assert found.directions.shape[1] == 2


def test_what_no_sample_shows_has_no_direction() -> None:
    features, labels, _ = draw_features(300, cue_follows_class=False, seed=5)
    presence = torch.rand(300, generator=torch.Generator().manual_seed(0)).double().round()
    found = cue_directions(features, presence, measure_moments(features, labels, shrinkage=None))
    assert found.directions.shape[1] == 0
    assert float(found.strengths[0]) < found.limit
