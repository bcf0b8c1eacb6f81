"""Logs who asked for what: without the query, which may hold what somebody typed."""

import logging
from urllib.parse import quote

from starlette.types import ASGIApp, Message, Receive, Scope, Send

log = logging.getLogger(__name__)


class AccessLog:
    """One line for each answer, in plain characters whatever was asked."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        state = scope.setdefault("state", {})

        async def send_and_log(message: Message) -> None:
            if message["type"] == "http.response.start":
                address = (scope.get("client") or ("-", 0))[0]
                path = quote(scope["path"], safe="/", errors="replace")
                log.info(
                    "%s %s %s %s %d", address, ascii(state.get("reviewer")), scope["method"], path, message["status"]
                )
            await send(message)

        await self._app(scope, receive, send_and_log)
