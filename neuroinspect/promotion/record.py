"""The trail of a model: who put which version into service, and which one that leaves there."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

Kind = Literal["first", "promote", "override", "rollback"]


@dataclass(frozen=True, slots=True)
class Promotion:
    """One entry of the trail.

    Attributes:
        model: name of the registered model.
        number: of the entry, from 1 without a gap.
        kind: "first": the untouched model, which nothing judged; "override": against the rules, with a reason.
        before: version of the champion until then; None with the first entry.
        after: version of the champion from then on.
        layer: hash of the version that serves from then on.
        by: who did it.
        reason: in words; None where nobody gave one.
        rules: Rule.record() of each rule that was judged; empty where none was.
        metrics_hash: SHA-256 of the metrics.json that the rules were judged on.
        at: when; None until it is kept.
    """

    model: str
    number: int
    kind: Kind
    before: int | None
    after: int
    layer: str
    by: str
    reason: str | None = None
    rules: tuple[Mapping[str, Any], ...] = ()
    metrics_hash: str | None = None
    at: datetime | None = None

    def told(self) -> str:
        """Who did what, and when."""
        when = "" if self.at is None else f" on {self.at:%Y-%m-%d %H:%M} UTC"
        what = "rolled back to" if self.kind == "rollback" else "promoted"
        return f"{self.by} {what} version {self.after}{when}"


@dataclass(frozen=True, slots=True)
class Standing:
    """What a trail leaves in service.

    Attributes:
        number: of the last entry; 0 where there is none.
        champion: the entry that put the champion into service.
        previous: the entry of the version to which a rollback goes.
    """

    number: int
    champion: Promotion | None
    previous: Promotion | None


def standing(trail: Sequence[Promotion]) -> Standing:
    """What a whole trail, the oldest entry first, leaves in service.

    A promotion lays a version on top, a rollback takes the top away: twice goes back two steps.
    """
    stack: list[Promotion] = []
    for entry in trail:
        if entry.kind == "rollback":
            stack.pop()
        else:
            stack.append(entry)
    return Standing(
        number=trail[-1].number if trail else 0,
        champion=stack[-1] if stack else None,
        previous=stack[-2] if len(stack) > 1 else None,
    )
