"""One page over reviews of every kind, which the tests of a file only look at."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from neuroinspect.adapters.sql_reviewers import SqlReviewers
from neuroinspect.adapters.sql_reviews import SqlReviews
from neuroinspect.web.app import create_app
from neuroinspect.web.settings import PageSettings
from tests.web.hostile import MARKUP
from tests.web.reviews import MadeReview, made_review
from tests.web.served import served


@dataclass(frozen=True)
class LookedAt:
    """Addresses of a page, and the reviews behind it."""

    origin: str
    login_origin: str
    pending: MadeReview
    hostile: MadeReview
    decided: MadeReview
    expired: MadeReview
    done: MadeReview

    def pages(self) -> dict[str, str]:
        """Name of a view -> its whole address."""
        first = self.pending.neurons[0]
        return {
            "waiting": f"{self.origin}/reviews",
            "closed": f"{self.origin}/reviews?status=closed",
            "grid": f"{self.origin}/reviews/{self.pending.id}",
            "focus": f"{self.origin}/reviews/{self.pending.id}/neurons/{first}",
            "undrawn": f"{self.origin}/reviews/{self.pending.id}/neurons/{self.pending.neurons[-1]}",
            "compare": f"{self.origin}/reviews/{self.pending.id}/compare?neurons=2,3,1",
            "outcome": f"{self.origin}/reviews/{self.decided.id}/outcome",
            "done": f"{self.origin}/reviews/{self.done.id}/outcome",
            "decided": f"{self.origin}/reviews/{self.decided.id}",
            "expired": f"{self.origin}/reviews/{self.expired.id}",
            "hostile": f"{self.origin}/reviews/{self.hostile.id}",
            "hostile-focus": f"{self.origin}/reviews/{self.hostile.id}/neurons/{self.hostile.neurons[0]}",
            "hostile-compare": f"{self.origin}/reviews/{self.hostile.id}/compare?neurons=2,3,1",
            "login": f"{self.login_origin}/login",
        }


@contextmanager
def looked_at(folder: Path) -> Iterator[LookedAt]:
    """Serve it, to ada on loopback and once more behind a login."""
    url = f"sqlite:///{folder}/reviews.db"
    long_ago = datetime.now(UTC) - timedelta(days=3)
    past = SqlReviews(url, expires_after=timedelta(days=1), clock=lambda: long_ago)
    expired = made_review(folder / "expired", book=past, candidates=5)
    book = SqlReviews(url)
    pending = made_review(folder / "pending", book=book, candidates=8, drawn=6)
    hostile = made_review(folder / "hostile", book=book, candidates=8, hostile=True)
    decided = made_review(folder / "decided", book=book, candidates=6)
    decided.say(2, "spurious", note="the water behind it")
    decided.approve(2, note="it is the water")
    done = made_review(folder / "done", book=book, candidates=7, hostile=True)
    done.approve(2, 3, note=MARKUP)
    done.carry_out()
    pending.say(2, "spurious", note="the water behind it")
    pending.say(3, "core")
    pending.say(1, "unclear", by="grace")
    guarded = PageSettings.for_loopback(reviewer=None).model_copy(update={"login": True})
    with (
        served(create_app(book, settings=PageSettings.for_loopback(reviewer="ada"))) as origin,
        served(create_app(book, settings=guarded, reviewers=SqlReviewers(url))) as login_origin,
    ):
        yield LookedAt(origin, login_origin, pending, hostile, decided, expired, done)
