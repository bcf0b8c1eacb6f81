"""Lets in only requests that name this page: a foreign name that somebody pointed here is refused (DNS rebinding)."""

from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from neuroinspect.web.errors import problem_response
from neuroinspect.web.settings import LOOPBACK_NAMES, PageSettings, is_loopback

_STANDARD_PORTS: Final = {"http": 80, "https": 443}
_SIGNS_OF_A_PROXY: Final = frozenset({b"forwarded", b"via", b"x-forwarded-for", b"x-forwarded-host", b"x-real-ip"})


class HostCheck:
    """Refuses a request whose Host header is not a name of this page.

    A name given in the settings counts with any port, because a proxy may listen on another. Beside them the address the
    connection came to counts with its port, and where that is a loopback address, the loopback names do.
    """

    def __init__(self, app: ASGIApp, *, settings: PageSettings) -> None:
        self._app = app
        self._names = settings.names
        self._open = not settings.asks_who

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        problem = self._problem(scope) if scope["type"] in {"http", "websocket"} else None
        if problem is None:
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            answer = problem_response(scope, 403, kind="AccessError", message=problem, headers={"Connection": "close"})
            await answer(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1008})

    def _problem(self, scope: Scope) -> str | None:
        hosts = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
        if len(hosts) != 1 or not self._is_ours(hosts[0], scope):
            return (
                "this page answers only to its own names and, on this machine, its own port; open the address that "
                "`neuroinspect review serve` printed"
            )
        if self._open and any(name in _SIGNS_OF_A_PROXY for name, _ in scope["headers"]):
            return (
                "this page asks nobody to log in, so it takes no requests from a proxy; serve it with the name under "
                "which the proxy shows it, and it asks for tokens"
            )
        return None

    def _is_ours(self, host: str, scope: Scope) -> bool:
        name, port = _split(host.lower())
        if name in self._names:
            return True
        address, own_port = scope.get("server") or ("", None)
        if (port or _STANDARD_PORTS.get(scope["scheme"])) != own_port:
            return False
        return name == address or (is_loopback(address) and name in LOOPBACK_NAMES)


def _split(host: str) -> tuple[str, int | None]:
    name, separator, port = host.rpartition(":")
    if not separator or "]" in port:
        name, port = host, ""
    if port and not (port.isascii() and port.isdigit() and len(port) <= 5):
        return "", None
    return name.removeprefix("[").removesuffix("]").rstrip("."), int(port) if port else None
