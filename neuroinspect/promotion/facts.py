"""What is known of a registered version: its tags, and the figures it was judged by."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

BIAS: Final = "bias"
BASELINE: Final = "baseline"
_SPLIT: Final = "judge"
Kind = Literal["baseline", "edit"]


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a registered model, as its tags describe it; None where a tag is missing.

    Attributes:
        name: of the registered model.
        number: of the version.
        kind: "baseline": the untouched model.
        layer: hash by which the version is found again.
        fingerprint: of the model as it loads.
        parent_fingerprint: of the model that was edited.
        parent_version: the version that was edited, where it is one of the same name.
        data_version: of the pictures it was made and judged on.
        compared_on: of a champion: the data version that candidates are compared on since.
        method: what the decision layer comes from.
        class_name: the class that was debugged.
        classes: how many there are.
        pictures: version of the pictures as its review names them.
        run: the run of MLflow that keeps its figures.
        metrics_hash: SHA-256 of that run's evaluate/metrics.json.
        request: id of the review.
        review: "approved" or "rejected".
        reviewer: who decided.
        unverified: no person looked at the neurons.
        neurons: those that were edited.
    """

    name: str
    number: int
    kind: Kind
    layer: str | None = None
    fingerprint: str | None = None
    parent_fingerprint: str | None = None
    parent_version: int | None = None
    data_version: str | None = None
    compared_on: str | None = None
    method: str | None = None
    class_name: str | None = None
    classes: int | None = None
    pictures: str | None = None
    run: str | None = None
    metrics_hash: str | None = None
    request: str | None = None
    review: str | None = None
    reviewer: str | None = None
    unverified: bool | None = None
    neurons: tuple[int, ...] | None = None

    @property
    def uri(self) -> str:
        """As `model.spec` takes it."""
        return f"models:/{self.name}/{self.number}"

    @property
    def known_on(self) -> str | None:
        """Of a champion: the data version that a candidate must have been judged on."""
        return self.compared_on or self.data_version


def read_version(name: str, number: int, tags: Mapping[str, str], *, layer: str | None) -> Version:
    """A version from its tags."""
    parent, classes = tags.get("parent_version", ""), tags.get("classes", "")
    return Version(
        name=name,
        number=number,
        kind="baseline" if tags.get("kind") == BASELINE else "edit",
        layer=layer,
        fingerprint=tags.get("fingerprint"),
        parent_fingerprint=tags.get("parent_fingerprint"),
        parent_version=int(parent) if parent.isdecimal() else None,
        data_version=tags.get("data_version"),
        compared_on=tags.get("compared_on"),
        method=tags.get("method"),
        class_name=tags.get("class"),
        classes=int(classes) if classes.isdecimal() else None,
        pictures=tags.get("pictures"),
        run=tags.get("run_id"),
        metrics_hash=tags.get("metrics_hash"),
        request=tags.get("request"),
        review=tags.get("review"),
        reviewer=tags.get("reviewer"),
        unverified={"true": True, "false": False}.get(tags.get("unverified", "")),
        neurons=_neurons(tags.get("neurons", "")),
    )


@dataclass(frozen=True, slots=True)
class Answer:
    """The decision that stands on a review, and what was asked.

    Attributes:
        verdict: "approved" or "rejected".
        by: who decided.
        unverified: no person looked at it.
        neurons: to edit.
        model: fingerprint of the model that was asked about.
        pictures: version of the pictures that the reviewer saw.
        class_name: the class that was asked about.
    """

    verdict: str
    by: str
    unverified: bool
    neurons: tuple[int, ...]
    model: str
    pictures: str
    class_name: str


@dataclass(frozen=True, slots=True)
class Difference:
    """A paired difference with its interval, all in -1..1."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Figures:
    """What evaluate/metrics.json says of one decision layer on the split that judges.

    Attributes:
        differences: (metric, against) -> difference; only those that are whole and finite.
        classes: class -> accuracy before and after in 0..1, NaN where one is not known; classes without a picture are one entry.
    """

    differences: Mapping[tuple[str, str], Difference]
    classes: Mapping[str, tuple[float, float]]

    def difference(self, metric: str, *, against: str) -> Difference | None:
        """One of them; None where it is not known."""
        return self.differences.get((metric, against))


NO_FIGURES: Final = Figures({}, {})


def read_figures(metrics: Any, *, method: str | None, classes: int | None) -> Figures:
    """Figures of a layer from what evaluate/metrics.json holds; what is missing or damaged is left out, never guessed.

    Args:
        metrics: the whole file.
        method: name of the layer's row.
        classes: how many there are; metrics.json has only those with a picture.
    """
    split = _mapping(_mapping(_mapping(metrics).get("splits")).get(_SPLIT))
    rows = {row.get("name"): row for row in map(_mapping, _list(split.get("rows")))}
    if method is None or method not in rows:
        return NO_FIGURES
    differences = {}
    for one in map(_mapping, _list(split.get("differences"))):
        if one.get("name") == method:
            found = [_within(one.get(end), -1.0) for end in ("value", "low", "high")]
            if not any(map(math.isnan, found)):
                differences[str(one.get("metric")), str(one.get("against"))] = Difference(*found)
    before, after = (_mapping(_mapping(rows.get(name)).get("per_class")) for name in ("original", method))
    cells = {name: (_accuracy(before.get(name)), _accuracy(after.get(name))) for name in {**before, **after}}
    if cells and classes is None:
        cells["all classes: the version does not say how many there are; run its edit again"] = (math.nan, math.nan)
    elif cells and classes != len(cells):
        cells[f"{classes} classes, of which {len(cells)} have a picture to judge by"] = (math.nan, math.nan)
    return Figures(differences, cells)


def parse_metrics(content: bytes) -> Any:
    """What the file holds; nothing where it is not JSON."""
    try:
        return json.loads(content)
    except ValueError:
        return {}


def _neurons(text: str) -> tuple[int, ...] | None:
    try:
        found = json.loads(text)
    except ValueError:
        return None
    return tuple(found) if isinstance(found, list) and all(isinstance(one, int) for one in found) else None


def _accuracy(cell: Any) -> float:
    return _within(_mapping(cell).get("value"), 0.0)


def _within(value: Any, least: float) -> float:
    """The number, or NaN where it is none that can be."""
    known = isinstance(value, int | float) and not isinstance(value, bool) and least <= value <= 1
    return float(value) if known else math.nan


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
