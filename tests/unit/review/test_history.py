"""What the store keeps of a question, as its readers see it."""

from datetime import UTC, datetime
from pathlib import Path

from neuroinspect.review import AskingRun, EditOrder, StoredReview
from tests.unit.review.questions import REQUEST

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
PARAMS = {"model": {"options": {"token": "hush"}}}


def test_the_run_of_a_review_is_the_one_that_asked_last():
    runs = tuple(AskingRun(Path(name), None, "hash", NOON) for name in ("later", "earlier"))
    review = StoredReview(REQUEST, runs, NOON, None, "pending", None, None, 0)
    assert review.run.root == Path("later")


def test_settings_are_not_shown_where_a_record_is():
    asking = AskingRun(Path("run"), PARAMS, "hash", NOON)
    order = EditOrder(
        key="edit:r",
        request="r",
        run=Path("run"),
        params=PARAMS,
        started=None,
        attempts=0,
        lost=0,
        problem=None,
        again_at=None,
        finished_at=None,
    )
    assert "hush" not in f"{asking!r} {order!r}"
