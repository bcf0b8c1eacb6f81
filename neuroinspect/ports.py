"""What the stages ask of the outside world: protocols only, so that no stage knows a tool by name."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol


class Progress(Protocol):
    """Called as long work goes on: what is being done, how far it is, and how far it has to go."""

    def __call__(self, task: str, done: int, total: int) -> None:
        """Take note."""
        ...


def silent(task: str, done: int, total: int) -> None:
    """A Progress that shows nothing."""


class Tracker(Protocol):
    """Remembers a finished run folder; the same folder twice is one entry."""

    def track(self, run: Path) -> str:
        """Record the run and return its identifier."""
        ...


class DataValidator(Protocol):
    """Judges a manifest before anything is computed."""

    def check(self, manifest: Any, folder: Path) -> Mapping[str, Any]:
        """Write what was found into `folder` and return a small summary."""
        ...


class RevisionReader(Protocol):
    """Says which version of the data lies in a folder."""

    def revision(self, path: Path) -> str | None:
        """The version, or None where the folder is not tracked."""
        ...


class ReviewStore(Protocol):
    """Keeps review requests and takes the first decision on each."""

    def open(self, request: Mapping[str, Any]) -> str:
        """Insert or ignore the request; return its identifier."""
        ...

    def decide(self, identifier: str, decision: Mapping[str, Any]) -> None:
        """Take the decision while the request is pending."""
        ...


class EditDispatcher(Protocol):
    """Starts the edit of an approved review, once."""

    def dispatch(self, identifier: str) -> None:
        """Create the edit run of this review."""
        ...
