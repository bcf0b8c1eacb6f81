"""The login: who gets in, how a session begins and ends, and where it leads."""

import pytest

from neuroinspect.web.safety.attempts import LoginAttempts
from neuroinspect.web.safety.own_path import own_path
from tests.web.safety import (
    HTML,
    OUTSIDE,
    browser_of,
    csrf_of,
    log_in,
    outside_settings,
    reviewers_of,
    small_page,
    write,
)


@pytest.fixture
def app(tmp_path):
    return small_page(tmp_path, outside_settings())


@pytest.fixture
def client(app):
    return browser_of(app, OUTSIDE)


def test_the_trail_gets_the_name_of_the_token(client, tmp_path):
    answer = log_in(client, reviewers_of(tmp_path).add("Zoë <b>"), next="/reviews?status=closed")
    assert (answer.status_code, answer.headers["location"]) == (303, "/reviews?status=closed")
    client.headers = [("X-Remote-User", "root")]
    assert write(client).json()["by"] == "Zoë <b>"
    assert "Zoë &lt;b&gt;" in client.get("/reviews", headers=HTML).text


@pytest.mark.parametrize("token", ["x", "ni_000000000000_" + "0" * 64, "' OR 1=1 --", "\ufdfd", "ni__", "\x00"])
def test_a_wrong_token_opens_nothing_and_is_not_shown_again(client, token):
    answer = log_in(client, token)
    assert (answer.status_code, answer.headers["content-type"]) == (401, "text/html; charset=utf-8")
    assert "opens nothing" in answer.text
    assert f'value="{token}"' not in answer.text
    assert client.get("/api/reviews").status_code == 401


def test_a_token_may_be_pasted_with_space_around_it(client, tmp_path):
    assert log_in(client, f"  {reviewers_of(tmp_path).add('Ann')}\n").status_code == 303


@pytest.mark.parametrize("form", [{}, {"token": "x" * 201}, {"token": "x", "next": "/" * 4097}])
def test_a_form_that_does_not_fit_is_refused(client, form):
    answer = client.post("/login", data={"csrf": csrf_of(client, "/login"), **form}, headers=HTML)
    assert answer.status_code == 422
    assert len(answer.text) < 20_000


def test_each_login_begins_a_new_session(client, tmp_path):
    csrf_of(client, "/login")
    planted = dict(client.cookies)
    log_in(client, reviewers_of(tmp_path).add("Ann"))
    assert planted.keys() == dict(client.cookies).keys()
    assert planted != dict(client.cookies)
    client.cookies.clear()
    cookie = "; ".join(f"{name}={value}" for name, value in planted.items())
    assert client.get("/api/reviews", headers={"Cookie": cookie}).status_code == 401


def test_a_form_for_the_login_needs_the_token_of_its_page(client, tmp_path):
    answer = client.post("/login", data={"token": reviewers_of(tmp_path).add("Ann")}, headers={"Origin": OUTSIDE})
    assert answer.status_code == 403


def test_after_the_logout_nothing_can_be_read(client, tmp_path):
    log_in(client, reviewers_of(tmp_path).add("Ann"))
    answer = client.post("/logout", data={"csrf": csrf_of(client)}, headers={"Origin": OUTSIDE})
    assert (answer.status_code, answer.headers["location"]) == (303, "/login")
    assert client.get("/reviews").status_code == 401


def test_a_revoked_reviewer_is_out_at_the_next_request(client, tmp_path):
    reviewers = reviewers_of(tmp_path)
    token = reviewers.add("Ann")
    log_in(client, token)
    csrf = csrf_of(client)
    assert write(client).status_code == 200
    reviewers.revoke("Ann")
    assert client.put("/api/probe", json={"a": 1}, headers={"X-CSRF-Token": csrf}).status_code == 401
    assert client.get("/reviews", headers=HTML).headers["location"] == "/login?next=/reviews"
    assert log_in(client, token).status_code == 401
    assert log_in(client, reviewers.add("Ann")).status_code == 303


def test_an_old_session_ends(tmp_path, monkeypatch):
    client = browser_of(small_page(tmp_path, outside_settings(limits={"session_seconds": 60})), OUTSIDE)
    log_in(client, reviewers_of(tmp_path).add("Ann"))
    cookie = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
    assert client.get("/api/reviews", headers={"Cookie": cookie}).status_code != 401
    import itsdangerous.timed

    now = itsdangerous.timed.time.time()
    monkeypatch.setattr(itsdangerous.timed.time, "time", lambda: now + 61)
    assert client.get("/api/reviews", headers={"Cookie": cookie}).status_code == 401


def test_who_is_logged_in_goes_straight_on(client, tmp_path):
    log_in(client, reviewers_of(tmp_path).add("Ann"))
    answer = client.get("/login?next=/reviews%3Fpage%3D2", headers=HTML)
    assert (answer.status_code, answer.headers["location"]) == (303, "/reviews?page=2")


@pytest.mark.parametrize(
    "elsewhere",
    [
        "https://evil.example/reviews",
        "//evil.example",
        "///evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "javascript:alert(1)",
        "/reviews\r\nSet-Cookie: a=b",
        " //evil.example",
        "/\t/evil.example",
        "evil.example",
        "http:/evil.example",
        "//[",
        "",
        "/login",
        "/logout",
    ],
)
def test_the_login_leads_nowhere_but_to_this_page(client, tmp_path, elsewhere):
    assert own_path(elsewhere) == "/reviews"
    answer = log_in(client, reviewers_of(tmp_path).add("Ann"), next=elsewhere)
    assert (answer.status_code, answer.headers["location"]) == (303, "/reviews")
    assert "set-cookie: a=b" not in str(answer.headers).lower()


@pytest.mark.parametrize("path", ["/reviews", "/reviews/0a?sort=vote&page=2", "/reviews?word=%22%3E%3Cb%3E"])
def test_a_path_of_the_page_stays(path):
    assert own_path(path) == path


def test_the_way_back_survives_the_login(client, tmp_path):
    asked = client.get("/reviews?class=a%26b&status=closed", headers=HTML).headers["location"]
    form = client.get(asked, headers=HTML).text
    assert 'name="next" value="/reviews?class=a%26b&amp;status=closed"' in form


def test_a_host_of_its_own_in_the_path_does_not_lead_away(client):
    answer = client.get(f"{OUTSIDE}//evil.example/x", headers=HTML)
    assert (answer.status_code, answer.headers["location"]) == (303, "/login?next=/reviews")


def test_many_wrong_tokens_make_their_address_wait(app, tmp_path):
    guessing, other = browser_of(app, OUTSIDE, peer="192.0.2.1"), browser_of(app, OUTSIDE, peer="192.0.2.2")
    token = reviewers_of(tmp_path).add("Ann")
    assert [log_in(guessing, "x").status_code for _ in range(11)] == [401] * 10 + [429]
    late = log_in(guessing, token)
    assert late.status_code == 429
    assert 0 < int(late.headers["retry-after"]) <= 300
    assert log_in(other, token).status_code == 303


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def test_an_address_waits_until_its_oldest_failure_is_past():
    clock = Clock()
    attempts = LoginAttempts(most=2, window=10, clock=clock)
    for clock.now in (0.0, 4.0):
        assert attempts.wait("192.0.2.1") == 0
        attempts.failed("192.0.2.1")
    assert (attempts.wait("192.0.2.1"), attempts.wait("192.0.2.2")) == (6, 0)
    clock.now = 10.5
    assert attempts.wait("192.0.2.1") == 0


def test_one_customer_of_a_network_is_one_address():
    attempts = LoginAttempts(most=1)
    attempts.failed("2001:db8::1")
    assert attempts.wait("2001:db8::ffff") > 0
    assert attempts.wait("2001:db8:0:1::1") == 0


def test_what_is_remembered_of_failures_is_bounded():
    attempts = LoginAttempts(most=1, addresses=3)
    for number in range(10):
        attempts.failed(f"192.0.2.{number}")
    assert [attempts.wait(f"192.0.2.{number}") > 0 for number in range(10)] == [False] * 7 + [True] * 3


def test_behind_a_known_proxy_the_address_it_saw_counts(tmp_path):
    app = small_page(tmp_path, outside_settings(proxies=["192.0.2.0/24"]))
    for client_number, expected in ((1, [401] * 10 + [429]), (2, [401])):
        client = browser_of(app, OUTSIDE, peer="192.0.2.7")
        # What stands before the address that the proxy saw, the client wrote itself.
        client.headers = {"X-Forwarded-For": f"203.0.113.99, 198.51.100.{client_number}"}
        assert [log_in(client, "x").status_code for _ in expected] == expected
