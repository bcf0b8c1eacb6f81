"""What watches the pages sees what goes wrong, so that a quiet test of a page means something."""

import pytest
from starlette.applications import Starlette
from starlette.responses import HTMLResponse
from starlette.routing import Route

from tests.web.served import served

PAGES = {
    "/quiet": "<title>t</title><link rel='icon' href='data:,'>nothing",
    "/throws": "<link rel='icon' href='data:,'><script>throw new Error('boom')</script>",
    "/logs": "<link rel='icon' href='data:,'><script>console.error('boom')</script>",
    "/asks": "<link rel='icon' href='data:,'><img src='http://192.0.2.1/boom.png'>",
    "/lacks": "<link rel='icon' href='data:,'><img src='/boom.png'>",
    "/alerts": "<link rel='icon' href='data:,'><script>alert('boom')</script>",
    "/inlines": "<link rel='icon' href='data:,'><img src='data:,' onerror='window.boom = 1'>",
}


def shown(path: str):
    headers = {"content-security-policy": "default-src 'self' data:"} if path == "/inlines" else {}
    return Route(path, lambda request: HTMLResponse(PAGES[path], headers=headers))


@pytest.fixture(scope="module")
def origin():
    with served(Starlette(routes=[shown(path) for path in PAGES])) as address:
        yield address


def test_a_quiet_page_leaves_nothing(page, rot, origin):
    page.goto(f"{origin}/quiet")
    assert rot.found == []


@pytest.mark.parametrize(
    ("path", "seen"),
    [
        ("/throws", "exception: .*boom"),
        ("/logs", "console error: boom"),
        ("/asks", "foreign request: http://192.0.2.1/boom.png"),
        ("/lacks", "status 404: GET .*/boom.png"),
        ("/alerts", "dialog: boom"),
        ("/inlines", "console error: .*Content Security Policy"),
    ],
)
def test_what_goes_wrong_is_seen(page, rot, origin, path, seen):
    rot.expect(seen)
    if path in {"/asks", "/lacks"}:
        rot.expect("console error: Failed to load resource")
    if path == "/asks":
        rot.expect("failed request")
    page.goto(origin + path)
    assert rot.missing == []
    assert rot.unexpected == []
