"""The webhook against a real server: what is told, that nothing is lost, and where nothing is sent."""

import logging
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from neuroinspect.adapters.sql_notices import SqlNotices
from neuroinspect.adapters.sql_reviews import SqlReviews
from neuroinspect.adapters.webhook import Webhook
from neuroinspect.review import Candidate, decide, open_request
from tests.adapters.review_store import exit_code_of
from tests.adapters.webhook_server import Receiver, receiver

REQUEST = open_request(
    [Candidate(neuron=neuron, direction="both", vote_share=0.5) for neuron in (3, 5, 7)],
    class_name="<!channel> fish & chips",
    class_index=2,
    model="m",
    data_version="d",
)
APPROVAL = decide(REQUEST, verdict="approved", neurons={REQUEST.class_name: (3, 5)}, by="ada")
PAGE = f"https://reviews.example/reviews/{REQUEST.id}"


class Clock:
    """The time, as far as a test has come."""

    def __init__(self) -> None:
        self.now = datetime.now(UTC)

    def __call__(self) -> datetime:
        return self.now

    def go_on(self, **time: float) -> None:
        self.now += timedelta(**time)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def url(tmp_path) -> str:
    return f"sqlite:///{tmp_path / 'reviews.db'}"


@pytest.fixture
def book(url, tmp_path, clock) -> SqlReviews:
    """A store in which a review has just been opened."""
    store = SqlReviews(url, notices=True, clock=clock)
    store.open(REQUEST.record(), run=tmp_path / "run")
    return store


@pytest.fixture
def server() -> Iterator[Receiver]:
    with receiver() as running:
        yield running


@pytest.fixture
def hook(url, book, server, clock) -> Callable[..., Webhook]:
    """Makes a sender to the server, which lies on a private address."""

    def made(address: str | None = None, *, private: bool = True, **given: Any) -> Webhook:
        target = address or f"http://127.0.0.1:{server.port}/services/s3cret?team=one"
        notices = SqlNotices(url, clock=clock)
        return Webhook(
            target,
            book=book,
            notices=notices,
            page_of=lambda one: f"https://reviews.example/reviews/{one}",
            private=private,
            clock=clock,
            **given,
        )

    return made


def told(server: Receiver) -> list[str]:
    return [body["event"] for _, _, body in server.seen]


def test_what_happens_is_told_once_in_words_and_as_fields(book, hook, server, tmp_path):
    sender = hook()
    assert sender.send_due() == 1
    book.decide(APPROVAL.record())
    book.finish(APPROVAL.record(), run=tmp_path / "run", outcome="The edit helps.")
    assert sender.send_due() == 2
    assert sender.send_due() == 0
    opened, decided, edited = (body for _, _, body in server.seen)
    common = {"request": REQUEST.id, "class": REQUEST.class_name, "candidates": 3, "url": PAGE}
    for body in (opened, decided, edited):
        assert {name: body[name] for name in common} == common
    assert (opened["event"], opened["by"], opened["verdict"]) == ("opened", None, None)
    assert (decided["event"], decided["by"], decided["verdict"]) == ("decided", "ada", "approved")
    assert (edited["event"], edited["by"], edited["verdict"]) == ("edited", "ada", "The edit helps.")
    assert opened["text"] == (
        "Which neurons carry what the model should not rely on in &lt;!channel&gt; fish &amp; chips? 3 candidates wait for a "
        f"decision. {PAGE}"
    )
    assert "is approved by ada: 2 neurons are edited. " in decided["text"]
    assert edited["text"].endswith(f"is done: The edit helps. {PAGE}")


def test_the_request_is_json_to_the_very_path_with_the_name_of_the_host(hook, server):
    hook().send_due()
    ((path, headers, _),) = server.seen
    assert path == "/services/s3cret?team=one"
    assert headers["Host"] == f"127.0.0.1:{server.port}"
    assert headers["Content-Type"] == "application/json"


def test_a_class_name_of_any_length_makes_a_short_sentence(book, hook, server, tmp_path):
    long = open_request(
        REQUEST.candidates, class_name="f\nish \u202e" + "x" * 5_000, class_index=1, model="m", data_version="d"
    )
    book.open(long.record(), run=tmp_path / "run")
    assert hook().send_due() == 2
    text = server.seen[-1][2]["text"]
    assert len(text) < 500
    assert "\n" not in text


@pytest.mark.parametrize("status", [400, 404, 500, 503])
def test_what_is_refused_is_sent_again_later_and_marked_when_it_is_taken(hook, server, clock, caplog, status):
    server.status = status
    sender = hook()
    assert sender.send_due() == 0
    assert f"it answered {status}" in caplog.text
    assert sender.send_due() == 0
    assert len(server.seen) == 1
    server.status = 204
    clock.go_on(seconds=31)
    assert sender.send_due() == 1
    clock.go_on(hours=2)
    assert sender.send_due() == 0
    assert told(server) == ["opened", "opened"]


def test_attempts_become_rarer_and_end_after_a_day(hook, server, clock, caplog):
    server.status = 500
    sender = hook()
    for _ in range(26 * 6):
        sender.send_due()
        clock.go_on(minutes=10)
    assert 6 <= len(server.seen) <= 12
    assert "is given up" in caplog.text
    assert caplog.text.count("it is tried again for a day") == 1
    server.status = 200
    assert sender.send_due() == 0


def test_the_secret_of_the_address_is_never_logged(hook, server, clock, caplog):
    caplog.set_level(logging.DEBUG)
    server.status = 500
    hook().send_due()
    server.hangs = True
    clock.go_on(hours=1)
    hook(seconds=0.1).send_due()
    clock.go_on(days=2)
    hook().send_due()
    hook(f"http://10.0.0.1:{server.port}/s3cret", private=False).send_due()
    assert "127.0.0.1" in caplog.text
    assert "s3cret" not in caplog.text
    assert "team=" not in caplog.text


def test_a_private_address_gets_nothing_unless_it_is_allowed(hook, server, caplog):
    assert hook(private=False).send_due() == 0
    assert server.seen == []
    assert "NEUROINSPECT_WEBHOOK_PRIVATE" in caplog.text


def test_a_name_that_lies_on_a_private_address_gets_nothing(hook, server):
    sender = hook(f"http://hooks.example:{server.port}/", private=False, resolve=lambda host, port: ["127.0.0.1"])
    assert sender.send_due() == 0
    assert server.seen == []


def test_a_redirect_is_not_followed(hook, server, caplog):
    with receiver() as other:
        server.status, server.location = 307, f"http://127.0.0.1:{other.port}/inside"
        assert hook().send_due() == 0
        assert len(server.seen) == 1
        assert other.seen == []
    assert "it answered 307, a redirect, which is not followed" in caplog.text


def test_a_name_that_changes_its_address_after_it_was_looked_at_changes_nothing(hook, server, monkeypatch):
    """The connection goes to the address that was checked; nobody asks for the name again."""
    asked, connected = [], []

    def resolve(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["93.184.215.14"] if len(asked) == 1 else ["127.0.0.1"]

    def connect(address: tuple[str, int], timeout: float | None = None, **_: Any) -> socket.socket:
        connected.append(address)
        raise ConnectionRefusedError

    monkeypatch.setattr(socket, "create_connection", connect)
    hook(f"http://hooks.example:{server.port}/", private=False, resolve=resolve).send_due()
    assert asked == ["hooks.example"]
    assert connected == [("93.184.215.14", server.port)]


def test_the_host_header_names_the_host_and_not_the_address(hook, server):
    sender = hook(f"http://hooks.example:{server.port}/x", resolve=lambda host, port: ["127.0.0.1"])
    assert sender.send_due() == 1
    assert server.seen[0][1]["Host"] == f"hooks.example:{server.port}"


def test_another_address_of_the_name_is_tried_where_the_first_is_silent(hook, server):
    sender = hook(f"http://hooks.example:{server.port}/", resolve=lambda host, port: ["127.0.0.2", "127.0.0.1"])
    assert sender.send_due() == 1


def test_no_proxy_of_the_environment_is_asked(hook, server, monkeypatch):
    with receiver() as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        assert hook().send_due() == 1
        assert proxy.seen == []


@pytest.mark.parametrize("how", ["hangs", "drips"])
def test_a_server_that_never_comes_to_an_end_is_left_and_keeps_nobody_waiting(book, hook, server, tmp_path, how):
    setattr(server, how, True)
    for name in ("a", "b", "c"):
        other = open_request(REQUEST.candidates, class_name=name, class_index=1, model="m", data_version="d")
        book.open(other.record(), run=tmp_path / "run")
    began = time.monotonic()
    assert hook(seconds=0.3).send_due() == 0
    assert time.monotonic() - began < 5
    assert len(server.seen) == 1  # the others are not tried in vain


def test_what_answers_and_is_no_web_server_is_one_failure(hook, clock, caplog):
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(10)

        def babble() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.sendall(b"SSH-2.0-babble\r\n" * 10)

        thread = threading.Thread(target=babble)
        thread.start()
        assert hook(f"http://127.0.0.1:{listening.getsockname()[1]}/").send_due() == 0
        thread.join()
    assert "was not told" in caplog.text


@pytest.fixture(scope="module")
def certificate(tmp_path_factory) -> tuple[Path, Path]:
    """A certificate for hooks.example that nobody vouches for, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    words = (
        "openssl req -x509 -newkey rsa:2048 -nodes -days 1 -keyout key.pem -out certificate.pem -subj /CN=hooks.example"
    )
    words += " -addext subjectAltName=DNS:hooks.example"
    subprocess.run(words.split(), cwd=folder, check=True, capture_output=True)
    return folder / "certificate.pem", folder / "key.pem"


@pytest.mark.parametrize(
    ("host", "trusted", "taken"), [("hooks.example", True, 1), ("other.example", True, 0), ("hooks.example", False, 0)]
)
def test_over_tls_the_certificate_must_be_good_and_of_the_name(
    hook, certificate, monkeypatch, caplog, host, trusted, taken
):
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    with receiver(certificate) as secure:
        sender = hook(f"https://{host}:{secure.port}/s3cret", resolve=lambda host, port: ["127.0.0.1"], seconds=5)
        assert sender.send_due() == taken
        assert len(secure.seen) == taken
    assert ("SSLCertVerificationError" in caplog.text) == (not taken)


def test_over_tls_too_a_server_that_drips_is_left(hook, certificate, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    with receiver(certificate) as secure:
        secure.drips = True
        sender = hook(f"https://hooks.example:{secure.port}/", resolve=lambda host, port: ["127.0.0.1"], seconds=0.5)
        began = time.monotonic()
        assert sender.send_due() == 0
        assert time.monotonic() - began < 5
        assert len(secure.seen) == 1


class Dying(SqlNotices):
    """Is killed after a notice was taken and before that is noted."""

    def mark_sent(self, key: str) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


def send_and_die(url: str, target: str) -> None:
    Webhook(target, book=SqlReviews(url), notices=Dying(url), page_of=str, private=True).send_due()


def test_a_sender_killed_after_it_sent_lets_another_send_again(url, book, hook, server, clock):
    target = f"http://127.0.0.1:{server.port}/"
    assert exit_code_of(send_and_die, url, target) == -signal.SIGKILL
    assert told(server) == ["opened"]
    clock.go_on(minutes=1)
    assert hook().send_due() == 1
    assert told(server) == ["opened", "opened"]


def test_two_senders_at_once_send_once(hook, server, url):
    first = SqlNotices(url).unsent()
    assert hook().send_due() == 1
    assert SqlNotices(url).claim(first[0]) is False
    assert told(server) == ["opened"]


def test_in_the_background_it_sends_until_the_context_ends(book, hook, server):
    with hook().in_background():
        deadline = time.monotonic() + 20
        while not server.seen and time.monotonic() < deadline:
            server.over.wait(0.02)
    assert told(server) == ["opened"]


def test_a_review_that_is_asked_again_is_told_again(url, hook, server, clock, tmp_path):
    store = SqlReviews(url, notices=True, expires_after=timedelta(hours=1), clock=clock)
    other = open_request(REQUEST.candidates, class_name="boat", class_index=1, model="m", data_version="d")
    store.open(other.record(), run=tmp_path / "run")
    store.open(other.record(), run=tmp_path / "run")
    assert hook().send_due() == 2
    clock.go_on(hours=2)
    store.open(other.record(), run=tmp_path / "run")
    assert hook().send_due() == 1
    assert [body["class"] for _, _, body in server.seen] == [REQUEST.class_name, "boat", "boat"]


def test_a_store_that_is_away_is_logged_once_and_nothing_is_raised(hook, tmp_path, caplog):
    sender = hook()
    for file in tmp_path.glob("reviews.db*"):
        file.unlink()
    (tmp_path / "reviews.db").write_text("no database")
    for _ in range(3):
        assert sender.send_due() == 0
    assert caplog.text.count("nobody is told") == 1
