"""What every answer of the page tells the browser, and how HEAD is answered."""

from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "img-src 'self'",
        "style-src 'self'",
        "script-src 'self'",
        "connect-src 'self'",
        "font-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
_POLICY_NAME: Final = "Content-Security-Policy"
_HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # Not "no-referrer": under it a browser says "Origin: null" of our own forms, and they could not be told from others'.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}


class SafeHeaders:
    """Puts the safety headers on every answer, also on refusals, and answers HEAD as GET without a body.

    What a route says of caching stays, but for "public": a picture behind a login is nobody else's. A policy of a route's own
    stays where it is a sandbox that lets nothing out.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        bodiless = scope["method"] == "HEAD"

        async def send_safely(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers[name] = value
                # That of a report, which is sandboxed, is its route's own.
                if not _is_sandbox(headers.get(_POLICY_NAME, "")):
                    headers[_POLICY_NAME] = _POLICY
                caching = headers.get("Cache-Control", "no-store")
                headers["Cache-Control"] = caching.replace("public", "private")
            elif bodiless and message["type"] == "http.response.body":
                message = {**message, "body": b""}
            await send(message)

        await self._app({**scope, "method": "GET"} if bodiless else scope, receive, send_safely)


def _is_sandbox(policy: str) -> bool:
    """Whether a policy keeps a document from running scripts and from acting as this page."""
    parts = [part.strip() for part in policy.split(";")]
    return (
        "sandbox" in parts
        and "default-src 'none'" in parts
        and not any(part.startswith("script-src") for part in parts)
    )
