"""The neuron cards: what each neuron looks like, what it fires on, and what is known about it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pandas as pd

from neuroinspect.report.material import Material
from neuroinspect.report.neuron_facts import (
    DIRECTIONS,
    VOTES,
    Fact,
    Vote,
    facts_of,
    known_value,
    list_of,
    unreached_note,
    votes_of,
    word_of,
)
from neuroinspect.report.pictures import InlinePicture, inline_picture
from neuroinspect.report.words import NOTHING, number, percent

_ILLUSION_SIDE: Final = 256
_REAL_SIDE: Final = 128
_MOST_REAL: Final = 6


@dataclass(frozen=True, slots=True)
class Shown:
    """A picture with its caption and what a screen reader says; the picture is None where its file cannot be read."""

    picture: InlinePicture | None
    caption: str
    alt: str


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
                word_of(names.get(row["neuron"], {})) or NOTHING,
                "both" if row["direction"] == "both" else str(row["direction"]),
                str(row["rank"]),
                *(percent(known_value(row, f"vote_share_{direction}"), digits=0) for direction, _ in VOTES),
                *(number(known_value(row, name)) for name in ("weight", "probability_ratio", "activation_gap")),
            )
        )
    return lines


def _names(material: Material) -> dict[int, dict[str, Any]]:
    """Neuron to its line in the table of names."""
    lines = material.names.to_dict("records")
    return {int(line["neuron"]): {str(key): value for key, value in line.items()} for line in lines}


def _known(neurons: pd.DataFrame, row: Mapping[Any, Any]) -> dict[Any, Any]:
    if neurons.empty:
        return {}
    found = neurons[(neurons["class"] == row["class"]) & (neurons["neuron"] == row["neuron"])]
    return {} if found.empty else dict(found.iloc[0].to_dict())


def _card(material: Material, row: Mapping[str, Any], folder: Path) -> NeuronCard:
    neuron = int(row["neuron"])
    return NeuronCard(
        neuron=neuron,
        group=list_of(row),
        direction=DIRECTIONS[str(row["direction"])],
        word=word_of(row),
        chosen=neuron in material.chosen,
        synthetic=_synthetic(row, folder),
        real=_real(material.real, row, folder),
        votes=votes_of(row),
        facts=facts_of(row),
        unreached=unreached_note(row),
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
