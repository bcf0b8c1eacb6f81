"""Words for neurons: by hand, against the literal twin, and what must not matter."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuroinspect.errors import FeaturesError, SettingsError
from neuroinspect.naming import name_neurons, word_presence, word_scores
from tests.reference import name_scores_one_by_one

WORDS = ("sea", "sky", "sand", "snow")


def drawn(seed: int, pictures: int = 40, neurons: int = 7) -> tuple[np.ndarray, np.ndarray]:
    """Activations, as after a ReLU, and likeness to the words."""
    generator = np.random.default_rng(seed)
    likeness = generator.normal(0.2, 0.05, (pictures, len(WORDS)))
    activations = np.maximum(
        likeness @ generator.normal(size=(len(WORDS), neurons)) + generator.normal(size=(1, neurons)), 0
    )
    return activations, likeness


def scores_of(activations: np.ndarray, likeness: np.ndarray) -> np.ndarray:
    return word_scores(activations, word_presence(likeness))


def test_a_neuron_is_called_after_the_word_that_is_there_when_it_fires():
    likeness = np.array([[0.9, 0.1], [0.9, 0.1], [0.1, 0.9], [0.1, 0.9]])
    activations = np.array([[1.0, 0.0, 3.0], [1.0, 0.0, 3.0], [0.0, 2.0, 3.0], [0.0, 2.0, 3.0]])
    first, second, still = name_neurons(scores_of(activations, likeness), ("sea", "sky"))
    assert (first.name, first.runner_up, second.name, second.runner_up) == ("sea", "sky", "sky", "sea")
    assert first.score == pytest.approx(1.0)
    assert first.runner_up_score == pytest.approx(-1.0)
    assert (still.name, still.score, still.runner_up) == (None, 0.0, None)


@pytest.mark.parametrize("seed", range(3))
def test_the_scores_are_those_of_the_literal_formula(seed):
    activations, likeness = drawn(seed)
    np.testing.assert_allclose(
        scores_of(activations, likeness), name_scores_one_by_one(activations, likeness), atol=1e-12
    )


def test_more_neurons_than_a_block_are_scored_one_like_the_other():
    activations, likeness = drawn(1, neurons=600)
    whole = scores_of(activations, likeness)
    np.testing.assert_allclose(
        whole[[0, 255, 256, 599]], scores_of(activations[:, [0, 255, 256, 599]], likeness), atol=1e-12
    )


@given(seed=st.integers(0, 50), order=st.permutations(range(7)))
def test_permuting_the_neurons_permutes_their_names(seed, order):
    activations, likeness = drawn(seed)
    names = [one.name for one in name_neurons(scores_of(activations, likeness), WORDS)]
    moved = [one.name for one in name_neurons(scores_of(activations[:, list(order)], likeness), WORDS)]
    assert moved == [names[index] for index in order]


@given(seed=st.integers(0, 50), order=st.permutations(range(len(WORDS))))
def test_the_order_of_the_words_does_not_matter(seed, order):
    activations, likeness = drawn(seed)
    names = name_neurons(scores_of(activations, likeness), WORDS)
    moved = name_neurons(scores_of(activations, likeness[:, list(order)]), [WORDS[index] for index in order])
    assert [(one.name, round(one.score, 9)) for one in moved] == [(one.name, round(one.score, 9)) for one in names]


@given(seed=st.integers(0, 50), factor=st.floats(0.1, 100), offset=st.floats(-5, 5))
def test_the_scale_of_a_neuron_and_the_range_of_a_guide_do_not_matter(seed, factor, offset):
    activations, likeness = drawn(seed)
    scores = scores_of(activations, likeness)
    np.testing.assert_allclose(scores_of(activations * factor, likeness * 0.3 + offset), scores, atol=1e-6)
    assert np.abs(scores).max() <= 1 + 1e-9


def test_a_text_of_the_vocabulary_scores_in_a_search_as_it_does_in_the_names():
    activations, likeness = drawn(4)
    alone = word_scores(activations, word_presence(likeness[:, [2]], vocabulary=likeness))
    np.testing.assert_allclose(alone[:, 0], scores_of(activations, likeness)[:, 2], atol=1e-12)


def test_inputs_are_left_alone():
    activations, likeness = drawn(2)
    before = activations.copy(), likeness.copy()
    scores_of(activations, likeness)
    np.testing.assert_array_equal(activations, before[0])
    np.testing.assert_array_equal(likeness, before[1])


@pytest.mark.parametrize("words", [("sea", "sky", "sea", "snow"), ("sea",)])
def test_words_that_do_not_fit_are_refused(words):
    with pytest.raises(SettingsError, match="vocabulary"):
        name_neurons(np.zeros((3, len(words))), words)


@pytest.mark.parametrize(
    ("activations", "likeness", "message"),
    [
        (np.zeros((3, 2)), np.zeros((4, 2)), "same pictures, got 3 and 4"),
        (np.zeros((3, 2)), np.full((3, 2), np.nan), "expected finite likeness"),
        (np.zeros(3), np.zeros((3, 2)), "expected finite activations"),
        (np.zeros((0, 2)), np.zeros((0, 2)), "a row for each picture"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(activations, likeness, message):
    with pytest.raises(FeaturesError, match=message):
        scores_of(activations, likeness)


def test_scores_of_other_words_are_refused():
    with pytest.raises(FeaturesError, match=r"scores of 4 words .* \(2, 3\)"):
        name_neurons(np.zeros((2, 3)), WORDS)


def test_a_vocabulary_of_other_pictures_is_refused():
    with pytest.raises(FeaturesError, match="got 3 and 2"):
        word_presence(np.zeros((3, 1)), vocabulary=np.zeros((2, 2)))
