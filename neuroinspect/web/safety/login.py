"""The login: one token for each reviewer, and a new session each time."""

from math import ceil
from typing import Annotated, Any

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse
from starlette.responses import Response

from neuroinspect.review.reviewers import ReviewerBook
from neuroinspect.web.pages import Pages
from neuroinspect.web.safety.attempts import LoginAttempts
from neuroinspect.web.safety.own_path import own_path
from neuroinspect.web.safety.peer import Peers
from neuroinspect.web.safety.session import new_session

_LONGEST_TOKEN, _LONGEST_PATH = 200, 4096


class Login:
    """The routes of the login.

    Args:
        pages: renders the form.
        reviewers: who holds which token; None where nobody can log in here.
        peers: tells where a request comes from.
        attempts: slows down whoever tries tokens.
    """

    def __init__(self, pages: Pages, *, reviewers: ReviewerBook | None, peers: Peers, attempts: LoginAttempts) -> None:
        self._pages = pages
        self._reviewers = reviewers
        self._peers = peers
        self._attempts = attempts
        self.router = APIRouter(default_response_class=HTMLResponse)
        moves: dict[int | str, dict[str, Any]] = {303: {"description": "where to go on"}}
        self.router.add_api_route("/login", self.form, methods=["GET"], responses=moves)
        self.router.add_api_route("/login", self.enter, methods=["POST"], status_code=303)
        self.router.add_api_route("/logout", self.leave, methods=["POST"], status_code=303)

    def form(
        self, request: Request, wanted: Annotated[str, Query(alias="next", max_length=_LONGEST_PATH)] = ""
    ) -> Response:
        """Ask for a token, unless it is known already who asks."""
        if request.state.reviewer is not None:
            return _go(own_path(wanted))
        return self._form(request, own_path(wanted))

    def enter(
        self,
        request: Request,
        token: Annotated[str, Form(max_length=_LONGEST_TOKEN)],
        wanted: Annotated[str, Form(alias="next", max_length=_LONGEST_PATH)] = "",
    ) -> Response:
        """Take a token; the session is a new one, so that one planted before the login is worth nothing."""
        address, where = self._peers.address(request), own_path(wanted)
        wait = self._attempts.wait(address)
        if wait > 0:
            problem = f"Too many wrong tokens came from your address; try again in {ceil(wait / 60)} minutes."
            answer = self._form(request, where, status=429, problem=problem)
            answer.headers["Retry-After"] = str(ceil(wait))
            return answer
        reviewer = None if self._reviewers is None else self._reviewers.check(token.strip())
        if reviewer is None:
            self._attempts.failed(address)
            return self._form(
                request, where, status=401, problem="This token opens nothing. Is it whole, and still valid?"
            )
        request.state.session = new_session(reviewer.token)
        return _go(where)

    def leave(self, request: Request) -> Response:
        """End the session of this browser."""
        request.state.session = new_session()
        return _go("/login")

    def _form(self, request: Request, where: str, *, status: int = 200, problem: str = "") -> Response:
        return self._pages.page(request, "login.html", status=status, wanted=where, problem=problem)


def _go(where: str) -> Response:
    return RedirectResponse(where, status_code=303)
