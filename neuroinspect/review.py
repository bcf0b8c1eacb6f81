"""The review between finding and editing: what is asked, what may be answered, and the rule that stands in for a person.

Page, command line and flow all decide through `decide`, so the same rules hold everywhere. A decision names only neurons
that the request shows, because it rests on what the reviewer saw; `edit_decision_layer` takes any other neuron.
"""

import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from neuroinspect.artifacts import content_hash
from neuroinspect.errors import ReviewError

Direction = Literal["insufficient", "excessive", "both"]
Verdict = Literal["approved", "rejected"]
AUTO = "auto"
_LONGEST_NAME, _LONGEST_NOTE = 200, 10_000
_TURNING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")  # the direction of what follows
AnyRecord = TypeVar("AnyRecord", bound="_Record")


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class Candidate(_Record):
    """One neuron put before the reviewer; vote_share in [0, 1]."""

    neuron: int = Field(ge=0)
    direction: Direction
    vote_share: float = Field(ge=0, le=1)


class ReviewRequest(_Record):
    """One question: which of these neurons carry what the model should not rely on in this class?

    Attributes:
        id: hash of everything below, so that the same finding never asks twice.
        model: fingerprint of the classifier.
        data_version: version of the data the finding comes from.
    """

    id: str
    class_name: str = Field(alias="class")
    class_index: int = Field(ge=0)
    candidates: tuple[Candidate, ...]
    model: str
    data_version: str

    def record(self) -> dict[str, Any]:
        """What request.json holds."""
        return self.model_dump(mode="json", by_alias=True)


class Decision(_Record):
    """One answer.

    Attributes:
        request: id of the request it answers.
        neurons: class name -> neurons to edit; empty where rejected.
        by: who decided.
        rule: in words, the rule that chose; None where a person did.
        unverified: no person looked at it; promotion refuses such a decision.
    """

    request: str
    verdict: Verdict
    neurons: Mapping[str, tuple[int, ...]]
    by: str
    rule: str | None = None
    note: str = ""
    unverified: bool = False

    def record(self) -> dict[str, Any]:
        """What decision.json holds."""
        return self.model_dump(mode="json")


def open_request(
    candidates: Sequence[Candidate], *, class_name: str, class_index: int, model: str, data_version: str
) -> ReviewRequest:
    """Make the request for one class; equal content gives an equal id."""
    asked = {
        "class": class_name,
        "class_index": class_index,
        "candidates": [candidate.model_dump(mode="json") for candidate in candidates],
        "model": model,
        "data_version": data_version,
    }
    return ReviewRequest.model_validate({"id": content_hash(asked), **asked})


def parse_request(record: Mapping[str, Any]) -> ReviewRequest:
    """Read what request.json holds.

    Raises:
        ReviewError: it is not a review request.
    """
    return _parsed(ReviewRequest, record)


def parse_decision(record: Mapping[str, Any]) -> Decision:
    """Read what decision.json holds.

    Raises:
        ReviewError: it is not a decision.
    """
    return _parsed(Decision, record)


def decide(
    request: ReviewRequest,
    *,
    verdict: Verdict,
    neurons: Mapping[str, Sequence[int]],
    by: str,
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
        note: why, in the reviewer's own words.
        rule: the rule that chose, where no person did.
        unverified: no person looked at it.

    Raises:
        ReviewError: the answer breaks one of these rules; the message names it.
    """
    chosen = {name: tuple(given) for name, given in neurons.items() if len(given)}
    if not by.strip():
        raise ReviewError("a decision needs a name: who decides?")
    _check_words(by, note)
    if verdict == "rejected" and chosen:
        raise ReviewError("a rejected finding has no neurons; leave them out, or approve")
    if verdict == "approved" and not chosen:
        raise ReviewError("an approved finding needs at least one neuron; name them, or reject")
    for name, given in chosen.items():
        _check_neurons(request, name, given)
    return Decision(
        request=request.id, verdict=verdict, neurons=chosen, by=by, rule=rule, note=note, unverified=unverified
    )


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


def _check_words(by: str, note: str) -> None:
    # Both are shown on terminals, pages and in tables, where such a character could make them look like something else.
    if len(by) > _LONGEST_NAME or _disguises(by):
        raise ReviewError(f"a name is one line of plain text, at most {_LONGEST_NAME} characters; got {by[:40]!r}")
    if len(note) > _LONGEST_NOTE:
        raise ReviewError(f"a note has at most {_LONGEST_NOTE} characters, this one has {len(note)}; say it shorter")
    if _disguises("".join(note.split())):
        raise ReviewError("a note is plain text; it holds a control character, such as those that colour a terminal")


def _disguises(text: str) -> bool:
    return any(unicodedata.category(letter) in {"Cc", "Cs"} or letter in _TURNING for letter in text)


def _check_neurons(request: ReviewRequest, name: str, given: Sequence[int]) -> None:
    if name != request.class_name:
        raise ReviewError(f"the request is about class {request.class_name!r}, the decision about {name!r}")
    known = sorted(candidate.neuron for candidate in request.candidates)
    unknown = [neuron for neuron in given if neuron not in known]
    if unknown:
        raise ReviewError(
            f"neurons {_listed(unknown)} are not candidates of this request; choose from {_listed(known)}. To edit any "
            "other neuron, call neuroinspect.edit_decision_layer"
        )
    repeated = sorted({neuron for neuron in given if given.count(neuron) > 1})
    if repeated:
        raise ReviewError(f"neurons {_listed(repeated)} come more than once; name each once")


def _listed(neurons: Sequence[int]) -> str:
    return ", ".join(map(str, neurons))


def _parsed(kind: type[AnyRecord], record: Mapping[str, Any]) -> AnyRecord:
    values = {key: value for key, value in record.items() if key != "schema_version"}
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        raise ReviewError(f"this is not a {kind.__name__}: {error}") from error
