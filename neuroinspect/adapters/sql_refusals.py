"""What the review store refuses, in words that name who was first and what to do."""

from typing import TYPE_CHECKING

from neuroinspect.errors import ReviewConflictError, ReviewExpiredError, UnknownReviewError
from neuroinspect.review import Decision, parse_decision

if TYPE_CHECKING:
    from sqlalchemy import RowMapping


def refuse_to_replace(standing: "RowMapping", answer: Decision, *, asked: bool) -> None:
    """Refuse an answer to a decided review, unless it was asked to replace the standing one and may.

    Raises:
        ReviewConflictError: it was not, or may not.
    """
    if not asked:
        raise conflict(standing)
    if answer.unverified and not parse_decision(standing["decision"]).unverified:
        raise conflict(standing, "an unverified decision does not take the place of a person's")


def conflict(standing: "RowMapping", way_out: str = "--replace changes that") -> ReviewConflictError:
    """Somebody decided first; names who, when and what."""
    decision = parse_decision(standing["decision"])
    named = ", ".join(map(str, decision.chosen))
    when = f"{standing['decided_at']:%Y-%m-%d %H:%M} UTC"
    return ReviewConflictError(
        f"this review is already {decision.verdict} by {decision.by} on {when}"
        f"{f' (neurons {named})' if named else ''}; {way_out}"
    )


def known(row: "RowMapping | None", identifier: str) -> "RowMapping":
    """The row of a review that has to be there.

    Raises:
        UnknownReviewError: it is not.
    """
    if row is None:
        raise UnknownReviewError(
            f"the review store has no review {identifier[:12]!r}; `neuroinspect review show` opens that of a run"
        )
    return row


def expired(standing: "RowMapping") -> ReviewExpiredError:
    """Nobody answered in time."""
    return ReviewExpiredError(
        f"this review expired on {standing['expires_at']:%Y-%m-%d %H:%M} UTC; `neuroinspect run` asks it again"
    )
