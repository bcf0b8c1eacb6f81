"""What a reviewer thinks of one neuron, said before the decision and kept at once."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final, Literal, get_args

from neuroinspect.errors import ReviewConflictError, ReviewError
from neuroinspect.review.history import TrailEntry
from neuroinspect.review.question import Neuron, ReviewRequest, check_candidates
from neuroinspect.review.records import Record
from neuroinspect.review.wording import check_name, check_note

NeuronVerdict = Literal["spurious", "core", "unclear"]
JUDGED, UNDONE = "judged", "undone"
_NOTHING: Final[dict[str, Any]] = {"verdict": None, "note": "", "by": None, "at": None}


class NeuronJudgement(Record):
    """The verdict on one neuron.

    Attributes:
        neuron: which.
        verdict: "spurious": it carries what the class should not rest on; "core": it belongs to the class; None: none, or taken
            back.
        note: why, in the reviewer's own words.
        by: who said so last.
        at: when; None before it is kept.
    """

    neuron: Neuron
    verdict: NeuronVerdict | None
    note: str = ""
    by: str
    at: datetime | None = None

    def said(self) -> dict[str, Any]:
        """Neuron, verdict and note, as the trail holds them."""
        return self.model_dump(mode="json", include={"neuron", "verdict", "note"})

    def stood(self) -> dict[str, Any]:
        """Verdict and note with who said so and when, as the trail holds what a change takes the place of."""
        return self.model_dump(mode="json", exclude={"neuron"})


def judge(
    request: ReviewRequest, *, neuron: int, verdict: NeuronVerdict | None, by: str, note: str = ""
) -> NeuronJudgement:
    """Say what a neuron is; a verdict of None takes back what was said.

    Raises:
        ReviewError: the neuron is no candidate, the verdict is unknown, or name or note are not plain text.
    """
    check_name(by)
    check_note(note)
    check_candidates(request, [neuron])
    if verdict is not None and verdict not in get_args(NeuronVerdict):
        raise ReviewError(f"a verdict is one of {', '.join(get_args(NeuronVerdict))}; got {verdict!r}")
    return NeuronJudgement(neuron=neuron, verdict=verdict, note=note, by=by)


def selection(judgements: Iterable[NeuronJudgement]) -> list[int]:
    """The neurons with the verdict spurious, ascending: those an edit would be about."""
    return sorted(one.neuron for one in judgements if one.verdict == "spurious")


def change_to_undo(entries: Sequence[TrailEntry], *, by: str) -> TrailEntry | None:
    """The last change of a reviewer that was not undone yet; None where there is none.

    Args:
        entries: the trail of a review, the oldest first.
        by: whose changes.
    """
    changes: list[TrailEntry] = []
    for entry in entries:
        if entry.by == by and entry.what == JUDGED:
            changes.append(entry)
        elif entry.by == by and entry.what == UNDONE and changes:
            changes.pop()
    return changes[-1] if changes else None


def change_of(judgement: NeuronJudgement, standing: NeuronJudgement | None) -> dict[str, Any]:
    """What the trail holds of a change: what is said, and what it takes the place of."""
    return {**judgement.said(), "before": _NOTHING if standing is None else standing.stood()}


def taken_back(change: TrailEntry, standing: NeuronJudgement | None, *, by: str) -> NeuronJudgement:
    """What stands of a neuron when a change is taken back.

    Args:
        change: of `change_to_undo`.
        standing: what is said of its neuron now.
        by: whose change it is.

    Raises:
        ReviewConflictError: somebody else has spoken of the neuron since.
    """
    detail = change.detail or {}
    if standing is not None and standing.by != by:
        raise ReviewConflictError(
            f"{standing.by} has spoken of neuron {standing.neuron} since; say again what you think of it, rather than undo"
        )
    before = detail["before"]
    return NeuronJudgement.model_validate({**before, "neuron": detail["neuron"], "by": before["by"] or by})
