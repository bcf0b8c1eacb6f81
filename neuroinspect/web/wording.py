"""Pieces of the page's sentences: neurons, strengths, and names from the data."""

import unicodedata
from collections.abc import Sequence
from typing import Final

_LONGEST: Final = 120
_COMMANDS: Final = frozenset({"Cc", "Cs", "Zl", "Zp"})
_TURNING: Final = frozenset(
    "\u200e\u200f\u061c\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
)  # the direction of what follows
_REPLACEMENT: Final = "\N{REPLACEMENT CHARACTER}"


def visible(text: str) -> str:
    """Text that is what it looks like: marks that turn what follows, and control characters, are shown in their place."""
    return "".join(_REPLACEMENT if _does_something(letter) else letter for letter in text)


def named(text: str) -> str:
    """A name from the data, for the middle of a sentence: one line, visible and not too long."""
    line = visible(" ".join(text.split()))
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}…"


def listed(neurons: Sequence[int]) -> str:
    """`neuron 3`, or `neurons 3, 17 and 20`."""
    numbers = [str(neuron) for neuron in neurons]
    if len(numbers) < 2:
        return f"neuron {''.join(numbers)}" if numbers else "no neuron"
    return f"neurons {', '.join(numbers[:-1])} and {numbers[-1]}"


def of_strength(strength: float) -> str:
    """`at strength 0.5`; the edit in full is said so."""
    return "in full (strength 1)" if strength == 1 else f"at strength {strength:g}"


def _does_something(letter: str) -> bool:
    return letter in _TURNING or (letter != "\n" and unicodedata.category(letter) in _COMMANDS)
