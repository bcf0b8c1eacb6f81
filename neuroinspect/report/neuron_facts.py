"""What is known of one neuron, in words: the same on the report and on the review page."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import pandas as pd

from neuroinspect.report.words import NOTHING, number, percent

VOTES: Final = (("insufficient", "had it too weak"), ("excessive", "had it too strong"))
DIRECTIONS: Final = {
    "insufficient": "must rise",
    "excessive": "must fall",
    "both": "in both lists: must rise in some mistakes, fall in others",
}


@dataclass(frozen=True, slots=True)
class Fact:
    """One figure under a card, with a hint in words."""

    title: str
    value: str
    hint: str


@dataclass(frozen=True, slots=True)
class Vote:
    """Part of the mistakes that had the neuron in their top k, in percent for the bar."""

    title: str
    text: str
    width: float


def known_value(row: Mapping[Any, Any], key: str) -> float | None:
    """A figure of a table's line; None where the table holds none."""
    value = row.get(key)
    return None if value is None or pd.isna(value) else float(value)


def word_of(row: Mapping[str, Any]) -> str:
    """What tells best when the neuron fires; "" where that is not known."""
    name = row.get("text_name")
    return name if isinstance(name, str) else ""


def list_of(row: Mapping[str, Any]) -> str:
    """The list a neuron is shown in, "insufficient" or "excessive"; one that is in both, where it has more votes."""
    if row["direction"] != "both":
        return str(row["direction"])
    too_strong, too_weak = (known_value(row, f"vote_share_{name}") or 0.0 for name in ("excessive", "insufficient"))
    return "excessive" if too_strong > too_weak else "insufficient"


def votes_of(row: Mapping[str, Any]) -> tuple[Vote, ...]:
    """The vote share of the list it stands in; both shares of a neuron that is in both."""
    shown_in, votes = list_of(row), []
    for direction, words in VOTES:
        share = known_value(row, f"vote_share_{direction}")
        if share is None and direction == shown_in:
            share = known_value(row, "vote_share")
        if share is not None and (row["direction"] == "both" or direction == shown_in):
            width = round(100 * min(max(share, 0.0), 1.0), 1)
            votes.append(Vote(f"of the mistakes {words}", percent(share, digits=0), width))
    return tuple(votes)


def facts_of(row: Mapping[str, Any]) -> tuple[Fact, ...]:
    """Every figure that is known of a neuron; `words.NEURON_FIGURES` says what each means.

    Args:
        row: its lines of the tables of neurons, illusions and names, joined.
    """
    ratio, p95 = known_value(row, "probability_ratio"), known_value(row, "real_p95")
    facts = [
        Fact("Weight", number(known_value(row, "weight")), ""),
        Fact("Probability ratio", number(ratio), spoken(ratio)),
        Fact("Activation gap", number(known_value(row, "activation_gap")), ""),
        Fact("Core relevance", number(known_value(row, "core_relevance")), ""),
        Fact(
            "Activation reached",
            number(known_value(row, "activation"), digits=2),
            f"95 % of real photos: under {number(p95, digits=2)}",
        ),
        Fact("Word", _worded(row), _next_word(row)),
        Fact("Text likeness", number(known_value(row, "guide_similarity")), ""),
    ]
    return tuple(fact for fact in facts if fact.value != NOTHING)


def spoken(ratio: float | None) -> str:
    """What a probability ratio says."""
    if ratio is None or abs(ratio - 1) < 5e-4:
        return "speaks neither way"
    return "speaks for the class" if ratio > 1 else "speaks against it"


def unreached_note(row: Mapping[str, Any]) -> str:
    """Note on an illusion that stayed under what real photos reach; "" otherwise."""
    if bool(row.get("reached", True)):
        return ""
    return "Not reached: the illusion excites this neuron less than real photos do. Trust the real photos more."


def _worded(row: Mapping[str, Any]) -> str:
    score = known_value(row, "text_name_score")
    return f"{word_of(row)} {number(score, digits=2)}" if word_of(row) else NOTHING


def _next_word(row: Mapping[str, Any]) -> str:
    name, score = row.get("runner_up"), known_value(row, "runner_up_score")
    return f"then {name} {number(score, digits=2)}" if isinstance(name, str) and name else ""
