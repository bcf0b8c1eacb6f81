from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from neuroinspect.errors import FeaturesError
from neuroinspect.judging.retest import Layer, Retest, retest, retest_sentences
from neuroinspect.judging.rows import JudgedSplit
from neuroinspect.ranking import Direction
from neuroinspect.settings import DiagnoseSettings


def split_of(features: torch.Tensor, targets: list[int], groups: list[str | None], cue: str | None) -> JudgedSplit:
    return JudgedSplit(features, np.array(targets), groups, ("boat", "car"), 0, cue, {})


def harbour(*, cue: str | None = "water") -> JudgedSplit:
    """Neuron 0 is the boat, neuron 1 the water, neuron 2 the waves that come with it; a third of the pictures show water."""
    rows = [(1.0, 1.0)] * 2 + [(1.0, 0.0)] * 4 + [(0.0, 1.0)] * 2 + [(0.0, 0.0)] * 4
    features = torch.tensor([(boat + 0.1 * (k % 2), water, 0.9 * water) for k, (boat, water) in enumerate(rows)])
    groups = ["water" if water else "sand" for _, water in rows]
    return split_of(features, [0] * 6 + [1] * 6, groups, cue)


def layer(boat: float, water: float, waves: float = 0.0) -> Layer:
    return torch.tensor([[boat, water, waves], [0.0, 0.0, 0.0]]), torch.tensor([-1.0, 0.0])


LEANING, SEEING, ON_WAVES, PART = layer(0.0, 2.0), layer(2.0, 0.0), layer(0.0, 0.0, 2.2), layer(0.8, 0.0)


def of(edited: Layer, **values: object) -> Retest:
    return retest(harbour(**values), LEANING, edited, chosen=[1], settings=DiagnoseSettings())  # type: ignore[arg-type]


def test_an_edit_that_sees_the_boat_leaves_nothing_and_spares_the_cars_at_the_water() -> None:
    found = of(SEEING)
    assert found.status == "nothing_left"
    assert (found.of_class.before, found.of_class.after, found.of_class.fixed, found.of_class.made) == (4, 0, 4, 0)
    assert (found.of_others.before, found.of_others.after, found.of_others.fixed) == (2, 0, 2)
    (neuron,) = found.chosen
    assert (neuron.neuron, neuron.direction) == (1, Direction.INSUFFICIENT)
    assert (neuron.before.rank, neuron.before.vote_share) == (1, 1.0)
    assert (neuron.after.rank, neuron.after.vote_share) == (None, 0.0)
    assert found.margin_before == pytest.approx(1.0)
    assert found.margin_after == pytest.approx(0.0, abs=1e-6)


def test_cue_images_of_other_classes_are_counted_before_and_after() -> None:
    found = of(SEEING)
    kinds = {one.kind: one for one in found.estimated}
    cars = kinds["others_with_cue"]
    assert (cars.count, cars.right_before, cars.right_after, cars.called_before, cars.called_after) == (2, 0, 2, 2, 0)
    boats = kinds["class_without_cue"]
    assert (boats.count, boats.right_before, boats.right_after, boats.called_after) == (4, 0, 4, 4)
    assert found.by_group == found.estimated


def test_without_groups_the_cue_is_estimated_alone() -> None:
    assert of(SEEING, cue=None).by_group == ()


def test_neurons_with_the_same_cue_that_take_the_place_are_named() -> None:
    found = of(ON_WAVES)
    assert found.status == "replaced"
    (waves,) = [one for one in found.newcomers if one.carries_cue]
    assert (waves.neuron, waves.before.rank, waves.after.rank) == (2, None, 1)
    assert "but now neuron 2, with the same cue" in retest_sentences(found, class_name="boat", title="Edit")[0]


def test_mistakes_that_name_the_object_alone_have_let_go_of_the_cue() -> None:
    found = of(PART)
    assert found.status == "gone"
    assert found.of_class.after == 6
    assert found.of_class.made == 2
    assert [(one.neuron, one.carries_cue) for one in found.newcomers] == [(0, False)]


def test_an_edit_that_changes_nothing_leaves_the_chosen_neuron_where_it_was() -> None:
    found = of(LEANING)
    assert found.status == "remains"
    assert found.chosen[0].before == found.chosen[0].after
    assert found.newcomers == ()
    assert found.margin_before == found.margin_after
    told = retest_sentences(found, class_name="boat", title="Edit")
    assert told[0] == "Edit: of 4 mistakes on boat, 0 are fixed and 0 newly made. Those left still name neuron 1."
    assert told[1].startswith("Of 2 pictures of other classes that show the cue, 0 were right before and 0 after;")


def test_a_perfect_classifier_has_nothing_to_explain() -> None:
    found = retest(harbour(), SEEING, SEEING, chosen=[1], settings=DiagnoseSettings())
    assert found.status == "nothing_left"
    assert found.of_class.before == 0
    assert "no mistake left to explain, of 0 before" in retest_sentences(found, class_name="boat", title="Edit")[0]


def test_a_neuron_that_never_fires_shows_its_cue_nowhere() -> None:
    silent = replace(harbour(), features=harbour().features * torch.tensor([1.0, 0.0, 0.0]))
    found = retest(silent, LEANING, SEEING, chosen=[1], settings=DiagnoseSettings())
    assert {one.kind for one in found.estimated if one.count} == {"class_without_cue", "others_without_cue"}
    assert found.margin_before is None
    assert len(retest_sentences(found, class_name="boat", title="Edit")) == 2


def test_no_chosen_neuron_is_refused() -> None:
    with pytest.raises(FeaturesError, match="chosen neuron"):
        retest(harbour(), LEANING, SEEING, chosen=[], settings=DiagnoseSettings())


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000))
def test_every_sample_is_counted_once_and_mistakes_add_up(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(40, 6, generator=generator).relu()
    targets = torch.randint(0, 2, (40,), generator=generator).tolist()
    groups = [None if k % 7 == 0 else "water" if k % 3 else "sand" for k in range(40)]
    layers = [(torch.randn(2, 6, generator=generator), torch.randn(2, generator=generator)) for _ in range(2)]
    found = retest(split_of(features, targets, groups, "water"), *layers, chosen=[0, 3], settings=DiagnoseSettings())
    assert sum(one.count for one in found.estimated) == 40
    assert sum(one.count for one in found.by_group) == sum(group is not None for group in groups)
    for changes in (found.of_class, found.of_others):
        assert changes.after == changes.before - changes.fixed + changes.made
    right = [(features @ weight.T + bias).argmax(1) == torch.tensor(targets) for weight, bias in layers]
    assert sum(one.right_before for one in found.estimated) == int(right[0].sum())
    assert sum(one.right_after for one in found.estimated) == int(right[1].sum())
    assert found.of_class.after + found.of_others.after == 40 - int(right[1].sum())
