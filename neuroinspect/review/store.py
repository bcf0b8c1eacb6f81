"""What page and command line ask of the review store, beyond what the chain needs."""

from datetime import datetime
from typing import Protocol

from neuroinspect.ports import ReviewStore
from neuroinspect.review.history import EditOrder, StoredReview, TrailEntry
from neuroinspect.review.judgement import NeuronJudgement


class ReviewBook(ReviewStore, Protocol):
    """The review store as reviewers see it; every method raises OutsideError where the store cannot be used."""

    def review(self, identifier: str) -> StoredReview | None:
        """One review, by its whole id."""
        ...

    def pending(self) -> list[StoredReview]:
        """The reviews that wait for a decision, the longest first; expired ones are not among them."""
        ...

    def closed(self) -> list[StoredReview]:
        """The reviews that are decided or expired, the latest first."""
        ...

    def trail(self, identifier: str) -> list[TrailEntry]:
        """Everything that happened to a review, the oldest first; empty where there is no such review."""
        ...

    def judgements(self, identifier: str) -> dict[int, NeuronJudgement]:
        """Neuron to what was last said of it, without those taken back."""
        ...

    def judge(self, identifier: str, judgement: NeuronJudgement) -> NeuronJudgement:
        """Keep what was said of a neuron while the review is pending; what was said before stays in the trail.

        What stands already, said by the same reviewer, changes nothing.

        Raises:
            UnknownReviewError: there is no such review.
            ReviewConflictError: it is decided.
            ReviewExpiredError: it has expired.
        """
        ...

    def undo(self, identifier: str, *, by: str) -> NeuronJudgement | None:
        """Take back the reviewer's last change; what stands then of that neuron, or None where there is nothing to undo.

        Raises:
            UnknownReviewError: there is no such review.
            ReviewConflictError: it is decided, or somebody else has spoken of that neuron since.
            ReviewExpiredError: it has expired.
        """
        ...

    def edit_order(self, identifier: str) -> EditOrder | None:
        """What follows the decision of a review; None where it is not decided."""
        ...

    def open_orders(self) -> list[EditOrder]:
        """Everything that is ordered and not finished, the oldest first."""
        ...

    def count_attempt(self, key: str) -> None:
        """Note that an order is about to be started."""
        ...

    def put_off(self, key: str, *, problem: str, again_at: datetime) -> None:
        """Note why an order could not be started, and when it is tried again; nothing where it was started."""
        ...

    def mark_started(self, key: str, started: str, *, lost: int) -> None:
        """Note as what an order was started; nothing where it was started before.

        Args:
            key: of the order.
            started: what the starter called it.
            lost: how many starts had been given up before this one; nothing is noted where there are more by now.
        """
        ...

    def give_up_start(self, key: str, started: str, *, problem: str, again_at: datetime | None) -> None:
        """Note that what was started is gone or failed; once for each start.

        Args:
            key: of the order.
            started: what the starter called it.
            problem: why, in words.
            again_at: when the order is started again; None: when somebody says so with `retry`.
        """
        ...

    def retry(self, identifier: str) -> None:
        """Let the order of a review that has stopped be started again, at once; nothing where it is not stopped."""
        ...
