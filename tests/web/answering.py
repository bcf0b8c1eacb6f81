"""A reviewer at the page of a made review: asks, judges and answers as a browser does."""

import re
from typing import Any

from fastapi.testclient import TestClient

from neuroinspect.web.app import create_app
from neuroinspect.web.settings import PageSettings
from tests.web.reviews import MadeReview
from tests.web.safety import browser_of

PAGE = {"Accept": "text/html"}


class Reviewer:
    """One reviewer of one review."""

    def __init__(self, made: MadeReview, name: str | None = "ann", **parts: Any) -> None:
        self.made = made
        self.app = create_app(made.book, settings=PageSettings.for_loopback(reviewer=name), **parts)
        self.client: TestClient = browser_of(self.app)
        self.csrf = re.search(r'name="csrf" content="([0-9a-f]+)"', self.get("/reviews").text).group(1)

    def get(self, path: str) -> Any:
        """A page, or the answer of the API where the path begins with /api/."""
        return self.client.get(path, headers={} if path.startswith("/api/") else PAGE)

    def api(self, what: str, verb: str = "GET", /, **body: Any) -> Any:
        """A call on the review; its body is JSON."""
        path = f"/api/reviews/{self.made.id}/{what}"
        sent = {"headers": {"X-CSRF-Token": self.csrf}, "json": body} if verb != "GET" else {}
        return self.client.request(verb, path, **sent)

    def page(self, what: str) -> Any:
        """A page of the review."""
        return self.get(f"/reviews/{self.made.id}/{what}")

    def submit(self, what: str, **fields: Any) -> Any:
        """A form of the review."""
        return self.client.post(f"/reviews/{self.made.id}/{what}", data={"csrf": self.csrf, **fields}, headers=PAGE)
