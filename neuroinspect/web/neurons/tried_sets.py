"""What `neuroinspect suggest` found: sets of candidates whose edit was tried ahead of the review. It decides nothing."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from neuroinspect.report.neuron_facts import known_value
from neuroinspect.report.words import change, method_title, percent

_FIGURES: Final = ("auroc_gain", "worst_class", "average")


@dataclass(frozen=True, slots=True)
class Tries:
    """What was tried with one neuron.

    Attributes:
        gain: class AUROC of the edit of this neuron alone, above that of random neurons; None where it was not tried alone.
        alone: the same in words; "" where it was not.
        in_best: it belongs to the best set, or to one that came out equal.
        best: that set, in words; "" where it does not.
    """

    gain: float | None
    alone: str
    in_best: bool
    best: str

    @property
    def gain_text(self) -> str:
        """The gain with its sign."""
        return change("class_auroc", self.gain)


class TriedSets:
    """The sets of suggest/suggest.json, the best first.

    Args:
        record: what the file holds; None where nothing was tried.
    """

    def __init__(self, record: Mapping[str, Any] | None) -> None:
        self._sets = [] if record is None else list(record.get("sets", ()))
        self._original = {} if record is None else dict(record.get("original", {}))
        self.method = "" if record is None else method_title(str(record.get("method", "")))
        first = self._sets[0] if self._sets and self._helps(self._sets[0]) else None
        self._best = [] if first is None else [one for one in self._sets if _figures(one) == _figures(first)]

    def __len__(self) -> int:
        return len(self._sets)

    def of(self, neuron: int) -> Tries | None:
        """What was tried with a neuron; None where it stands in no set."""
        alone = next((one for one in self._sets if list(one["neurons"]) == [neuron]), None)
        best = next((one for one in self._best if neuron in one["neurons"]), None)
        if alone is None and best is None:
            return None
        return Tries(
            gain=None if alone is None else known_value(alone, "auroc_gain"),
            alone="" if alone is None else self._in_words(alone),
            in_best=best is not None,
            best="" if best is None else ", ".join(map(str, best["neurons"])),
        )

    def _in_words(self, one: Mapping[str, Any]) -> str:
        parts = [f"class AUROC {change('class_auroc', known_value(one, 'auroc_gain'))} over random neurons"]
        before, after = known_value(self._original, "worst_class"), known_value(one, "worst_class")
        if before is not None and after is not None:
            parts.append(f"worst class {percent(before)} → {percent(after)}")
        return ", ".join(parts)

    @staticmethod
    def _helps(one: Mapping[str, Any]) -> bool:
        return bool(one.get("eligible")) and (known_value(one, "auroc_gain") or 0.0) > 0


def _figures(one: Mapping[str, Any]) -> tuple[float | None, ...]:
    return tuple(known_value(one, name) for name in _FIGURES)
