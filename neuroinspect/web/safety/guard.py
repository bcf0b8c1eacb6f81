"""Who asks, and whether what would write was sent from our own page: settled here, before any route runs."""

from http import HTTPStatus
from typing import Annotated, Final
from urllib.parse import parse_qs, quote

from fastapi import Depends, Request
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import MutableHeaders
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from neuroinspect.errors import AccessError, LoginNeededError, NeuroInspectError
from neuroinspect.review.reviewers import ReviewerBook
from neuroinspect.web.errors import problem_response, status_of, wants_page
from neuroinspect.web.safety.limits import replayed
from neuroinspect.web.safety.own_path import path_of
from neuroinspect.web.safety.peer import Peers
from neuroinspect.web.safety.session import Session, Sessions, new_session
from neuroinspect.web.settings import PageSettings

_READING: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_OPEN_PATHS: Final = frozenset({"/login", "/health"})
_OPEN_FOLDER: Final = "/static/"
_FORM: Final = "application/x-www-form-urlencoded"
_JSON: Final = "application/json"
_MOST_FIELDS: Final = 100


def required_reviewer(request: Request) -> str:
    """Name of the reviewer who asks.

    Raises:
        AccessError: nobody is known.
    """
    reviewer: str | None = request.state.reviewer
    if reviewer is None:
        raise AccessError(
            "nobody is known here as a reviewer, and what is said needs a name; serve the page with a name, or with a login"
        )
    return reviewer


RequiredReviewer = Annotated[str, Depends(required_reviewer)]


class Guard:
    """Settles who asks, and refuses writing that did not start on our own page.

    Routes find `request.state.reviewer` (a name or None), `request.state.csrf` (what forms and calls bring along) and
    `request.state.session`, which a login replaces.

    Args:
        app: what is guarded.
        settings: whether a login is asked for, and which proxies are believed.
        reviewers: who holds which token; None where nobody can log in.
    """

    def __init__(self, app: ASGIApp, *, settings: PageSettings, reviewers: ReviewerBook | None) -> None:
        self._app = app
        self._settings = settings
        self._reviewers = reviewers
        self._sessions = Sessions(settings)
        self._peers = Peers(settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        if request.method in _READING and _arrives_from_elsewhere(request):
            # The page loads itself once more, now from here, and the cookie comes along.
            again = request.app.state.site.pages.page(request, "arriving.html", wanted=path_of(scope))
            await again(scope, receive, send)
            return
        cookie = self._sessions.name((scope.get("server") or ("", None))[1] or 0)
        came = self._sessions.read(request.cookies.get(cookie, ""))
        session = came or new_session()
        request.state.session, request.state.csrf = session, self._sessions.csrf(session)
        request.state.reviewer = None
        try:
            request.state.reviewer = await run_in_threadpool(self._who, request, session)
            refused, body = await self._refused(request, session)
        except NeuroInspectError as error:
            refused = problem_response(scope, status_of(error), kind=type(error).__name__, message=str(error))
        if refused is not None:
            await refused(scope, receive, send)
            return

        async def send_with_cookie(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                kept: Session = request.state.session
                # A page shows forms, so it needs a session; a session that nobody logged in to lives on with each page.
                is_page = headers.get("content-type", "").startswith("text/html")
                if kept is not session or (is_page and kept.token is None):
                    headers.append("Set-Cookie", self._sessions.header(cookie, kept))
            await send(message)

        await self._app(scope, replayed(body, receive), send_with_cookie)

    def _who(self, request: Request, session: Session) -> str | None:
        named = self._peers.user(request)
        if named is not None:
            return named
        if self._reviewers is not None and session.token is not None:
            reviewer = self._reviewers.standing(session.token)
            return None if reviewer is None else reviewer.name
        return None if self._settings.asks_who else self._settings.reviewer

    async def _refused(self, request: Request, session: Session) -> tuple[Response | None, bytes]:
        path = request.scope["path"]
        is_open = path in _OPEN_PATHS or path.startswith(_OPEN_FOLDER)
        if self._settings.asks_who and request.state.reviewer is None and not is_open:
            return _login_needed(request), b""
        body = await request.body()
        if request.method in _READING:
            return None, body
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        expected = _JSON if path.startswith("/api/") else _FORM
        if body and kind != expected:
            message = f"expected a body of type {expected}"
            return problem_response(request.scope, 415, kind="UnsupportedMediaType", message=message), b""
        self._require_own_page(request, session, body if kind == _FORM else b"")
        return None, body

    def _require_own_page(self, request: Request, session: Session, form: bytes) -> None:
        if not _is_same_origin(request):
            raise AccessError("this was sent from another site; open the page and do it there")
        given = request.headers.get("x-csrf-token")
        if given is None:
            given = _field(form, "csrf")
        if not self._sessions.is_csrf(session, given):
            plain = self._settings.secure and request.url.scheme == "http" and not self._settings.proxies
            raise AccessError(
                "this page's cookie travels over https only; open the page by https"
                if plain
                else "this was sent from a page that is no longer valid; load the page again and repeat it"
            )


def _field(form: bytes, name: str) -> str:
    """A field of a form; "" where it has none, or more fields than any form of this page."""
    try:
        return parse_qs(form.decode(errors="replace"), max_num_fields=_MOST_FIELDS).get(name, [""])[0]
    except ValueError:
        return ""


def _login_needed(request: Request) -> Response:
    if request.method in _READING and wants_page(request):
        wanted = quote(path_of(request.scope), safe="/")
        return RedirectResponse(f"/login?next={wanted}", status_code=HTTPStatus.SEE_OTHER)
    return problem_response(request.scope, 401, kind=LoginNeededError.__name__, message="log in first, at /login")


def _arrives_from_elsewhere(request: Request) -> bool:
    """Whether a link on another site led here: then the browser keeps our cookie back, and a new one would end the session."""
    headers = request.headers
    return headers.get("sec-fetch-site") == "cross-site" and headers.get("sec-fetch-mode") == "navigate"


def _is_same_origin(request: Request) -> bool:
    if request.headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}:
        return False
    origin = request.headers.get("origin")
    if origin is None:
        return True
    # A proxy that adds TLS hands on what was https as http, so only where TLS ends here the scheme is known.
    schemes = {"https"} if request.url.scheme == "https" else {"http", "https"}
    scheme, separator, host = origin.lower().partition("://")
    return bool(separator) and scheme in schemes and host == request.headers["host"].lower()
