"""A trail and a registry in memory, and figures that every default rule lets pass."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from neuroinspect.errors import ModelSpecError, PromotionConflictError, PromotionError
from neuroinspect.promotion import Answer, Policy, Promotion, Promotions, Version

NAME = "birds"
_GAINS = {"worst_class": 0.3, "class_auroc": 0.05, "average": 0.02}
BASE = Version(NAME, 1, "baseline", layer="a" * 64, fingerprint="base", data_version="dvc:one")
EDIT = Version(
    NAME,
    2,
    "edit",
    layer="b" * 64,
    fingerprint="edited",
    parent_fingerprint="base",
    parent_version=1,
    data_version="dvc:one",
    method="cue_erasure",
    class_name="fish",
    classes=2,
    pictures="manifest:m",
    run="r",
    metrics_hash="c" * 64,
    request="q",
    review="approved",
    reviewer="ada",
    unverified=False,
    neurons=(3, 17),
)
APPROVED = Answer(
    "approved", "ada", unverified=False, neurons=(17, 3), model="base", pictures="manifest:m", class_name="fish"
)


def metrics() -> dict[str, Any]:
    """Cue erasure helps beyond its controls; the bias shift raises accuracy alone."""
    differences = [
        {"name": "cue_erasure", "against": against, "metric": metric, "value": gain, "low": gain / 2, "high": 2 * gain}
        for against in ("original", "retrain", "placebo")
        for metric, gain in _GAINS.items()
    ]
    for metric, gain in (("worst_class", 0.25), ("class_auroc", 0.0), ("average", 0.01)):
        row = {"name": "bias", "against": "original", "metric": metric, "value": gain, "low": gain / 2, "high": gain}
        differences.append(row)
    accuracy = {
        "original": {"fish": 0.4, "boat": 0.95},
        "cue_erasure": {"fish": 0.7, "boat": 0.94},
        "bias": {"fish": 0.65, "boat": 0.85},
    }
    rows = [
        {"name": name, "per_class": {cell: {"value": value} for cell, value in cells.items()}}
        for name, cells in accuracy.items()
    ]
    return {"splits": {"judge": {"rows": rows, "differences": differences}}}


def difference(found: Mapping[str, Any], metric: str, against: str, *, name: str = "cue_erasure") -> dict[str, Any]:
    """One difference of what `metrics` gives, to be changed."""
    rows = found["splits"]["judge"]["differences"]
    return next(one for one in rows if (one["name"], one["metric"], one["against"]) == (name, metric, against))


@dataclass
class Book:
    """A PromotionBook in memory."""

    entries: list[Promotion] = field(default_factory=list)
    answers: dict[str, Answer] = field(
        default_factory=lambda: {"q": APPROVED, "later": replace(APPROVED, model="edited")}
    )

    def models(self) -> list[str]:
        return sorted({one.model for one in self.entries})

    def trail(self, model: str) -> list[Promotion]:
        return [one for one in self.entries if one.model == model]

    def append(self, entry: Promotion) -> Promotion:
        if entry.number != len(self.trail(entry.model)) + 1:
            raise PromotionConflictError(self.trail(entry.model)[-1].told())
        kept = replace(entry, at=datetime(2026, 3, 4, tzinfo=UTC))
        self.entries.append(kept)
        return kept

    def answer(self, request: str) -> Answer | None:
        return self.answers.get(request)


@dataclass
class Shelf:
    """A VersionShelf in memory; `before_pointing` is called before an alias is moved."""

    versions: dict[int, Version]
    found: Any = None
    aliases: dict[str, int] = field(default_factory=dict)
    before_pointing: Callable[[], None] = lambda: None

    def version(self, name: str, which: str) -> Version:
        number = int(which) if which.isdecimal() else self.aliases.get(which)
        if number is None or number not in self.versions:
            raise ModelSpecError(f"there is no {which}")
        return self.versions[number]

    def metrics(self, version: Version) -> Any:
        if self.found is None:
            raise PromotionError("it was changed since")
        return self.found

    def pointed(self, name: str) -> dict[str, int]:
        return dict(self.aliases)

    def point(self, name: str, aliases: Mapping[str, int | None]) -> dict[str, int]:
        self.before_pointing()
        known = dict(self.aliases)
        for alias, number in aliases.items():
            self.aliases.pop(alias, None)
            if number is not None:
                self.aliases[alias] = number
        return known


def desk(
    *edits: Version, found: Any = None, policy: Policy | None = None, first: bool = True
) -> tuple[Promotions, Book, Shelf]:
    """A desk with a champion, and versions beside it."""
    versions: Sequence[Version] = (BASE, *(edits or (EDIT,)))
    book, shelf = Book(), Shelf({one.number: one for one in versions}, metrics() if found is None else found)
    made = Promotions(book, shelf, policy or Policy())
    if first:
        made.begin(NAME, "1", by="ada")
    return made, book, shelf
