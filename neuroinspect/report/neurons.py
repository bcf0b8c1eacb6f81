"""The neuron cards: what each neuron looks like, what it fires on, and what is known about it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pandas as pd

from neuroinspect.report.material import Material
from neuroinspect.report.pictures import InlinePicture, inline_picture
from neuroinspect.report.words import NOTHING, number, percent

_ILLUSION_SIDE: Final = 256
_REAL_SIDE: Final = 128
_MOST_REAL: Final = 6
_VOTES: Final = (("insufficient", "had it too weak"), ("excessive", "had it too strong"))
_DIRECTIONS: Final = {
    "insufficient": "must rise",
    "excessive": "must fall",
    "both": "in both lists: must rise in some mistakes, fall in others",
}


@dataclass(frozen=True, slots=True)
class Shown:
    """A picture with its caption and what a screen reader says; the picture is None where its file cannot be read."""

    picture: InlinePicture | None
    caption: str
    alt: str


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


@dataclass(frozen=True, slots=True)
class NeuronCard:
    """One neuron.

    Attributes:
        group: "insufficient" or "excessive", the list it is shown in.
        direction: what has to happen to it, in words.
        word: what tells best when it fires, as the text guide sees real photos; "" where that is not known.
        unreached: note on an illusion that stayed under what real photos reach; "" otherwise.
    """

    neuron: int
    group: str
    direction: str
    word: str
    chosen: bool
    synthetic: tuple[Shown, ...]
    real: tuple[Shown, ...]
    votes: tuple[Vote, ...]
    facts: tuple[Fact, ...]
    unreached: str


def neuron_cards(material: Material) -> dict[str, list[NeuronCard]]:
    """A card for each drawn neuron, grouped by the list it stands in, in the order of their votes."""
    cards: dict[str, list[NeuronCard]] = {"insufficient": [], "excessive": []}
    if material.illusions.empty or material.visualized is None:
        return cards
    of_class = material.illusions[material.illusions["class"] == material.class_name]
    names = _names(material)
    for row in of_class.sort_values(["rank", "neuron"]).drop_duplicates("neuron").to_dict("records"):
        known = {**_known(material.neurons, row), **names.get(row["neuron"], {})}
        card = _card(material, {str(key): value for key, value in {**known, **row}.items()}, material.visualized)
        cards[card.group].append(card)
    return cards


def ranking(material: Material) -> list[tuple[str, ...]]:
    """Lines of the table of all ranked neurons: neuron, word, direction, rank, the two vote shares, weight, ratio, gap."""
    lines, names = [], _names(material)
    for row in material.neurons.to_dict("records"):
        lines.append(
            (
                str(row["neuron"]),
                _word(names.get(row["neuron"], {})) or NOTHING,
                "both" if row["direction"] == "both" else str(row["direction"]),
                str(row["rank"]),
                *(percent(_known_value(row, f"vote_share_{direction}"), digits=0) for direction, _ in _VOTES),
                *(number(_known_value(row, name)) for name in ("weight", "probability_ratio", "activation_gap")),
            )
        )
    return lines


def _names(material: Material) -> dict[int, dict[str, Any]]:
    """Neuron to its line in the table of names."""
    lines = material.names.to_dict("records")
    return {int(line["neuron"]): {str(key): value for key, value in line.items()} for line in lines}


def _word(row: Mapping[str, Any]) -> str:
    name = row.get("text_name")
    return name if isinstance(name, str) else ""


def _known(neurons: pd.DataFrame, row: Mapping[Any, Any]) -> dict[Any, Any]:
    if neurons.empty:
        return {}
    found = neurons[(neurons["class"] == row["class"]) & (neurons["neuron"] == row["neuron"])]
    return {} if found.empty else dict(found.iloc[0].to_dict())


def _card(material: Material, row: Mapping[str, Any], folder: Path) -> NeuronCard:
    neuron = int(row["neuron"])
    shares = {direction: _known_value(row, f"vote_share_{direction}") for direction, _ in _VOTES}
    in_both = row["direction"] == "both"
    group = str(row["direction"])
    if in_both:
        group = "excessive" if (shares["excessive"] or 0.0) > (shares["insufficient"] or 0.0) else "insufficient"
    return NeuronCard(
        neuron=neuron,
        group=group,
        direction=_DIRECTIONS[str(row["direction"])],
        word=_word(row),
        chosen=neuron in material.chosen,
        synthetic=_synthetic(row, folder),
        real=_real(material.real, row, folder),
        votes=_votes(row, shares, group=group, in_both=in_both),
        facts=_facts(row),
        unreached=_unreached(row),
    )


def _synthetic(row: Mapping[str, Any], folder: Path) -> tuple[Shown, ...]:
    neuron, name = row["neuron"], row["class"]
    kinds = (
        ("picture", "Illusion", f"Picture synthesised for neuron {neuron} inside the class {name}"),
        ("mask", "Its own pixels", f"The same picture, dimmed where neuron {neuron} does not look"),
        ("feature_visualization", "Neuron alone", f"Picture synthesised for neuron {neuron} alone"),
    )
    shown = []
    for column, caption, alt in kinds:
        file = row.get(column)
        if isinstance(file, str) and file:
            shown.append(Shown(inline_picture(folder / file, side=_ILLUSION_SIDE), caption, alt))
    return tuple(shown)


def _real(table: pd.DataFrame, row: Mapping[str, Any], folder: Path) -> tuple[Shown, ...]:
    if table.empty:
        return ()
    rows = table[(table["class"] == row["class"]) & (table["neuron"] == row["neuron"])].sort_values("rank")
    shown = []
    for photo in rows.head(_MOST_REAL).to_dict("records"):
        label, called = str(photo["label"]), str(photo["prediction"])
        caption = label if label == called else f"{label} → {called}"
        told = "called right" if label == called else f"called {called}"
        fired = number(float(photo["activation"]), digits=2)
        alt = f"Real photo of {label}, {told}, activation {fired}, bright where the neuron looks"
        shown.append(Shown(inline_picture(folder / str(photo["picture"]), side=_REAL_SIDE), caption, alt))
    return tuple(shown)


def _votes(
    row: Mapping[str, Any], shares: Mapping[str, float | None], *, group: str, in_both: bool
) -> tuple[Vote, ...]:
    votes = []
    for direction, words in _VOTES:
        share = shares[direction]
        if share is None and direction == group:
            share = _known_value(row, "vote_share")
        if share is not None and (in_both or direction == group):
            votes.append(
                Vote(f"of the mistakes {words}", percent(share, digits=0), round(100 * min(max(share, 0.0), 1.0), 1))
            )
    return tuple(votes)


def _facts(row: Mapping[str, Any]) -> tuple[Fact, ...]:
    ratio, p95 = _known_value(row, "probability_ratio"), _known_value(row, "real_p95")
    facts = [
        Fact("Weight", number(_known_value(row, "weight")), ""),
        Fact("Probability ratio", number(ratio), _spoken(ratio)),
        Fact("Activation gap", number(_known_value(row, "activation_gap")), ""),
        Fact("Core relevance", number(_known_value(row, "core_relevance")), ""),
        Fact(
            "Activation reached",
            number(_known_value(row, "activation"), digits=2),
            f"95 % of real photos: under {number(p95, digits=2)}",
        ),
        Fact("Word", _worded(row), _next_word(row)),
        Fact("Text likeness", number(_known_value(row, "guide_similarity")), ""),
    ]
    return tuple(fact for fact in facts if fact.value != NOTHING)


def _worded(row: Mapping[str, Any]) -> str:
    score = _known_value(row, "text_name_score")
    return f"{_word(row)} {number(score, digits=2)}" if _word(row) else NOTHING


def _next_word(row: Mapping[str, Any]) -> str:
    name, score = row.get("runner_up"), _known_value(row, "runner_up_score")
    return f"then {name} {number(score, digits=2)}" if isinstance(name, str) and name else ""


def _spoken(ratio: float | None) -> str:
    if ratio is None or abs(ratio - 1) < 5e-4:
        return "speaks neither way"
    return "speaks for the class" if ratio > 1 else "speaks against it"


def _unreached(row: Mapping[str, Any]) -> str:
    if bool(row.get("reached", True)):
        return ""
    return "Not reached: the illusion excites this neuron less than real photos do. Trust the real photos more."


def _known_value(row: Mapping[Any, Any], key: str) -> float | None:
    value = row.get(key)
    return None if value is None or pd.isna(value) else float(value)
