"""What the chain asks of the outside world: protocols only, so that nothing below the adapters knows a tool by name."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from neuroinspect.settings import ChecksSettings, ModelSettings, Params


class Progress(Protocol):
    """Called as long work goes on: what is being done, how far it is, and how far it has to go."""

    def __call__(self, task: str, done: int, total: int) -> None:
        """Take note."""
        ...


def silent(task: str, done: int, total: int) -> None:
    """A Progress that shows nothing."""


class RevisionReader(Protocol):
    """Knows under which version the data is kept."""

    def revision(self, path: Path) -> str | None:
        """The version of a file or folder as `dvc:<md5>`; None where it is not kept, or differs from what is kept."""
        ...

    def pull(self, path: Path) -> None:
        """Bring a file or folder that is kept but not here; nothing where it is here, or not kept.

        Raises:
            DataError: it cannot be brought; the message names the way out.
        """
        ...

    def update(self, path: Path) -> None:
        """Bring the version of a file or folder that its keeper names, also where another one is here.

        Raises:
            DataError: it cannot be brought, or what is here would be lost; the message names the way out.
        """
        ...


class DataValidator(Protocol):
    """Judges what a stage left before the next one builds on it."""

    def check(self, run: Path, stage: str, thresholds: ChecksSettings) -> None:
        """Judge the table of a stage (validate, extract or diagnose) and write what was found to `checks/` of the run.

        Raises:
            DataCheckError: an expectation does not hold; the message names it and the rows.
        """
        ...


class ReviewStore(Protocol):
    """Keeps review requests and takes one decision on each."""

    def open(self, request: Mapping[str, Any], *, run: Path, params: Mapping[str, Any] | None = None) -> None:
        """Insert the request (ReviewRequest.record()), or note that one more run asks it; an expired one waits again.

        Args:
            request: the question.
            run: the run folder that asks.
            params: settings of all stages as that run had them, JSON-like, with whole paths: an edit goes on with them.
        """
        ...

    def decision(self, identifier: str) -> Mapping[str, Any] | None:
        """The decision on a request (Decision.record()), or None while it is pending or unknown."""
        ...

    def decide(
        self,
        decision: Mapping[str, Any],
        *,
        run: Path | None = None,
        params: Mapping[str, Any] | None = None,
        replace: bool = False,
        adopted: bool = False,
    ) -> None:
        """Take the decision while the request is pending; the very decision that stands already changes nothing.

        Args:
            decision: Decision.record().
            run: the run folder it was taken on and the edit goes on with; None: the one that asked last.
            params: settings of that run, as `open` takes them, where it has not asked before.
            replace: take the place of an earlier decision. An unverified one never takes the place of a person's.
            adopted: it was found in a run folder, so nobody can say who wrote it.

        Raises:
            UnknownReviewError: there is no such request.
            ReviewConflictError: somebody else decided first, and it may not be replaced; the message names who.
            ReviewExpiredError: nobody answered it in time.
        """
        ...

    def finish(self, decision: Mapping[str, Any], *, run: Path, outcome: str) -> None:
        """Note that what follows a decision (Decision.record()) is done in a run folder; nothing where it no longer stands.

        Twice is once. It closes the order of the run folder the decision was taken on; what another folder that asks the same
        question made of it is noted in the trail alone. The outcome is one sentence.
        """
        ...


class Tracker(Protocol):
    """Remembers a finished run folder; the same folder twice is one entry."""

    def track(self, run: Path, params: Params) -> str:
        """Record the run and return its identifier.

        Raises:
            OutsideError: the tool cannot be reached; the run folder is as it was.
        """
        ...


@dataclass(frozen=True, slots=True)
class RegisteredVersion:
    """One version of a registered model."""

    name: str
    version: str

    @property
    def uri(self) -> str:
        """As `model.spec` takes it."""
        return f"models:/{self.name}/{self.version}"


class ModelRegistry(Protocol):
    """Keeps edited models as numbered versions."""

    def register(self, run: Path, params: Params, *, tracked: str) -> RegisteredVersion | None:
        """Register the recommended model of a run as a candidate; None where the original is recommended. Twice gives one.

        The bias-only edit of the run becomes a candidate beside it, so that what a bias alone gives can be had and compared.

        Args:
            run: with a finished evaluate stage.
            params: the settings of the run, with the model it was computed with.
            tracked: what Tracker.track returned for it.

        Raises:
            OutsideError: the tool cannot be reached.
        """
        ...

    def register_untouched(self, params: Params, *, data_version: str, by: str) -> RegisteredVersion:
        """Register the model that params name as it is. Twice gives one; other data are noted on the version that is there.

        Args:
            params: with the model; one of the registry is there already.
            data_version: the pictures that edits of it are to be judged on.
            by: who registers.

        Raises:
            ModelError: it cannot be loaded.
            OutsideError: the tool cannot be reached.
        """
        ...

    def resolve(self, uri: str) -> ModelSettings:
        """Bring `models:/NAME@alias` or `models:/NAME/VERSION` here, and say how to load it.

        Raises:
            ModelSpecError: there is no such model, version or alias, or it was not registered by this tool.
        """
        ...


@dataclass(frozen=True, slots=True)
class Tools:
    """The tools a chain is given; it does without each that is None."""

    revisions: RevisionReader | None = None
    validator: DataValidator | None = None
    reviews: ReviewStore | None = None
    tracker: Tracker | None = None
    registry: ModelRegistry | None = None
