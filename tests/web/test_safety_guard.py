"""Who may ask, under which name, and from where what writes must come."""

import pytest

from neuroinspect.errors import SettingsError
from neuroinspect.web.app import create_app
from neuroinspect.web.safety.session import Session, Sessions
from tests.web.safety import (
    ADDRESS,
    HTML,
    OUTSIDE,
    browser_of,
    csrf_of,
    every_path,
    log_in,
    outside_settings,
    page_settings,
    reviewers_of,
    small_page,
    write,
)


@pytest.fixture
def client(tmp_path):
    return browser_of(small_page(tmp_path))


def test_on_loopback_the_person_at_the_machine_writes_under_their_name(client):
    answer = write(client)
    assert (answer.status_code, answer.json()) == (200, {"by": "ann", "value": {"a": 1}})


def test_where_nobody_is_known_nothing_is_written_and_everything_can_be_read(tmp_path):
    client = browser_of(small_page(tmp_path, page_settings(reviewer=None)))
    answer = write(client)
    assert (answer.status_code, answer.json()["kind"]) == (403, "AccessError")
    assert "needs a name" in answer.json()["error"]
    assert client.get("/reviews").status_code == 200


# Host: a name that somebody else pointed at this machine (DNS rebinding)


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8010",
        "127.0.0.1",
        "127.0.0.1:8011",
        "localhost:80",
        "",
        "127.0.0.1:8010.evil.example",
        "127.0.0.1:8010@evil.example",
        "127.0.0.1.evil.example:8010",
        "[::1",
        "127.0.0.1:8010:8010",
        "127.0.0.1:٨٠١٠",
    ],
)
def test_a_foreign_name_is_refused(client, host):
    answer = client.get("/api/reviews", headers={"Host": host.encode()})
    assert (answer.status_code, answer.json()["kind"]) == (403, "AccessError")


@pytest.mark.parametrize(
    "host", ["127.0.0.1:8010", "localhost:8010", "LOCALHOST:8010", "localhost.:8010", "[::1]:8010"]
)
def test_the_names_of_this_machine_are_taken(client, host):
    assert client.get("/health", headers={"Host": host}).json() == {"status": "ok"}


def test_a_request_names_the_page_once(client):
    answer = client.get("/health", headers=[("Host", "127.0.0.1:8010"), ("Host", "evil.example")])
    assert answer.status_code == 403


@pytest.mark.parametrize(
    ("host", "status"),
    [("reviews.example.org", 200), ("reviews.example.org:8443", 200), ("evil.example", 403), ("127.0.0.1", 403)],
)
def test_off_loopback_the_configured_names_are_taken(tmp_path, host, status):
    client = browser_of(small_page(tmp_path, outside_settings()), OUTSIDE)
    assert client.get("/health", headers={"Host": host}).status_code == status


@pytest.mark.parametrize("header", ["Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-IP"])
def test_a_page_that_asks_nobody_to_log_in_takes_nothing_from_a_proxy(client, header):
    assert client.get("/reviews", headers={header: "192.0.2.1"}).status_code == 403


def test_what_a_proxy_says_of_the_host_does_not_count(tmp_path):
    client = browser_of(small_page(tmp_path, outside_settings()), OUTSIDE)
    answer = client.get("/health", headers={"Host": "evil.example", "X-Forwarded-Host": "reviews.example.org"})
    assert answer.status_code == 403


# CSRF


def refused(answer):
    return (answer.status_code, answer.json()["kind"]) == (403, "AccessError")


@pytest.mark.parametrize("token", [None, "", "0" * 64, "é", "x" * 5000])
def test_without_the_token_of_the_page_nothing_is_written(client, token):
    headers = {} if token is None else {"X-CSRF-Token": token.encode()}
    csrf_of(client)
    assert refused(client.put("/api/probe", json={"a": 1}, headers=headers))


def test_the_token_of_another_session_writes_nothing(tmp_path):
    app = small_page(tmp_path)
    assert refused(write(browser_of(app), **{"X-CSRF-Token": csrf_of(browser_of(app))}))


def test_a_token_without_its_cookie_writes_nothing(client):
    token = csrf_of(client)
    client.cookies.clear()
    assert refused(client.put("/api/probe", json={"a": 1}, headers={"X-CSRF-Token": token}))


def test_the_token_of_the_time_before_the_login_writes_nothing(tmp_path):
    client = browser_of(small_page(tmp_path, page_settings(login=True)))
    before = csrf_of(client, "/login")
    assert log_in(client, reviewers_of(tmp_path).add("Ann")).status_code == 303
    assert refused(write(client, **{"X-CSRF-Token": before}))
    assert write(client).json()["by"] == "Ann"


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:8011"},
        {"Origin": "http://localhost:8010"},
        {"Origin": "file://127.0.0.1:8010"},
        {"Origin": "127.0.0.1:8010"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_what_another_site_sends_is_refused_even_with_the_right_token(client, headers):
    assert refused(write(client, **headers))


def test_where_tls_ends_here_a_plain_origin_is_another_site(tmp_path):
    app = small_page(tmp_path, page_settings(names={"reviews.example.org"}))
    client, token = browser_of(app, OUTSIDE), reviewers_of(tmp_path).add("Ann")
    log_in(client, token)
    assert refused(write(client, Origin="http://reviews.example.org"))
    assert write(client).status_code == 200


def test_a_form_of_another_site_is_refused(client):
    answer = client.post("/logout", data={"csrf": csrf_of(client)}, headers={"Origin": "https://evil.example"})
    assert answer.status_code == 403


@pytest.mark.parametrize(
    "kind",
    [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "text/plain;application/json",
    ],
)
def test_calls_take_json_alone(client, kind):
    answer = client.put(
        "/api/probe", content=b'{"a": 1}', headers={"X-CSRF-Token": csrf_of(client), "Content-Type": kind}
    )
    assert (answer.status_code, answer.json()["kind"]) == (415, "UnsupportedMediaType")


@pytest.mark.parametrize("kind", ["application/json", "multipart/form-data; boundary=x"])
def test_forms_are_plain_forms(client, kind):
    answer = client.post("/logout", content=b"{}", headers={"X-CSRF-Token": csrf_of(client), "Content-Type": kind})
    assert answer.status_code == 415


def test_a_form_of_endless_fields_is_refused(client):
    form = "&".join(f"field{number}=x" for number in range(500)) + f"&csrf={csrf_of(client)}"
    answer = client.post("/logout", content=form, headers={"Content-Type": "application/x-www-form-urlencoded"})
    assert answer.status_code == 403


# Sessions


def test_a_cookie_that_was_changed_counts_for_nothing(tmp_path):
    client = browser_of(small_page(tmp_path, page_settings(login=True)))
    log_in(client, reviewers_of(tmp_path).add("Ann"))
    name, value = next(iter(client.cookies.items()))
    for changed in (value[:-1], value + "x", value[1:], value.replace(".", "..", 1), "", "é", "W10.x.y", "x" * 4000):
        answer = client.get("/api/reviews", headers={"Cookie": f"{name}={changed}".encode()})
        assert answer.status_code == 401, changed


def test_a_cookie_signed_with_another_key_counts_for_nothing(tmp_path):
    client = browser_of(small_page(tmp_path, page_settings(login=True)))
    token = reviewers_of(tmp_path).add("Ann").split("_")[1]
    for key, status in ((b"other" * 8, 401), (b"k" * 32, 200)):
        sessions = Sessions(page_settings(key=key))
        cookie = sessions.header(sessions.name(8010), Session("s", token)).partition(";")[0]
        assert client.get("/reviews", headers={"Cookie": cookie}).status_code == status


def test_a_cookie_is_for_one_port(tmp_path):
    app = small_page(tmp_path)
    names = []
    for address in (ADDRESS, "http://127.0.0.1:8011"):
        client = browser_of(app, address)
        csrf_of(client)
        names.extend(client.cookies)
    assert len(set(names)) == 2


@pytest.mark.parametrize(
    ("settings", "address", "flags"),
    [
        (page_settings(), ADDRESS, {"Path=/", "Max-Age=43200", "HttpOnly", "SameSite=Strict"}),
        (
            outside_settings(),
            OUTSIDE,
            {"Path=/", "Max-Age=43200", "HttpOnly", "SameSite=Strict", "Secure"},
        ),
    ],
)
def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(tmp_path, settings, address, flags):
    cookie = browser_of(small_page(tmp_path, settings), address).get("/login", headers=HTML)
    if cookie.status_code == 303:
        cookie = browser_of(small_page(tmp_path, settings), address).get("/probe", headers=HTML)
    value, *given = cookie.headers["set-cookie"].split("; ")
    assert set(given) == flags
    assert value.startswith("__Host-") == ("Secure" in flags)


def test_pictures_and_calls_set_no_cookie(client):
    assert "set-cookie" not in client.get("/health").headers
    assert "set-cookie" not in client.get("/api/nothing").headers


def test_who_comes_over_a_link_of_another_site_keeps_the_session(tmp_path):
    client = browser_of(small_page(tmp_path, page_settings(login=True)))
    arriving = client.get(
        "/reviews?status=closed&class=%22%3E",
        headers={**HTML, "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"},
    )
    assert (arriving.status_code, "set-cookie" in arriving.headers) == (200, False)
    assert 'content="0; url=/reviews?status=closed&amp;class=%22%3E"' in arriving.text


# Off loopback


@pytest.fixture
def outside(tmp_path):
    return browser_of(small_page(tmp_path, outside_settings()), OUTSIDE)


def test_off_loopback_a_page_that_nobody_could_enter_is_not_made():
    with pytest.raises(SettingsError, match="tokens"):
        create_app(None, settings=outside_settings())


def test_without_a_token_every_page_leads_to_the_login(outside):
    for path in (
        "/",
        "/reviews",
        "/reviews?status=closed",
        "/nothing",
        "/openapi.json",
        "/reviews/x/pictures/1/mask.png",
    ):
        answer = outside.get(path, headers=HTML)
        assert answer.status_code == 303, path
        assert answer.headers["location"].startswith("/login?next=%2F".replace("%2F", "/")), path


def test_without_a_token_nothing_is_readable_or_writable(outside):
    for path in every_path():
        if path in {"/login", "/health"} or path.startswith("/static/"):
            continue
        for method in ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"):
            answer = outside.request(method, path)
            assert answer.status_code == 401, (method, path)
            assert answer.text == "" or answer.json()["kind"] == "LoginNeededError", (method, path)


@pytest.mark.parametrize(
    "path",
    [
        "/login/",
        "/login/x",
        "/login%3F",
        "/login%23/",
        "/reviews%3F/login",
        "/reviews%23/static/",
        "/LOGIN",
        "/health/x",
        "//login",
        "/static",
        "/login%2f..%2freviews",
    ],
)
def test_only_just_the_open_paths_are_open(outside, path):
    assert outside.get(path).status_code == 401


def test_what_is_open_tells_nothing(outside):
    assert outside.get("/health").json() == {"status": "ok"}
    assert "ann" not in outside.get("/login", headers=HTML).text.replace("cannot", "")


# The user header of a proxy


def behind_proxy(folder, peer):
    settings = outside_settings(proxies=["192.0.2.0/24", "2001:db8::/32"], user_header="X-Remote-User")
    return browser_of(small_page(folder, settings), OUTSIDE, peer=peer)


@pytest.mark.parametrize("peer", ["192.0.2.7", "2001:db8::5", "::ffff:192.0.2.9"])
def test_a_known_proxy_names_the_user(tmp_path, peer):
    client = behind_proxy(tmp_path, peer)
    client.headers = [("X-Remote-User", "Zoë".encode())]
    assert write(client).json()["by"] == "Zoë"


@pytest.mark.parametrize("peer", ["192.0.3.7", "127.0.0.1", "::1", "testclient", "", "2001:db9::5"])
def test_from_anybody_else_the_user_header_counts_for_nothing(tmp_path, peer):
    client = behind_proxy(tmp_path, peer)
    assert client.get("/api/reviews", headers={"X-Remote-User": "ann"}).status_code == 401
    assert (
        client.get("/api/reviews", headers={"X-Remote-User": "ann", "X-Forwarded-For": "192.0.2.7"}).status_code == 401
    )


@pytest.mark.parametrize("name", ["", " ", "a\tb", "a\u202eb", "x" * 201, "\x85"])
def test_a_disguised_user_is_nobody(tmp_path, name):
    client = behind_proxy(tmp_path, "192.0.2.7")
    assert client.get("/api/reviews", headers={"X-Remote-User": name.encode()}).status_code == 401


def test_two_users_are_nobody(tmp_path):
    client = behind_proxy(tmp_path, "192.0.2.7")
    headers = [("X-Remote-User", "ann"), ("X-Remote-User", "root")]
    assert client.get("/api/reviews", headers=headers).status_code == 401


def test_the_user_header_is_worth_nothing_without_proxies(client):
    client.headers["X-Remote-User"] = "root"
    assert write(client).json()["by"] == "ann"
