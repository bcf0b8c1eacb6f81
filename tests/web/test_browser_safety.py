"""What a real browser does with the page's defences: login, links and forms of other sites, frames, scripts put in."""

import pytest
from playwright.sync_api import expect
from starlette.applications import Starlette
from starlette.responses import HTMLResponse
from starlette.routing import Route

from tests.web.safety import page_settings, really_served, reviewers_of, small_page
from tests.web.served import served


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    """A page with a login, and the token of its one reviewer."""
    folder, settings = tmp_path_factory.mktemp("guarded"), page_settings(login=True)
    token = reviewers_of(folder).add("Ann")
    with really_served(small_page(folder, settings), settings) as server:
        yield server.address, token


@pytest.fixture(scope="module")
def elsewhere(guarded):
    """Another site that knows the page's address; "localhost" is another site than "127.0.0.1"."""
    address, _ = guarded
    page = f"""<!doctype html><title>elsewhere</title><a href="{address}/reviews?status=closed">to the page</a>
        <form method="post" action="{address}/logout"><button>end it</button></form>
        <iframe src="{address}/reviews"></iframe>"""
    with served(Starlette(routes=[Route("/", lambda _request: HTMLResponse(page))])) as other:
        yield other.replace("127.0.0.1", "localhost")


@pytest.fixture
def inside(context, guarded):
    """A browser page of a reviewer who has logged in by the form."""
    address, token = guarded
    opened = context.new_page()
    opened.goto(f"{address}/reviews?status=closed")
    opened.get_by_label("Token").fill(token)
    opened.keyboard.press("Enter")
    expect(opened.get_by_role("button", name="Log out")).to_be_visible()
    return opened


def test_the_login_leads_back_to_where_it_was_asked_for(inside, guarded):
    assert inside.url == f"{guarded[0]}/reviews?status=closed"
    expect(inside.get_by_text("Ann", exact=True)).to_be_visible()


def test_a_wrong_token_is_said_beside_the_field(context, guarded):
    page = context.new_page()
    page.goto(f"{guarded[0]}/login")
    page.get_by_label("Token").fill("wrong")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_text("opens nothing")).to_be_visible()
    expect(page.get_by_label("Token")).to_have_attribute("aria-invalid", "true")
    assert page.get_by_label("Token").input_value() == ""


def test_after_the_logout_the_back_button_shows_nothing(inside, guarded):
    inside.get_by_role("button", name="Log out").click()
    inside.wait_for_url("**/login")
    inside.goto(f"{guarded[0]}/reviews")
    assert "/login" in inside.url


def test_a_link_of_another_site_finds_the_reviewer_still_logged_in(inside, elsewhere, guarded):
    inside.goto(elsewhere)
    inside.get_by_role("link", name="to the page").click()
    # The page that loads itself again has the same address.
    inside.get_by_role("button", name="Log out").wait_for()
    assert inside.url == f"{guarded[0]}/reviews?status=closed"


def test_a_form_of_another_site_does_nothing(inside, elsewhere, guarded):
    inside.goto(elsewhere)
    with inside.expect_response("**/logout") as answer:
        inside.get_by_role("button", name="end it").click()
    assert answer.value.status in {401, 403}
    inside.goto(f"{guarded[0]}/reviews")
    expect(inside.get_by_role("button", name="Log out")).to_be_visible()


def test_another_site_cannot_show_the_page_in_a_frame(inside, elsewhere):
    with inside.expect_console_message(lambda message: "frame" in message.text):
        inside.goto(elsewhere)
    assert "Reviews" not in "".join(frame.content() for frame in inside.frames if frame.parent_frame is not None)


@pytest.mark.parametrize(
    "put_in",
    [
        "const s = document.createElement('script'); s.textContent = 'window.harmed = 1'; document.body.append(s)",
        'document.body.innerHTML += \'<img src="/nothing" onerror="window.harmed = 1">\'',
        "document.body.innerHTML += '<svg onload=\"window.harmed = 1\"></svg>'",
        "document.body.innerHTML += '<a id=x href=\"javascript:window.harmed = 1\">x</a>'; document.querySelector('#x').click()",
    ],
)
def test_a_script_that_was_put_into_the_page_does_not_run(inside, put_in):
    with inside.expect_console_message(lambda message: "Content Security Policy" in message.text):
        inside.evaluate(put_in)
    assert inside.evaluate("window.harmed") is None
