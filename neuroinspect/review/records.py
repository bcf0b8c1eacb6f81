"""What every record of the review has in common."""

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from neuroinspect.errors import ReviewError

AnyRecord = TypeVar("AnyRecord", bound="Record")


class Record(BaseModel):
    """A value that is kept as JSON: frozen, and without fields it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


def parsed(kind: type[AnyRecord], record: Mapping[str, Any]) -> AnyRecord:
    """Read a record from JSON.

    Raises:
        ReviewError: it is not one of that kind.
    """
    values = {key: value for key, value in record.items() if key != "schema_version"}
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        raise ReviewError(f"this is not a {kind.__name__}: {error}") from error
