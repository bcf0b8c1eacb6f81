"""The page as it is really served: its port, its signals, TLS, and what reaches it raw."""

import contextlib
import signal
import socket
import ssl
import stat
import subprocess
import sys
import threading

import httpx
import pytest

from neuroinspect.errors import SettingsError
from neuroinspect.web.serving import PageServer
from neuroinspect.web.settings import PageSettings, signing_key
from tests.web.safety import HTML, csrf_of, log_in, page_settings, really_served, reviewers_of, small_page
from tests.web.served import until


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A page on a port of its own."""
    settings = page_settings()
    with really_served(small_page(tmp_path_factory.mktemp("served"), settings), settings) as running:
        yield running


def raw(server, request):
    """Send bytes, and read until the page closes the connection."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.sendall(request)
        answer = b""
        with contextlib.suppress(ConnectionResetError):
            while part := connection.recv(65536):
                answer += part
    return answer


def status(answer):
    return int(answer.split(b" ", 2)[1])


def test_the_page_answers_at_the_address_it_tells(server):
    answer = httpx.get(f"{server.address}/reviews", headers=HTML)
    assert answer.status_code == 200
    assert "server" not in answer.headers


def test_a_foreign_name_is_refused_on_the_wire(server):
    answer = raw(server, b"GET /reviews HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n")
    assert status(answer) == 403
    assert b"default-src 'none'" in answer


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nHost: evil.example\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx",
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Length: -1\r\n\r\n",
        b"GET /\x00 HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n",
    ],
)
def test_what_is_no_http_is_refused(server, head):
    answer = raw(server, head.replace(b"%d", str(server.port).encode()))
    assert status(answer) in {400, 403, 404}


def test_what_is_sent_without_a_length_is_counted_as_it_comes(server):
    begin = f"POST /logout HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    answer = raw(server, begin + b"4000\r\n" + b"x" * 0x4000 + b"\r\n" + (b"4000\r\n" + b"x" * 0x4000 + b"\r\n") * 20)
    assert status(answer) == 413


def test_a_length_that_is_too_large_is_refused_before_anything_is_read(server):
    answer = raw(
        server, f"POST /logout HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nContent-Length: 65537\r\n\r\n".encode()
    )
    assert status(answer) == 413


@pytest.mark.parametrize("fields", [b"X-A: " + b"x" * 70_000, b"\r\n".join(b"X-%d: x" % n for n in range(20_000))])
def test_headers_have_a_limit(server, fields):
    answer = raw(server, f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n".encode() + fields + b"\r\n\r\n")
    assert status(answer) in {400, 431}


def test_head_is_get_without_a_body(server):
    address = f"http://127.0.0.1:{server.port}/reviews"
    head, get = httpx.head(address, headers=HTML), httpx.get(address, headers=HTML)
    assert (head.status_code, head.content, head.headers["content-type"]) == (200, b"", get.headers["content-type"])


def test_a_body_that_does_not_come_is_not_waited_for(tmp_path):
    settings = page_settings(limits={"body_seconds": 0.2})
    with really_served(small_page(tmp_path, settings), settings) as slow:
        answer = raw(
            slow, f"POST /logout HTTP/1.1\r\nHost: 127.0.0.1:{slow.port}\r\nContent-Length: 5\r\n\r\nab".encode()
        )
    assert status(answer) == 408


@pytest.mark.parametrize(
    ("changes", "address"),
    [
        ({}, "http://127.0.0.1:"),
        ({"host": "localhost"}, "http://localhost:"),
        ({"host": "0.0.0.0"}, "http://127.0.0.1:"),
        ({"host": "0.0.0.0", "names": {"reviews.example.org"}}, "http://reviews.example.org:"),
    ],
)
def test_the_address_is_one_that_a_browser_can_open(changes, address):
    server = PageServer(None, page_settings(**changes))
    assert server.address == f"{address}{server.port}"
    server.close()


def test_a_port_in_use_is_said_so(server):
    with pytest.raises(SettingsError, match=r"cannot listen on 127\.0\.0\.1, port"):
        PageServer(None, page_settings(port=server.port))


@pytest.mark.parametrize("host", ["192.0.2.1", "no.such.host.invalid"])
def test_an_address_that_is_not_ours_is_said_so(host):
    with pytest.raises(SettingsError, match=r"no address|cannot listen"):
        PageServer(None, page_settings(host=host))


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A certificate for 127.0.0.1 and its key."""
    folder = tmp_path_factory.mktemp("tls")
    command = (
        "openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=localhost -keyout key.pem -out certificate.pem"
    )
    subprocess.run(
        [*command.split(), "-addext", "subjectAltName=IP:127.0.0.1"], cwd=folder, check=True, capture_output=True
    )
    return {"certificate": folder / "certificate.pem", "certificate_key": folder / "key.pem"}


def test_over_tls_a_reviewer_logs_in_and_the_cookie_stays_there(tmp_path, certificate):
    settings = page_settings(login=True, **certificate)
    token = reviewers_of(tmp_path).add("Ann")
    context = ssl.create_default_context(cafile=certificate["certificate"])
    with really_served(small_page(tmp_path, settings), settings) as tls:
        assert tls.address.startswith("https://")
        with httpx.Client(base_url=tls.address, verify=context) as client:
            assert log_in(client, token).status_code == 303
            assert [(cookie.secure, cookie.name.startswith("__Host-")) for cookie in client.cookies.jar] == [
                (True, True)
            ]
            assert client.get("/reviews", headers=HTML).status_code == 200


def test_a_certificate_that_is_none_is_said_so(tmp_path):
    wrong = tmp_path / "wrong.pem"
    wrong.write_text("nothing")
    with pytest.raises(SettingsError, match="no certificate"):
        PageServer(None, page_settings(certificate=wrong, certificate_key=wrong))


_SERVE = """
import sys, tempfile, pathlib
from neuroinspect.web.serving import serve
from tests.web.safety import page_settings, small_page
app = small_page(pathlib.Path(sys.argv[1]))
serve(app, page_settings(), announce=lambda address: print(address, flush=True))
print("ended", flush=True)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_page_in_good_order(tmp_path, number):
    with subprocess.Popen([sys.executable, "-c", _SERVE, tmp_path], stdout=subprocess.PIPE, text=True) as process:
        address = process.stdout.readline().strip()
        until(lambda: _answers(address))
        process.send_signal(number)
        assert (process.stdout.read(), process.wait(20)) == ("ended\n", 0)


def _answers(address):
    try:
        return httpx.get(f"{address}/health").status_code == 200
    except httpx.TransportError:
        return False


# Settings


def test_the_key_is_made_once_and_is_its_owners_alone(tmp_path):
    keys, barrier = [], threading.Barrier(8)

    def make():
        barrier.wait()
        keys.append(signing_key(tmp_path / "state"))

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(keys), len(set(keys)), len(keys[0])) == (8, 1, 32)
    assert stat.S_IMODE((tmp_path / "state" / "page.key").stat().st_mode) == 0o600
    assert [file.name for file in (tmp_path / "state").iterdir()] == ["page.key"]


def test_a_key_that_others_can_read_is_refused(tmp_path):
    signing_key(tmp_path)
    (tmp_path / "page.key").chmod(0o644)
    with pytest.raises(SettingsError, match="others can read"):
        signing_key(tmp_path)


def test_a_key_that_is_cut_off_is_refused(tmp_path):
    (tmp_path / "page.key").write_bytes(b"short")
    with pytest.raises(SettingsError, match="is no key"):
        signing_key(tmp_path)


def test_the_key_is_never_shown():
    assert "kkkk" not in repr(page_settings())
    assert "kkkk" not in page_settings().model_dump_json()


@pytest.mark.parametrize(
    ("changes", "asks", "secure", "warns"),
    [
        ({}, False, False, False),
        ({"host": "localhost"}, False, False, False),
        ({"host": "::1"}, False, False, False),
        ({"login": True}, True, False, False),
        ({"host": "0.0.0.0"}, True, True, True),
        ({"host": "::"}, True, True, True),
        ({"host": "192.0.2.1"}, True, True, True),
        ({"names": {"reviews.example.org"}}, True, True, True),
        ({"proxies": ["127.0.0.1/32"]}, True, True, False),
    ],
)
def test_whatever_can_be_reached_from_elsewhere_asks_for_a_login(changes, asks, secure, warns):
    settings = page_settings(**changes)
    assert (settings.asks_who, settings.secure, settings.warning is not None) == (asks, secure, warns)


@pytest.mark.parametrize(
    "wrong",
    [
        {"certificate": "c.pem"},
        {"user_header": "X-User"},
        {"user_header": "X User", "proxies": ["127.0.0.1/32"]},
        {"proxies": ["example.org"]},
        {"key": b"short"},
        {"host": ""},
        {"port": 70_000},
        {"unknown": 1},
    ],
)
def test_settings_that_do_not_fit_are_refused(wrong):
    with pytest.raises(ValueError, match="validation error"):
        page_settings(**wrong)


def test_without_a_key_sessions_end_with_the_process():
    keys = {PageSettings.for_loopback(reviewer="ann").key.get_secret_value() for _ in range(2)}
    assert len(keys) == 2


def test_csrf_is_stable_within_a_session(server):
    with httpx.Client(base_url=f"http://127.0.0.1:{server.port}") as client:
        assert csrf_of(client) == csrf_of(client)
