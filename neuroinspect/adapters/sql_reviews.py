"""The review store in a SQL database."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any


class SqlReviews:
    """A ReviewStore behind one SQLAlchemy URL."""

    def __init__(self, url: str) -> None:
        self._url = url

    def open(self, request: Mapping[str, Any], *, run: Path) -> None:
        """Insert the request, see the port."""
        raise NotImplementedError

    def decision(self, identifier: str) -> Mapping[str, Any] | None:
        """The decision on a request, see the port."""
        raise NotImplementedError

    def decide(self, decision: Mapping[str, Any], *, replace: bool = False) -> None:
        """Take the decision, see the port."""
        raise NotImplementedError
