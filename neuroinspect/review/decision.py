"""What is answered, the rules of an answer, and the rule that stands in for a person.

A decision names only neurons that the request shows, because it rests on what the reviewer saw; `edit_decision_layer` takes any
other neuron.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import Field

from neuroinspect.errors import ReviewError
from neuroinspect.review.question import Neuron, ReviewRequest, check_candidates
from neuroinspect.review.records import Record, parsed
from neuroinspect.review.wording import check_name, check_note

Verdict = Literal["approved", "rejected"]
AUTO = "auto"


class Decision(Record):
    """One answer.

    Attributes:
        request: id of the request it answers.
        neurons: class name -> neurons to edit; empty where rejected.
        strength: how far the edited layer goes from the original (0) to the edit in full (1); 1 where rejected.
        by: who decided.
        rule: in words, the rule that chose; None where a person did.
        unverified: no person looked at it; promotion refuses such a decision.
    """

    request: str
    verdict: Verdict
    neurons: Mapping[str, tuple[Neuron, ...]]
    strength: float = Field(default=1.0, gt=0, le=1, strict=True)
    by: str
    rule: str | None = None
    note: str = ""
    unverified: bool = False

    @property
    def chosen(self) -> tuple[int, ...]:
        """The neurons to edit, without their class; empty where rejected."""
        return tuple(neuron for given in self.neurons.values() for neuron in given)

    def record(self) -> dict[str, Any]:
        """What decision.json holds."""
        return self.model_dump(mode="json")


def parse_decision(record: Mapping[str, Any]) -> Decision:
    """Read what decision.json holds.

    Raises:
        ReviewError: it is not a decision.
    """
    return parsed(Decision, record)


def decide(
    request: ReviewRequest,
    *,
    verdict: Verdict,
    neurons: Mapping[str, Sequence[int]],
    by: str,
    strength: float = 1.0,
    note: str = "",
    rule: str | None = None,
    unverified: bool = False,
) -> Decision:
    """Answer a request.

    Args:
        request: the question.
        verdict: "approved" edits the neurons, "rejected" leaves the model as it is.
        neurons: class name -> neurons: the class of the request, only its candidates, none twice; empty where rejected.
        by: who decides.
        strength: how far to go from the original layer (0) to the edit in full (1), 0 < strength <= 1.
        note: why, in the reviewer's own words; a person who rejects says it.
        rule: the rule that chose, where no person did.
        unverified: no person looked at it.

    Raises:
        ReviewError: the answer breaks one of these rules; the message names it.
    """
    chosen = {name: tuple(given) for name, given in neurons.items() if len(given)}
    check_name(by)
    check_note(note)
    if verdict == "rejected" and chosen:
        raise ReviewError("a rejected finding has no neurons; leave them out, or approve")
    if verdict == "rejected" and not (note.strip() or rule or unverified):
        raise ReviewError("a rejection needs a reason: it is all that is kept of the matter")
    if verdict == "rejected" and strength != 1:
        raise ReviewError("a rejected finding has no strength; leave it out, or approve")
    if verdict == "approved" and not chosen:
        raise ReviewError("an approved finding needs at least one neuron; name them, or reject")
    check_strength(strength)
    for name, given in chosen.items():
        if name != request.class_name:
            raise ReviewError(f"the review is about class {request.class_name!r}, the decision about {name!r}")
        check_candidates(request, given)
    return Decision(
        request=request.id,
        verdict=verdict,
        neurons=chosen,
        strength=strength,
        by=by,
        rule=rule,
        note=note,
        unverified=unverified,
    )


def check_strength(strength: float) -> None:
    """Refuse a strength that is not above 0 and at most 1.

    Raises:
        ReviewError: it is not.
    """
    if isinstance(strength, bool) or not isinstance(strength, int | float) or not 0 < strength <= 1:
        raise ReviewError(f"a strength is a number above 0 and at most 1, the edit in full; got {str(strength)[:40]}")


def auto_decision(request: ReviewRequest, *, count: int) -> Decision:
    """Answer by rule: the `count` neurons most often insufficient, by vote share.

    Neurons that are insufficient for some mistakes and excessive for others ("both") take part. Among equal shares the
    lower neuron number comes first. The decision is unverified; without an insufficient neuron it is a rejection.
    """
    eligible = [candidate for candidate in request.candidates if candidate.direction != "excessive"]
    eligible.sort(key=lambda candidate: (-candidate.vote_share, candidate.neuron))
    chosen = [candidate.neuron for candidate in eligible[:count]]
    rule = f"auto: the top {count} insufficient neurons (those of both directions included) by vote share"
    if not chosen:
        rule += "; there is none, so nothing is edited"
    return decide(
        request,
        verdict="approved" if chosen else "rejected",
        neurons={request.class_name: chosen},
        by=AUTO,
        rule=rule,
        unverified=True,
    )
