"""Tells an address of the user's choice what happened to reviews: one POST for each event, at least once.

What is to be told was written into the review store together with the event, so a process that is killed loses nothing: the next
sender goes on. The address may hold a secret, so only its host is ever shown.
"""

import http.client
import json
import logging
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import SplitResult, quote, urlsplit

from neuroinspect.adapters.public_address import Resolve, checked_addresses, resolved
from neuroinspect.errors import NeuroInspectError
from neuroinspect.review import ReviewBook, StoredReview
from neuroinspect.review.notice import Notice, NoticeBook

_SECONDS: Final = 10.0
_ROUND_SECONDS: Final = 2.0
_ADDRESSES: Final = 3  # of a name are tried
_LONGEST: Final = 200
_PORTS: Final = {"http": 80, "https": 443}
_KEPT: Final = "/%:=&?~+!$,;'@()*[]"  # what stays as it is in a path and a query
log = logging.getLogger(__name__)


def _now() -> datetime:
    return datetime.now(UTC)


class _AwayError(Exception):
    """It cannot be reached at all."""


class Webhook:
    """Sends what is to be told.

    Args:
        url: http or https; never shown.
        book: the review store.
        notices: what is to be told.
        page_of: where the page shows a review.
        private: allow an address that is not public.
        seconds: in which the whole exchange must be done.
        resolve: asks the name service.
        clock: tells the time.
    """

    def __init__(
        self,
        url: str,
        *,
        book: ReviewBook,
        notices: NoticeBook,
        page_of: Callable[[str], str],
        private: bool = False,
        seconds: float = _SECONDS,
        resolve: Resolve = resolved,
        clock: Callable[[], datetime] = _now,
    ) -> None:
        self._parts: SplitResult = urlsplit(url)
        self._book, self._notices, self._page_of = book, notices, page_of
        self._private, self._seconds = private, seconds
        self._resolve, self._clock = resolve, clock
        self._said = ""

    def send_due(self) -> int:
        """Tell what is to be told now; how many were taken. What goes wrong is logged, never raised."""
        taken = 0
        try:
            for notice in self._notices.unsent():
                if notice.is_over(self._clock()):
                    self._notices.drop(notice.key)
                    log.warning("%s: it was tried for a day, and is given up", self._untold(notice))
                elif notice.is_due(self._clock()) and self._notices.claim(notice):
                    taken += self._send(notice)
        except _AwayError:
            return taken  # the others would wait for it in vain
        except NeuroInspectError as error:
            if str(error) != self._said:  # not in every round
                log.warning("nobody is told what happened to the reviews: %s", error)
            self._said = str(error)
        else:
            self._said = ""
        return taken

    @contextmanager
    def in_background(self) -> Iterator[None]:
        """Send in a thread of its own while the context is open: an address that is slow keeps nothing else waiting."""
        ended = threading.Event()

        def send() -> None:
            while not ended.is_set():
                self.send_due()
                ended.wait(_ROUND_SECONDS)

        thread = threading.Thread(target=send, name="webhook", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join(self._seconds)

    def _send(self, notice: Notice) -> bool:
        stored = self._book.review(notice.request)
        if stored is None:
            return False
        # Said aloud once, not at every attempt of a day.
        level = logging.DEBUG if notice.attempts else logging.WARNING
        try:
            status = self._post(message(notice, stored, page=self._page_of(notice.request)))
        except (NeuroInspectError, OSError, http.client.HTTPException) as error:
            reason = str(error) if isinstance(error, NeuroInspectError) else type(error).__name__
            log.log(level, "%s: %s; it is tried again for a day", self._untold(notice), reason)
            raise _AwayError from error
        if status // 100 != 2:
            refusal = ", a redirect, which is not followed" if status // 100 == 3 else ""
            log.log(level, "%s: it answered %d%s; it is tried again for a day", self._untold(notice), status, refusal)
            return False
        self._notices.mark_sent(notice.key)
        return True

    def _untold(self, notice: Notice) -> str:
        return f"{self._parts.hostname} was not told that review {notice.request[:12]} was {notice.event}"

    def _post(self, values: dict[str, Any]) -> int:
        """One request to an address that was looked at; no redirect, no proxy, and of the answer only its status.

        Raises:
            SettingsError: the host is on a private address.
            OutsideError: its name is not known.
            OSError, HTTPException: the connection failed or took too long, or what answers speaks no HTTP.
        """
        target = quote(self._parts.path or "/", safe=_KEPT)
        target += f"?{quote(self._parts.query, safe=_KEPT)}" if self._parts.query else ""
        headers = {"Content-Type": "application/json", "User-Agent": "neuroinspect", "Connection": "close"}
        with self._connection() as connection:
            connection.request("POST", target, body=json.dumps(values).encode(), headers=headers)
            return connection.getresponse().status

    @contextmanager
    def _connection(self) -> Iterator[http.client.HTTPConnection]:
        secure, host = self._parts.scheme == "https", self._parts.hostname or ""
        port = self._parts.port or _PORTS[self._parts.scheme]
        addresses = checked_addresses(host, port, private=self._private, resolve=self._resolve)
        kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        connection = kind(host, port, timeout=self._seconds)  # of the name it makes the Host header alone
        with _connected(addresses, port, seconds=self._seconds) as raw, _cut_off(raw, seconds=self._seconds):
            connection.sock = ssl.create_default_context().wrap_socket(raw, server_hostname=host) if secure else raw
            with connection.sock:
                yield connection


def message(notice: Notice, stored: StoredReview, *, page: str) -> dict[str, Any]:
    """What is sent: `text`, one sentence as Slack shows it, and the same as fields.

    Args:
        notice: what happened.
        stored: the review.
        page: where it is shown.
    """
    request, decision = stored.request, notice.decision
    verdict = None if decision is None else decision.verdict
    outcome = str((notice.detail or {}).get("outcome", "")) or None
    name = _plain(request.class_name)
    count = len(request.candidates)
    neurons = 0 if decision is None else len(decision.chosen)
    sentence = {
        "opened": f"Which neurons carry what the model should not rely on in {name}? {count} candidates wait for a decision",
        "decided": f"The review of {name} is {verdict} by {_plain(decision.by if decision else '')}"
        + (f": {neurons} neurons are edited" if neurons else ""),
        "edited": f"What follows the review of {name} is done: {_plain(outcome or '')}",
    }[notice.event]
    return {
        "text": f"{sentence.rstrip('.: ')}. {page}",
        "event": notice.event,
        "request": request.id,
        "class": request.class_name,
        "candidates": count,
        "by": None if decision is None else decision.by,
        "verdict": outcome if notice.event == "edited" else verdict,
        "url": page,
    }


def _plain(text: str) -> str:
    """On one line, not too long, and without what Slack would take for a mention or a link."""
    line = " ".join(text.split())
    line = line if len(line) <= _LONGEST else f"{line[: _LONGEST - 3]}..."
    return line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


@contextmanager
def _connected(addresses: list[str], port: int, *, seconds: float) -> Iterator[socket.socket]:
    """A connection to the first address that takes one.

    Raises:
        OSError: none does.
    """
    refused: OSError = OSError("no address")
    for address in addresses[:_ADDRESSES]:
        try:
            connected = socket.create_connection((address, port), timeout=seconds)
        except OSError as error:
            refused = error
            continue
        with connected:
            yield connected
        return
    raise refused


@contextmanager
def _cut_off(connected: socket.socket, *, seconds: float) -> Iterator[None]:
    """End a connection after a time, also one on which now and then a byte comes."""
    # TLS takes the socket over; this is another name of the same connection.
    with connected.dup() as same:

        def end() -> None:
            with suppress(OSError):  # the other side has closed it already
                same.shutdown(socket.SHUT_RDWR)

        timer = threading.Timer(seconds, end)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            timer.join()
