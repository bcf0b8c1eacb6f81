"""What is too large, too deep or no text is refused before any route sees it, and every answer carries the safety headers."""

import json

import pytest
from fastapi import Request, Response
from fastapi.testclient import TestClient

from neuroinspect.web.pages import Pages
from neuroinspect.web.safety.headers import SafeHeaders
from tests.web.safety import HTML, browser_of, csrf_of, page_settings, small_page, write

LARGEST = 64 * 1024


@pytest.fixture
def client(tmp_path):
    return browser_of(small_page(tmp_path))


def put(client, body, **headers):
    return client.put(
        "/api/probe",
        content=body,
        headers={"X-CSRF-Token": csrf_of(client), "Content-Type": "application/json", **headers},
    )


def test_a_body_may_have_the_largest_size_and_not_one_byte_more(client):
    body = b'{"a": "' + b"x" * (LARGEST - 9) + b'"}'
    assert len(body) == LARGEST
    assert put(client, body).status_code == 200
    answer = put(client, body + b" ")
    assert (answer.status_code, answer.json()["kind"]) == (413, "ContentTooLarge")


def test_a_body_in_parts_is_counted(client):
    parts = iter([b'{"a": "', *[b"x" * 1024] * 70, b'"}'])
    assert put(client, parts).status_code == 413


def test_a_length_that_says_less_than_comes_does_not_help(client):
    assert put(client, b"x" * (LARGEST + 1), **{"Content-Length": "5"}).status_code == 413


@pytest.mark.parametrize("length", ["9" * 30, "65537"])
def test_a_length_that_says_too_much_is_refused_at_once(client, length):
    assert put(client, b"{}", **{"Content-Length": length}).status_code == 413


def test_reading_with_a_large_body_is_refused_too(client):
    assert client.request("GET", "/reviews", content=b"x" * (LARGEST + 1)).status_code == 413


@pytest.mark.parametrize(
    ("path", "status"), [("/nothing?" + "a" * 4000, 404), ("/nothing?" + "a" * 4096, 414), ("/" + "a" * 5000, 414)]
)
def test_an_address_has_a_limit(client, path, status):
    assert client.get(path).status_code == status


def test_headers_have_a_limit_together(client):
    assert client.get("/health", headers={"X-A": "x" * 8000}).status_code == 200
    assert client.get("/health", headers={"X-A": "x" * 8000, "X-B": "x" * 9000}).status_code == 431


@pytest.mark.parametrize(
    "body",
    [
        b'{"a": NaN}',
        b'{"a": Infinity}',
        b'{"a": [-Infinity]}',
        b'{"a": 9007199254740993}',
        b'{"a": -9007199254740993}',
        b'{"a": ' + b"9" * 5000 + b"}",
        b'{"a": "\\ud800"}',
        b'{"\\udfff": 1}',
        b'{"a": "\xff\xfe"}',
        b'\xef\xbb\xbf{"a": 1}',
        "{}".encode("utf-16"),
        b'{"a": ' + b"[" * 30_000 + b"]" * 30_000 + b"}",
        b'{"a":' * 10_000,
        b'{"a": 1',
        b"{'a': 1}",
        b'{"a": 1} x',
        b"\x00",
        b" ",
    ],
    ids=lambda body: repr(body[:16]),
)
def test_a_body_that_is_no_plain_json_is_refused(client, body):
    answer = put(client, body)
    assert (answer.status_code, answer.json()["kind"]) == (400, "InvalidJson")
    assert len(answer.text) < 300


@pytest.mark.parametrize("value", [2**53, -(2**53), 1e308, 1.5, "\U0001f41f", "e\u0301", "\u202e", None, True])
def test_plain_json_comes_through_as_it_is(client, value):
    assert write(client, {"a": value}).json()["value"] == {"a": value}


@pytest.mark.parametrize("body", [b"[]", b"1", b"null", b'"x"'])
def test_json_of_another_kind_is_named(client, body):
    answer = put(client, body)
    assert (answer.status_code, answer.json()["kind"]) == (422, "ValidationError")


def test_a_refusal_does_not_repeat_what_came(client):
    answer = put(client, json.dumps(["SENT" * 10_000]).encode())
    assert answer.status_code == 422
    assert "SENT" not in answer.text


@pytest.mark.parametrize(
    "path", ["/a%00b", "/reviews/%0d%0aSet-Cookie:a=b", "/%1b[31m", "/reviews/\u202ex", "/%ff%fe", "/%ed%a0%80"]
)
@pytest.mark.parametrize("accept", ["text/html", "application/json"])
def test_an_odd_path_is_a_page_that_does_not_exist(client, path, accept):
    answer = client.get(path, headers={"Accept": accept})
    assert answer.status_code == 404
    assert "set-cookie: a" not in str(answer.headers).lower()


@pytest.mark.parametrize(
    ("path", "accept", "kind"),
    [
        ("/nothing", "text/html,*/*;q=0.8", "text/html; charset=utf-8"),
        ("/nothing", "*/*", "application/json"),
        ("/nothing", "image/avif,image/*;q=0.8", "application/json"),
        ("/api/nothing", "text/html", "application/json"),
    ],
)
def test_a_person_gets_a_page_and_a_program_gets_json(client, path, accept, kind):
    answer = client.get(path, headers={"Accept": accept})
    assert (answer.status_code, answer.headers["content-type"]) == (404, kind)


@pytest.mark.parametrize(
    "path", ["/reviews", "/health", "/nothing", "/api/failure", "/openapi.json", "/static/page.css"]
)
def test_every_answer_carries_the_safety_headers(client, path):
    for answer in (client.get(path, headers=HTML), client.get(path, headers={"Host": "evil.example"})):
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; ")
        assert not {"unsafe-inline", "unsafe-eval", "*", "data:", "http:", "https:"} & set(
            policy.replace(";", " ").split()
        )
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "same-origin"
        assert answer.headers["cross-origin-opener-policy"] == "same-origin"
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"
        assert answer.headers["x-frame-options"] == "DENY"
        assert "camera=()" in answer.headers["permissions-policy"]
        assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize("path", ["/reviews", "/health", "/nothing", "/openapi.json", "/login"])
def test_no_page_and_no_call_is_kept_by_a_browser_or_proxy(client, path):
    assert client.get(path).headers["cache-control"] == "no-store"


@pytest.mark.parametrize("path", ["/reviews", "/health", "/openapi.json"])
def test_head_tells_what_get_would(client, path):
    head, get = client.head(path), client.get(path)
    assert (head.status_code, head.content) == (get.status_code, b"")
    assert head.headers["content-length"] == str(len(get.content))


@pytest.mark.parametrize("method", ["OPTIONS", "TRACE", "DELETE", "PATCH", "PROPFIND"])
def test_other_methods_are_refused(client, method):
    answer = client.request(method, "/health", headers={"X-CSRF-Token": csrf_of(client)})
    assert (answer.status_code, answer.json()["kind"]) == (405, "MethodNotAllowed")


def test_an_unexpected_error_tells_nothing_but_a_number(client, caplog):
    answer = client.get("/api/failure")
    assert (answer.status_code, answer.json()["kind"]) == (500, "InternalServerError")
    assert "secret" not in answer.text
    assert "Zero" not in answer.text
    number = answer.json()["error"].split()[-1]
    assert any(number in record.getMessage() and record.exc_info for record in caplog.records)


def test_the_log_has_no_query_and_no_characters_that_do_something(client, caplog):
    with caplog.at_level("INFO", logger="neuroinspect.web.safety.access_log"):
        client.get("/no%1b[31mthing\u202e?token=SECRET")
    (line,) = (record.getMessage() for record in caplog.records if record.name.endswith("access_log"))
    assert line == "127.0.0.1 None GET /no%1B%5B31mthing%E2%80%AE 404"


def test_a_store_that_cannot_be_used_is_said_so(tmp_path):
    (tmp_path / "reviews.db").write_bytes(b"no database" * 100)
    client = browser_of(small_page(tmp_path, page_settings(reviewer="ann")))
    answer = client.get("/reviews", headers=HTML)
    assert (answer.status_code, answer.headers["content-type"]) == (503, "text/html; charset=utf-8")
    assert "cannot be used" in answer.text


def test_a_name_that_is_no_text_does_not_keep_a_page_from_being_shown():
    shown = Pages().page(Request({"type": "http"}), "error.html", code=404, phrase="x", message="a\ud800b")
    assert b"a?b" in shown.body


SANDBOX = "sandbox; default-src 'none'; img-src data:"


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ({"Cache-Control": "public, max-age=60"}, {"Cache-Control": "private, max-age=60"}),
        ({"Cache-Control": "private, max-age=60"}, {"Cache-Control": "private, max-age=60"}),
        ({}, {"Cache-Control": "no-store"}),
        ({"Content-Security-Policy": SANDBOX}, {"Content-Security-Policy": SANDBOX}),
        ({"X-Frame-Options": "SAMEORIGIN"}, {"X-Frame-Options": "DENY"}),
    ],
)
def test_what_a_route_says_itself_stays_only_where_it_is_as_safe(given, kept):
    answer = TestClient(SafeHeaders(Response("x", headers=given))).get("/")
    assert {name: answer.headers[name] for name in kept} == kept


@pytest.mark.parametrize(
    "policy",
    [
        "default-src *",
        "sandbox allow-scripts; default-src 'none'",
        "sandbox",
        "sandbox; default-src 'none'; script-src *",
    ],
)
def test_a_policy_that_lets_more_out_is_replaced(policy):
    answer = TestClient(SafeHeaders(Response("x", headers={"Content-Security-Policy": policy}))).get("/")
    assert answer.headers["content-security-policy"].startswith("default-src 'none'; img-src 'self'")
