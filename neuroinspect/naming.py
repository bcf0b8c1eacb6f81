"""Names for neurons: which word tells best when a neuron fires?

A word is present in a picture as far as the picture is more like the word than other pictures are, and more so than for other
words; a neuron's score for the word is the correlation of how strongly it fires with how present the word is, over all
pictures.

Reference: Oikarinen & Weng 2023, "CLIP-Dissect", which weighs the top pictures only (soft-WPMI). On the embedded scenario the
rule here names the background of cue neurons more often (benchmarks/neuron_names.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neuroinspect.errors import FeaturesError
from neuroinspect.wordlists import refuse_unfit_words

Floats = NDArray[np.float64]
# In standard deviations of likeness: what a word must be over the others to count as present at all.
_PRESENT = 0.5
_BLOCK = 256


@dataclass(frozen=True, slots=True)
class NeuronName:
    """What a neuron is called.

    Attributes:
        name: the best word; None for a neuron that never fires, or always alike.
        score: of the word, a correlation in [-1, 1].
        runner_up: the second word.
        runner_up_score: its score.
    """

    name: str | None
    score: float
    runner_up: str | None
    runner_up_score: float


def word_presence(likeness: NDArray[np.floating], *, vocabulary: NDArray[np.floating] | None = None) -> Floats:
    """How clearly each word is present in each picture.

    Cosines of one guide differ by word and by picture (some words are like everything, some pictures like nothing); both
    are taken out before anything is compared.

    Args:
        likeness: (N, T), cosine of each picture and each word.
        vocabulary: (N, V), cosines of the words that stand for all others; None: `likeness` itself.

    Returns:
        (N, T), 0 where the word is not clearly present.

    Raises:
        FeaturesError: another shape, or values that are not finite.
    """
    values, others = _checked(likeness, "likeness"), likeness if vocabulary is None else vocabulary
    typical = _standardised(_checked(others, "vocabulary")).mean(1, keepdims=True)
    if len(values) != len(typical):
        raise FeaturesError(
            f"expected likeness and vocabulary of the same pictures, got {len(values)} and {len(typical)}"
        )
    presence: Floats = np.maximum(_standardised(values) - typical - _PRESENT, 0.0)
    return presence


def word_scores(activations: NDArray[np.floating], presence: Floats) -> Floats:
    """Correlation of how far each neuron fires above its mean with the presence of each word.

    Args:
        activations: (N, F), of the same pictures as the presence.
        presence: (N, T), from `word_presence`.

    Returns:
        (F, T), in [-1, 1]; 0 for a neuron or a word that is the same in all pictures.

    Raises:
        FeaturesError: another shape, values that are not finite, or not the same pictures.
    """
    fired, present = _checked(activations, "activations"), _checked(presence, "presence")
    if len(fired) != len(present):
        raise FeaturesError(
            f"expected activations and presence of the same pictures, got {len(fired)} and {len(present)} rows"
        )
    words = _standardised(present)
    scores = np.empty((fired.shape[1], present.shape[1]))
    for start in range(0, len(scores), _BLOCK):  # a copy in float64 of all neurons would be large
        neurons = _standardised(np.maximum(_standardised(fired[:, start : start + _BLOCK]), 0.0))
        scores[start : start + _BLOCK] = neurons.T @ words / len(words)
    return scores


def name_neurons(scores: Floats, words: Sequence[str]) -> list[NeuronName]:
    """The best and the second word of each neuron; of equal ones the first of the list.

    Args:
        scores: (F, T), from `word_scores`.
        words: T different words, at least two.

    Returns:
        F names, in the order of the neurons.

    Raises:
        SettingsError: a word is there twice, or there is only one.
        FeaturesError: not one score for each word.
    """
    refuse_unfit_words(words, source="the vocabulary")
    if scores.ndim != 2 or scores.shape[1] != len(words):
        raise FeaturesError(f"expected scores of {len(words)} words for each neuron (F, T), got {scores.shape}")
    first, second = np.argsort(-scores, axis=1, kind="stable")[:, :2].T
    return [
        _named(row, words, int(best), int(next_best))
        for row, best, next_best in zip(scores, first, second, strict=True)
    ]


def _named(row: Floats, words: Sequence[str], best: int, next_best: int) -> NeuronName:
    if not row.any():
        return NeuronName(None, 0.0, None, 0.0)
    return NeuronName(words[best], float(row[best]), words[next_best], float(row[next_best]))


def _checked(values: NDArray[np.floating], name: str) -> NDArray[np.floating]:
    array = np.asarray(values)
    if array.ndim != 2 or not len(array) or not np.isfinite(array).all():
        raise FeaturesError(
            f"expected finite {name} with a row for each picture, got shape {array.shape}; correct them"
        )
    return array


def _standardised(values: NDArray[np.floating]) -> Floats:
    """Columns with mean 0 and standard deviation 1; 0 where a column is the same everywhere."""
    array = np.asarray(values, dtype=np.float64)
    centred = array - array.mean(0)
    spread = array.std(0)
    still = np.ptp(array, axis=0) == 0  # asked of the values: rounding leaves a little spread on a constant column
    standardised: Floats = np.divide(centred, spread, out=np.zeros_like(centred), where=~still)
    return standardised
