"""The mistakes of the class: what they were called, and some of them to look at."""

from collections import defaultdict
from dataclasses import dataclass
from typing import Any, Final

import pandas as pd

from neuroinspect.report.material import Material
from neuroinspect.report.pictures import InlinePicture, inline_picture
from neuroinspect.report.words import percent

_SIDE: Final = 128
_MOST_BARS: Final = 8


@dataclass(frozen=True, slots=True)
class ShownMistake:
    """One misclassified picture; None where its file cannot be read."""

    picture: InlinePicture | None
    label: str
    prediction: str


@dataclass(frozen=True, slots=True)
class Mistakes:
    """The mistakes of the class under study.

    Attributes:
        sentence: how many of how many.
        counts: (class they were called, how many), largest first, the rest gathered in "other classes".
        groups: (group, how many), largest first; empty where no group is known.
        shown: some of them, each predicted class in turn.
    """

    sentence: str
    counts: tuple[tuple[str, int], ...]
    groups: tuple[tuple[str, int], ...]
    shown: tuple[ShownMistake, ...]


def mistakes_of(material: Material) -> Mistakes | None:
    """What the page shows of the mistakes; None where there is none."""
    table = material.mistakes
    if table.empty:
        return None
    size, accuracy = material.diagnosis.get("class_size"), material.diagnosis.get("class_accuracy")
    verb = "was" if len(table) == 1 else "were"
    sentence = f"{len(table):,} mistake{'' if len(table) == 1 else 's'} on pictures of {material.class_name}"
    if size is not None and accuracy is not None:
        sentence = (
            f"{len(table):,} of {size:,} pictures of {material.class_name} {verb} called something else "
            f"(accuracy {percent(accuracy)})"
        )
    counts = _counts(table["prediction"])
    if len(counts) > _MOST_BARS:
        rest = sum(count for _, count in counts[_MOST_BARS - 1 :])
        counts = [*counts[: _MOST_BARS - 1], ("other classes", rest)]
    groups = _counts(table["group"].dropna()) if "group" in table else []
    chosen = _in_turn(table)[: material.params.report.mistakes_shown]
    shown = [
        ShownMistake(
            inline_picture(material.data_root / str(row["path"]), side=_SIDE), str(row["label"]), str(row["prediction"])
        )
        for row in chosen
    ]
    return Mistakes(sentence + ".", tuple(counts), tuple(groups), tuple(shown))


def _counts(column: "pd.Series[Any]") -> list[tuple[str, int]]:
    counts = column.astype(str).value_counts()
    return sorted(((str(name), int(count)) for name, count in counts.items()), key=lambda item: (-item[1], item[0]))


def _in_turn(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Mistakes in the order of their paths, one of each predicted class in turn, the most frequent class first."""
    queues: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in table.sort_values("path").to_dict("records"):
        queues[str(row["prediction"])].append({str(key): value for key, value in row.items()})
    ranked = [queues[name] for name, _ in _counts(table["prediction"])]
    longest = max(map(len, ranked))
    return [queue[turn] for turn in range(longest) for queue in ranked if turn < len(queue)]
