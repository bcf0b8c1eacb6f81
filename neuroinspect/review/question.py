"""What is asked: which of these neurons carry what the model should not rely on in a class?"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, Literal

from pydantic import Field

from neuroinspect.artifacts import content_hash
from neuroinspect.errors import ReviewError
from neuroinspect.review.records import Record, parsed

Direction = Literal["insufficient", "excessive", "both"]
Neuron = Annotated[int, Field(strict=True, ge=0, lt=2**31)]
_SHOWN: Final = 20


class Candidate(Record):
    """One neuron put before the reviewer; vote_share in [0, 1]."""

    neuron: Neuron
    direction: Direction
    vote_share: float = Field(ge=0, le=1)


class ReviewRequest(Record):
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
    return parsed(ReviewRequest, record)


def check_candidates(request: ReviewRequest, neurons: Sequence[int]) -> None:
    """Refuse neurons that the request does not show, because an answer rests on what the reviewer saw.

    Raises:
        ReviewError: a neuron is no candidate, or comes more than once.
    """
    known = {candidate.neuron for candidate in request.candidates}
    unknown = [neuron for neuron in neurons if isinstance(neuron, bool) or neuron not in known]
    if unknown:
        raise ReviewError(
            f"neurons {_listed(unknown)} are not candidates of this review; choose from {_listed(sorted(known))}. To edit "
            "any other neuron, call neuroinspect.edit_decision_layer"
        )
    repeated = sorted(neuron for neuron, times in Counter(neurons).items() if times > 1)
    if repeated:
        raise ReviewError(f"neurons {_listed(repeated)} come more than once; name each once")


def _listed(neurons: Sequence[int]) -> str:
    shown = ", ".join(str(neuron)[:20] for neuron in neurons[:_SHOWN])
    return shown if len(neurons) <= _SHOWN else f"{shown} and {len(neurons) - _SHOWN} more"
