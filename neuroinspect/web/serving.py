"""Serves the page until it is told to stop."""

import logging
import signal
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import uvicorn

from neuroinspect.errors import SettingsError
from neuroinspect.web.settings import PageSettings, is_loopback

_GRACE_SECONDS: Final = 10
_WAITING: Final = 128
_HEADER_BYTES: Final = 16 * 1024
_EVERYWHERE: Final = frozenset({"0.0.0.0", "::"})
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
log = logging.getLogger(__name__)


class PageServer:
    """The page behind a port that is taken at once, so that its address can be told before anything is served.

    Args:
        app: the page.
        settings: where to listen, and whether by TLS.

    Raises:
        SettingsError: the address is not ours or in use, or the certificate does not fit.
    """

    def __init__(self, app: Any, settings: PageSettings) -> None:
        context = _tls(settings)
        self._settings = settings
        self._socket = _listening(settings)
        config = uvicorn.Config(
            app,
            http="h11",
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            # Where a request comes from, the page reads itself, and believes only the proxies of its settings.
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=_GRACE_SECONDS,
            h11_max_incomplete_event_size=_HEADER_BYTES,
            ssl_context_factory=None if context is None else lambda _config, _default: context,
        )
        self._server = _Server(config)

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self._socket.getsockname()[1])

    @property
    def address(self) -> str:
        """Where the page is opened; a page that listens everywhere is opened by its name, or on this machine."""
        host = self._settings.host.strip("[]")
        if host in _EVERYWHERE:
            host = min(self._settings.names, default="127.0.0.1")
        scheme = "http" if self._settings.certificate is None else "https"
        return f"{scheme}://{f'[{host}]' if ':' in host else host}:{self.port}"

    @property
    def started(self) -> bool:
        """Whether requests are answered."""
        return self._server.started

    def run(self) -> None:
        """Serve until `stop`, or until a signal asks this process to end; requests that are being answered are finished."""
        warning = self._settings.warning
        if warning is not None:
            log.warning("%s", warning)
        try:
            with _stopped_by_signals(self.stop):
                self._server.run(sockets=[self._socket])
        finally:
            self.close()

    def close(self) -> None:
        """Give the port back."""
        self._socket.close()

    def stop(self) -> None:
        """End soon; asked twice, at once."""
        self._server.force_exit = self._server.should_exit
        self._server.should_exit = True


def serve(app: Any, settings: PageSettings, *, announce: Callable[[str], None] = lambda _address: None) -> None:
    """Serve the page until a signal asks this process to end.

    Args:
        app: the page.
        settings: where and how.
        announce: told the address once the port is taken.

    Raises:
        SettingsError: the address is not ours or in use, or the certificate does not fit.
    """
    server = PageServer(app, settings)
    announce(server.address)
    server.run()


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to `_stopped_by_signals`: uvicorn would send them again, and what comes after `run` would not run."""
        yield


@contextmanager
def _stopped_by_signals(stop: Callable[[], None]) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {each: signal.signal(each, lambda _number, _frame: stop()) for each in _SIGNALS}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def _listening(settings: PageSettings) -> socket.socket:
    host, port = settings.host.strip("[]"), settings.port
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise SettingsError(
            f"there is no address {host!r} ({error.strerror or error}); give one of this machine"
        ) from error
    family, _, _, _, address = found[0]
    if is_loopback(host) and not is_loopback(str(address[0])):
        raise SettingsError(f"{host!r} should be this machine and is {address[0]}; give 127.0.0.1")
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(_WAITING)  # whoever is told the address may ask at once
    except OSError as error:
        listening.close()
        raise SettingsError(
            f"cannot listen on {host}, port {port}: {error.strerror or error}; choose another with --host or --port, or stop "
            "what listens there"
        ) from error
    return listening


def _tls(settings: PageSettings) -> ssl.SSLContext | None:
    if settings.certificate is None or settings.certificate_key is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        # Without a function that gives it, a password would be asked for on the terminal.
        context.load_cert_chain(settings.certificate, settings.certificate_key, password=lambda: b"")
    except (OSError, ssl.SSLError, ValueError) as error:
        raise SettingsError(
            f"{settings.certificate} and {settings.certificate_key} are no certificate and its key ({error}); both are PEM "
            "files, the key without a password"
        ) from error
    return context
