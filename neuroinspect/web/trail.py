"""The trail of a review as a person reads it: who did what when, on which model, data and run."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from pydantic import BaseModel

from neuroinspect.review import Decision, TrailEntry
from neuroinspect.web.times import moment
from neuroinspect.web.wording import listed, named, of_strength, visible

PIPELINE: Final = "the pipeline"
_SHORT: Final = 12


class Origin(BaseModel):
    """A hash or version, whole and as it is shown."""

    whole: str
    shown: str


class TrailLine(BaseModel):
    """One thing that happened.

    Attributes:
        at: when, with its zone; `moment` is the same as it is shown.
        by: who; the pipeline where no person did.
        what: as the store calls it.
        sentence: what happened, in words.
        note: what the person wrote; "" where nothing.
        model, data, run: what it happened on.
    """

    at: datetime
    moment: str
    by: str
    what: str
    sentence: str
    note: str
    model: Origin
    data: Origin
    run: Origin

    @property
    def origins(self) -> tuple[str, str, str]:
        """What it happened on, whole."""
        return self.model.whole, self.data.whole, self.run.whole


def trail_lines(entries: Sequence[TrailEntry]) -> list[TrailLine]:
    """The trail in words, in its own order."""
    return [
        TrailLine(
            at=entry.at,
            moment=moment(entry.at),
            by=entry.by or PIPELINE,
            what=entry.what,
            sentence=_sentence(entry),
            note=_note(entry),
            model=_origin(entry.model),
            data=_origin(entry.data_version),
            run=_origin(entry.run_hash),
        )
        for entry in entries
    ]


def decided(decision: Decision) -> str:
    """A decision in words."""
    if decision.verdict == "rejected":
        return "rejected the finding; nothing is edited"
    classes = ", ".join(map(named, decision.neurons))
    return f"approved the edit of {listed(decision.chosen)} of class {classes} {of_strength(decision.strength)}"


def _sentence(entry: TrailEntry) -> str:
    detail = entry.detail or {}
    if entry.decision is not None and entry.what in _DECISIONS:
        return f"{_DECISIONS[entry.what]}{decided(entry.decision)}"
    if entry.what == "judged":
        return f"judged neuron {detail.get('neuron')}: {_verdict(detail)}"
    if entry.what == "undone":
        return f"took back the last verdict; neuron {detail.get('neuron')} is {_verdict(detail)} again"
    if entry.what == "edited":
        return f"finished: {visible(str(detail.get('outcome', '')))}"
    return _OTHERS.get(entry.what, entry.what)


_DECISIONS: Final[Mapping[str, str]] = {
    "decided": "",
    "adopted": "took over a decision found in a run folder, which nobody can vouch for: ",
    "replaced": "replaced the decision: ",
}
_OTHERS: Final[Mapping[str, str]] = {
    "opened": "asked which neurons the class should not rest on",
    "reopened": "asked again, after nobody had answered in time",
}


def _verdict(detail: Mapping[str, Any]) -> str:
    return str(detail.get("verdict") or "without a verdict")


def _note(entry: TrailEntry) -> str:
    if entry.decision is not None and entry.what in _DECISIONS:
        return entry.decision.note
    return str((entry.detail or {}).get("note") or "")


def _origin(text: str) -> Origin:
    kind, _, value = text.rpartition(":")
    short = f"{value[:_SHORT]}…" if len(value) > _SHORT else value
    return Origin(whole=text, shown=f"{kind}:{short}" if kind else short)
