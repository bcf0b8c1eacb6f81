"""A browser, pages that are watched for what goes wrong, and reviews to look at."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from neuroinspect.adapters.sql_reviews import SqlReviews
from neuroinspect.web.app import create_app
from neuroinspect.web.settings import PageSettings
from tests.web.reviews import MadeReview, made_review
from tests.web.rot import Rot
from tests.web.served import served

# Nothing is looked up, updated or reported by the browser itself.
_QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
)
# A busy machine is slow, and that is no fault of the page.
_PATIENCE_MS = 20_000
expect.set_options(timeout=_PATIENCE_MS)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's Chromium, for the tests of one file.

    Not longer, as that of pytest-playwright: while it is there an event loop runs in this process, and tests that come later
    could not start their own.
    """
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("there is no chromium; `make system` installs it, or prints the line that does")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium, args=list(_QUIET))
        yield started
        started.close()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """What one person has open: cookies and pages of its own."""
    opened = browser.new_context()
    opened.set_default_timeout(_PATIENCE_MS)
    yield opened
    opened.close()


@pytest.fixture
def rot(context: BrowserContext) -> Iterator[Rot]:
    """What went wrong in the browser; at the end of the test nothing may have but what it expects."""
    watched = Rot(context)
    yield watched
    assert watched.unexpected == []
    assert watched.missing == []


@pytest.fixture
def page(rot: Rot, context: BrowserContext) -> Page:
    """A page of a watched browser."""
    return context.new_page()


@pytest.fixture
def made(tmp_path: Path) -> MadeReview:
    """A pending review of twelve neurons, two of them without pictures."""
    return made_review(tmp_path / "made", drawn=10)


@pytest.fixture
def hostile_review(tmp_path: Path) -> MadeReview:
    """A pending review whose every name and word does harm where it is not escaped."""
    return made_review(tmp_path / "hostile", hostile=True)


@pytest.fixture
def page_over() -> Iterator[Callable[[SqlReviews], str]]:
    """Serves the page over a review store to ada, on loopback, until the test ends; gives its address."""
    with ExitStack() as stack:

        def serve(book: SqlReviews) -> str:
            app = create_app(book, settings=PageSettings.for_loopback(reviewer="ada"))
            return stack.enter_context(served(app))

        yield serve


@pytest.fixture
def picture_of(page: Page, request: pytest.FixtureRequest) -> Any:
    """Keep what the page shows now, where the variable SCREENSHOTS names a folder; a test does not depend on it."""
    folder = os.environ.get("SCREENSHOTS")

    def keep(name: str, *, whole: bool = True) -> None:
        if folder is not None:
            page.screenshot(path=Path(folder) / f"{request.node.name}-{name}.png", full_page=whole)

    return keep
