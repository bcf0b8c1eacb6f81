"""The select split in halves, and figures over both."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from neuroinspect.editing.half_figures import Cue, judge_on_halves
from neuroinspect.editing.halves import Half, halve, plan_sets
from neuroinspect.editing.problem import EditProblem
from neuroinspect.metrics import class_auroc
from neuroinspect.settings import EditSettings

Make = Callable[..., EditProblem]


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_each_half_judges_what_the_other_selected_and_every_class_is_in_both(make: Make) -> None:
    problem = make()
    first, second = halve(problem, 1, generator=seeded())
    assert torch.equal(first.judges, ~second.judges)
    assert torch.equal(first.features, problem.validation_features[first.judges])
    assert torch.equal(first.problem.validation_features, problem.validation_features[second.judges])
    assert torch.equal(first.problem.validation_labels, second.labels)
    for half in (first, second):
        assert half.labels.bincount().tolist() == [100, 100, 100]


def test_asking_for_two_halvings_gives_two_different_ones(make: Make) -> None:
    halves = halve(make(), 2, generator=seeded())
    assert len(halves) == 4
    assert not torch.equal(halves[0].judges, halves[2].judges)


def test_a_set_that_is_refused_on_a_half_is_named_and_the_others_are_planned(make: Make) -> None:
    half = halve(make(), 1, generator=seeded())[0]
    few = EditProblem(
        half.problem.features,
        half.problem.labels,
        torch.ones(6, 8),
        torch.arange(6) % 3,
        half.problem.weight,
        half.problem.bias,
        {},
    )
    options = {"class_index": 0, "settings": EditSettings()}
    planned, refused = plan_sets(half, [(2, 3)], method="cue_erasure", **options)
    assert (list(planned), refused) == ([(2, 3)], {})
    planned, refused = plan_sets(
        Half(few, half.features, half.labels, half.judges), [(2,)], method="cue_erasure", **options
    )
    assert planned == {}
    assert "too few validation samples" in refused[(2,)]


def by_hand() -> tuple[list[Half], list[tuple[torch.Tensor, torch.Tensor]]]:
    """Two neurons, two classes; a logit is a neuron. The first layer swaps the classes, the second leaves them."""
    features = torch.tensor([[2.0, 1.0], [1.0, 3.0], [4.0, 0.0], [0.0, 5.0], [3.0, 1.0], [2.0, 6.0]])
    labels = torch.tensor([0, 1, 0, 1, 1, 0])
    judges = torch.tensor([True, True, False, False, True, False])
    problem = EditProblem(features, labels, features, labels, torch.eye(2), torch.zeros(2), {})
    halves = [Half(problem, features[rows], labels[rows], rows) for rows in (judges, ~judges)]
    return halves, [(torch.eye(2).flip(0), torch.zeros(2)), (torch.eye(2), torch.zeros(2))]


def test_every_sample_counts_once_by_the_layer_that_did_not_see_it() -> None:
    halves, layers = by_hand()
    found = judge_on_halves(layers, halves, class_index=0)
    # The swapped layer is wrong, wrong and right (class 1 twice); the plain one right, right and wrong (class 0 twice).
    assert found.average == pytest.approx(3 / 6)
    assert found.class_accuracy == pytest.approx(1 / 3)
    assert (found.worst_class, found.worst_index) == (pytest.approx(1 / 3), 0)
    assert found.cross_cue_auroc is None


def test_aurocs_are_means_of_the_halves_and_unknown_where_one_is() -> None:
    halves, layers = by_hand()
    groups = np.asarray(["sea", "sea", None, "sea", "sand", "sand"], dtype=object)
    found = judge_on_halves(layers, halves, class_index=0, cue=Cue("sea", groups))
    expected = [
        class_auroc(half.features @ weight.T + bias, half.labels, 0)
        for (weight, bias), half in zip(layers, halves, strict=True)
    ]
    assert found.class_auroc == pytest.approx(sum(expected) / 2)
    assert found.cross_cue_auroc is None  # the first half has no sample of the class without the cue
    without = np.asarray(["sand", "sea", None, "sea", "sea", "sand"], dtype=object)
    crossed = judge_on_halves(layers, halves, class_index=0, cue=Cue("sea", without)).cross_cue_auroc
    # Swapped: (2, 1) of the class has margin -1, the others 2 > -2 have -2 and 2: one of two below. Plain: -4 against -5: above.
    assert crossed == pytest.approx((0.5 + 1.0) / 2)
