"""What goes wrong in a browser without anybody seeing it: messages, exceptions, failed and foreign requests."""

import re
from urllib.parse import urlsplit

from playwright.sync_api import BrowserContext, ConsoleMessage, Page, Request, Response

_OWN_HOSTS = {"127.0.0.1", "localhost", None}
_HARMLESS = ("data", "blob", "about")


class Rot:
    """Collects what goes wrong in every page of a browser context.

    A test that provokes something names it by `expect`; whatever else was found fails the test.
    """

    def __init__(self, context: BrowserContext) -> None:
        self.found: list[str] = []
        self._expected: list[str] = []
        context.on("console", self._console)
        context.on("weberror", lambda error: self.found.append(f"exception: {error.error}"))
        context.on("request", self._request)
        context.on("requestfailed", self._failed)
        context.on("response", self._response)
        context.on("page", self._page)

    def expect(self, pattern: str) -> None:
        """Let what a regular expression finds pass in this test, and insist that it comes."""
        self._expected.append(pattern)

    @property
    def unexpected(self) -> list[str]:
        """What was found and not expected."""
        return [line for line in self.found if not any(re.search(pattern, line) for pattern in self._expected)]

    @property
    def missing(self) -> list[str]:
        """What was expected and did not come."""
        return [pattern for pattern in self._expected if not any(re.search(pattern, line) for line in self.found)]

    def _page(self, page: Page) -> None:
        page.on("dialog", lambda dialog: (self.found.append(f"dialog: {dialog.message}"), dialog.dismiss()))

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self.found.append(f"console {message.type}: {message.text}")

    def _request(self, request: Request) -> None:
        address = urlsplit(request.url)
        if address.scheme not in _HARMLESS and address.hostname not in _OWN_HOSTS:
            self.found.append(f"foreign request: {request.url}")

    def _failed(self, request: Request) -> None:
        # A page that is left takes its unfinished requests with it.
        if request.failure != "net::ERR_ABORTED":
            self.found.append(f"failed request: {request.method} {request.url}: {request.failure}")

    def _response(self, response: Response) -> None:
        if response.status >= 400:
            self.found.append(f"status {response.status}: {response.request.method} {response.url}")
