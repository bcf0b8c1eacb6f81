"""A decision kept as a file, such as `reviews/default.json`: what `neuroinspect review import` takes."""

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt, StrictStr, ValidationError

from neuroinspect.artifacts import read_json
from neuroinspect.errors import ArtifactError, ReviewError
from neuroinspect.review import Decision, ReviewRequest, decide

RULE = "imported from"
_EXAMPLE = (
    '{"class": "fish", "neurons": [3, 17], "by": "ada", "note": "why"}, or "reject": true in place of the neurons'
)


class DecisionFile(BaseModel):
    """What the file holds. It names a class and neurons, no request: it is kept beside the data and outlives a run."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    class_name: StrictStr = Field(alias="class")
    neurons: tuple[StrictInt, ...] = ()
    reject: StrictBool = False
    by: StrictStr
    note: StrictStr = ""


def read_decision_file(path: Path) -> DecisionFile:
    """Read such a file.

    Raises:
        ReviewError: it is missing or does not fit.
    """
    try:
        values: Any = read_json(path)
        if not isinstance(values, dict):
            raise ReviewError(f"{path} holds no decision; expected {_EXAMPLE}")
        return DecisionFile.model_validate(values)
    except ArtifactError as error:
        raise ReviewError(f"{path} is missing or is not JSON; expected {_EXAMPLE}") from error
    except ValidationError as error:
        lines = [f"  {'.'.join(map(str, problem['loc']))}: {problem['msg']}" for problem in error.errors()]
        raise ReviewError(f"{path} does not fit; expected {_EXAMPLE}:\n" + "\n".join(lines)) from error


def imported(given: DecisionFile, request: ReviewRequest, *, file: str) -> Decision:
    """The decision of a file as the answer to a request; unverified, because nobody looked at this very request.

    Raises:
        ReviewError: it is about another class, or breaks a rule of the review.
    """
    if given.class_name != request.class_name:
        raise ReviewError(
            f"{file} decides about class {given.class_name!r}, the review is about {request.class_name!r}; "
            "set diagnose.target in the params file, or import another file"
        )
    return decide(
        request,
        verdict="rejected" if given.reject else "approved",
        neurons={given.class_name: given.neurons},
        by=given.by,
        note=given.note,
        rule=f"{RULE} {file}",
        unverified=True,
    )
