"""How large and how slow a request may be, and what a JSON body may hold."""

import asyncio
import json
from typing import Any, Final

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from neuroinspect.web.errors import problem_response
from neuroinspect.web.settings import Limits

_LARGEST_INTEGER: Final = 2**53  # beyond it JSON readers disagree


class BodyTooLargeError(Exception):
    """More came than a body may have."""


class RequestLimits:
    """Refuses what is too large, too slow or no plain text, before any route sees it; hands the body on whole."""

    def __init__(self, app: ASGIApp, *, limits: Limits) -> None:
        self._app = app
        self._limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            async with asyncio.timeout(self._limits.body_seconds):
                refused, body = await self._read(scope, receive)
        except TimeoutError:
            refused, body = (408, "RequestTimeout", "the request did not arrive in time; send it again"), b""
        except ClientDisconnect:
            return
        if refused is not None:
            status, kind, message = refused
            # What of the body is still to come is not read, so the connection cannot be used again.
            close = {"Connection": "close"}
            answer = problem_response(scope, status, kind=kind, message=message, headers=close)
            await answer(scope, receive, send)
            return
        await self._app(scope, replayed(body, receive), send)

    async def _read(self, scope: Scope, receive: Receive) -> tuple[tuple[int, str, str] | None, bytes]:
        limits = self._limits
        length = len(scope.get("raw_path") or scope["path"].encode(errors="replace")) + len(scope["query_string"])
        if length > limits.url:
            return (414, "UriTooLong", f"an address has at most {limits.url} bytes, this one has {length}"), b""
        if sum(len(name) + len(value) for name, value in scope["headers"]) > limits.headers:
            return (
                431,
                "HeadersTooLarge",
                f"headers have at most {limits.headers} bytes; clear the cookies of this page",
            ), b""
        if not scope["path"].isprintable():
            return (404, "NotFound", "there is no such page"), b""
        try:
            body = await _body(scope, receive, largest=limits.body)
        except BodyTooLargeError:
            return (413, "ContentTooLarge", f"a request carries at most {limits.body} bytes; say it shorter"), b""
        if body and _content_type(scope) == "application/json":
            problem = _json_problem(body)
            if problem is not None:
                return (400, "InvalidJson", f"expected plain JSON: {problem}"), b""
        return None, body


async def _body(scope: Scope, receive: Receive, *, largest: int) -> bytes:
    announced = dict(scope["headers"]).get(b"content-length", b"0")
    if announced.isdigit() and int(announced[:20]) > largest:
        raise BodyTooLargeError
    parts, size = [], 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        part = message.get("body", b"")
        size += len(part)
        if size > largest:
            raise BodyTooLargeError
        parts.append(part)
        if not message.get("more_body", False):
            return b"".join(parts)


def replayed(body: bytes, receive: Receive) -> Receive:
    """A way to receive a body that was read already; after it comes what really comes."""
    handed_on = False

    async def receive_again() -> Message:
        nonlocal handed_on
        if handed_on:
            return await receive()
        handed_on = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive_again


def _content_type(scope: Scope) -> str:
    given: bytes = dict(scope["headers"]).get(b"content-type", b"")
    return given.decode("latin-1").partition(";")[0].strip().lower()


def _json_problem(body: bytes) -> str | None:
    """Why a body is not JSON that every part of the page can take: NaN, huge numbers and half characters are not."""
    try:
        value = json.loads(body.decode(), parse_constant=_refuse_constant, parse_int=_checked_integer)
        json.dumps(value, ensure_ascii=False).encode()
    except RecursionError:
        return "it is nested too deeply"
    except UnicodeError:
        return "it holds bytes or half characters that are no text"
    except json.JSONDecodeError as error:
        return f"{error.msg} at character {error.pos}"
    except ValueError as error:
        return str(error)
    return None


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no number")


def _checked_integer(digits: str) -> int:
    if len(digits) > len(str(_LARGEST_INTEGER)) + 1 or abs(int(digits)) > _LARGEST_INTEGER:
        raise ValueError(f"a whole number lies between -{_LARGEST_INTEGER} and {_LARGEST_INTEGER}")
    return int(digits)
