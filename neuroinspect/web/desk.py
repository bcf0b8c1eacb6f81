"""Opens a review with the run folder behind it, and answers it by the rules that hold everywhere."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from neuroinspect.artifacts import RunFolder
from neuroinspect.errors import (
    ReviewConflictError,
    ReviewExpiredError,
    ReviewOutdatedError,
    SelectionChangedError,
    SettingsError,
    UnknownReviewError,
)
from neuroinspect.gate import refuse_outdated
from neuroinspect.review import (
    AskingRun,
    Decision,
    NeuronJudgement,
    ReviewBook,
    StoredReview,
    Verdict,
    decide,
    selection,
)
from neuroinspect.settings import Params, parse_params
from neuroinspect.web.times import moment
from neuroinspect.web.trail import decided

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class OpenReview:
    """A review and the run folder that shows it.

    Attributes:
        stored: what the store holds.
        run: the run folder that asked last and is still there; None where all are gone.
        params: settings of that run; None where they are not known.
    """

    stored: StoredReview
    run: RunFolder | None
    params: Params | None

    def computable(self) -> tuple[RunFolder, Params]:
        """The run folder and its settings, for what is computed from them.

        Raises:
            ReviewOutdatedError: one of them is not known here.
        """
        if self.run is None or self.params is None:
            raise ReviewOutdatedError("no run folder of this review can be read from here; bring it back, or run again")
        return self.run, self.params


class ReviewDesk:
    """What page and API do with reviews.

    Args:
        book: the review store.
    """

    def __init__(self, book: ReviewBook) -> None:
        self._book = book

    def stored(self, identifier: str) -> StoredReview:
        """What the store holds of a review, by its whole id.

        Raises:
            UnknownReviewError: there is none.
        """
        stored = self._book.review(identifier)
        if stored is None:
            raise UnknownReviewError(
                f"there is no review {identifier[:12]!r}; the list of reviews shows those there are"
            )
        return stored

    def open(self, identifier: str) -> OpenReview:
        """A review by its whole id, with its run folder; without settings where they are not those of this version.

        Raises:
            UnknownReviewError: there is none.
        """
        stored = self.stored(identifier)
        asking = next((run for run in stored.runs if (run.root / "diagnose").is_dir()), None)
        if asking is None:
            return OpenReview(stored, None, None)
        return OpenReview(stored, RunFolder(asking.root), _known_params(asking))

    def decide(
        self,
        identifier: str,
        *,
        verdict: Verdict,
        neurons: Sequence[int],
        strength: float = 1.0,
        note: str = "",
        by: str,
    ) -> Decision:
        """Answer a review; nothing is stored where a rule refuses.

        Args:
            identifier: of the review.
            verdict: "approved" edits the neurons, "rejected" leaves the model as it is.
            neurons: those the reviewer saw as spurious; empty where rejected.
            strength: of the edit, 0 < strength <= 1.
            note: why; a rejection needs it, because it is what is left of the matter.
            by: who decides.

        Raises:
            UnknownReviewError: there is none.
            ReviewError: the answer breaks a rule.
            SelectionChangedError: somebody judged neurons since, so the reviewer has not seen what would be edited.
            ReviewConflictError: somebody else decided first.
            ReviewExpiredError: it expired.
            ReviewOutdatedError: the model, the data or the finding changed since, or no run folder is left.
        """
        opened = self.open(identifier)
        decision = self.answer(opened, verdict=verdict, neurons=neurons, strength=strength, note=note, by=by)
        self.keep(opened, decision)
        return decision

    def answer(
        self, opened: OpenReview, *, verdict: Verdict, neurons: Sequence[int], strength: float, note: str, by: str
    ) -> Decision:
        """The decision as it would be stored; arguments and errors as of `decide`, but nothing is stored."""
        stored = opened.stored
        decision = decide(
            stored.request,
            verdict=verdict,
            neurons={stored.request.class_name: neurons},
            strength=strength,
            note=note,
            by=by,
        )
        _refuse_closed(stored, decision)
        refuse_outdated(stored.request, run=opened.run, params=opened.params, stored=stored)
        if verdict == "approved" and stored.status == "pending":
            _require_seen(self._book.judgements(stored.request.id), neurons)
        return decision

    def keep(self, opened: OpenReview, decision: Decision) -> None:
        """Store a decision that was checked; errors of the store as of `decide`."""
        try:
            self._book.decide(decision.record(), run=None if opened.run is None else opened.run.root)
        except ReviewConflictError:
            _refuse_closed(self.stored(decision.request), decision)
            raise


def _known_params(asking: AskingRun) -> Params | None:
    """Settings of a run; one of another version can still be looked at, and is refused when it is answered."""
    if asking.params is None:
        return None
    try:
        return parse_params(dict(asking.params), source=f"the settings of {asking.root}")
    except SettingsError as error:
        log.warning("the page goes without %s", error)
        return None


def _refuse_closed(stored: StoredReview, decision: Decision) -> None:
    """Refuse an answer to what is decided otherwise, or expired, in the words of the page."""
    if stored.status == "expired" and stored.expires_at is not None:
        raise ReviewExpiredError(
            f"this review expired on {moment(stored.expires_at)}; `neuroinspect run` asks the question again"
        )
    first = stored.decision
    if first is not None and first != decision:
        when = "" if stored.decided_at is None else f" on {moment(stored.decided_at)}"
        raise ReviewConflictError(f"{first.by} {decided(first)}{when}. That stands, and your answer is not kept.")


def _require_seen(judgements: Mapping[int, NeuronJudgement], neurons: Sequence[int]) -> None:
    now, seen = set(selection(judgements.values())), set(neurons)
    if now == seen:
        return
    changes = [
        f"{what} {', '.join(map(str, sorted(changed)))}"
        for what, changed in (("now spurious too:", now - seen), ("no longer spurious:", seen - now))
        if changed
    ]
    raise SelectionChangedError(
        f"the verdicts are not those you decide on ({'; '.join(changes)}); look at these neurons and decide again"
    )
