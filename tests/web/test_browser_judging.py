"""Judging neurons at the page: by keys, in both views, with what goes wrong on the way."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Page, expect

from neuroinspect.adapters.sql_reviews import SqlReviews
from tests.web.reviews import MadeReview, made_review
from tests.web.served import until


@pytest.fixture
def grid(page: Page, made: MadeReview, page_over) -> str:
    """The grid of twelve neurons is open; its address."""
    address = f"{page_over(made.book)}/reviews/{made.id}"
    page.goto(address)
    return address


def verdicts(made: MadeReview) -> dict[int, str | None]:
    return {neuron: said.verdict for neuron, said in made.book.judgements(made.id).items()}


def kept(made: MadeReview, expected: dict[int, str]) -> Callable[[], bool]:
    return lambda: verdicts(made) == expected


def card(page: Page, neuron: int):
    return page.locator(f'.card[data-neuron="{neuron}"]')


def press(page: Page, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


def heard(page: Page, read: Callable[[], object]) -> None:
    """Wait for something while the requests of the page are listened to: that happens only while it is asked something."""
    until(lambda: page.evaluate("() => true") and read())


def arrive(page: Page, address: str) -> None:
    """Wait until another page is there with its keys."""
    expect(page).to_have_url(re.compile(address))
    page.wait_for_load_state("load")


def test_keys_judge_walk_and_undo_in_the_grid(page, made, grid):
    first, second, third = made.neurons[:3]
    press(page, "j", "1", "2", "u")
    until(kept(made, {first: "spurious", second: "core", third: "unclear"}))
    expect(card(page, first).get_by_role("button", name="Spurious")).to_have_attribute("aria-pressed", "true")
    expect(page.locator("#progress")).to_contain_text("3 of 12 judged")
    expect(page.get_by_role("region", name="Selection")).to_contain_text(f"1 neuron called spurious: {first}")

    press(page, "z")
    until(kept(made, {first: "spurious", second: "core"}))
    expect(card(page, third).get_by_role("button", name="Unclear")).to_have_attribute("aria-pressed", "false")
    page.reload()
    expect(card(page, second).get_by_role("button", name="Core")).to_have_attribute("aria-pressed", "true")
    expect(page.locator("#progress")).to_contain_text("2 of 12 judged")
    assert [entry.what for entry in made.book.trail(made.id)].count("undone") == 1


def test_what_is_said_fast_is_kept_in_its_order(page, made, grid):
    first, second = made.neurons[:2]
    held = []
    page.route("**/verdicts/*", lambda route: route.continue_() if held else held.append(route))
    press(page, "j", "1", "2", "k", "3", "z")  # the first two go on to the next neuron; back at the second, and undo
    heard(page, lambda: held)
    held[0].continue_()
    heard(page, lambda: made.book.trail(made.id)[-1].what == "undone")
    said = [(entry.detail["neuron"], entry.detail["verdict"]) for entry in made.book.trail(made.id)[1:4]]
    assert said == [(first, "spurious"), (second, "core"), (second, "unclear")]
    assert verdicts(made) == {first: "spurious", second: "core"}


def test_a_verdict_is_set_changed_and_taken_away_by_its_buttons(page, made, grid):
    neuron = made.neurons[4]
    buttons = {name: card(page, neuron).get_by_role("button", name=name) for name in ("Spurious", "Core")}
    buttons["Spurious"].click()
    until(kept(made, {neuron: "spurious"}))
    buttons["Core"].click()
    until(kept(made, {neuron: "core"}))
    buttons["Core"].click()
    until(lambda: not any(verdicts(made).values()))
    assert [entry.what for entry in made.book.trail(made.id)].count("judged") == 3


def test_keys_are_off_in_text_fields_and_with_modifiers(page, made, grid):
    search = page.get_by_role("searchbox", name="Word or number")
    press(page, "/")
    expect(search).to_be_focused()
    page.keyboard.type("123suzx?")
    expect(search).to_have_value("123suzx?")
    press(page, "Escape", "j", "n")
    page.keyboard.type("1 or 2, s or z?")
    neuron = made.neurons[0]
    until(lambda: neuron in made.book.judgements(made.id))
    press(page, "Escape", "Control+1", "Alt+2", "Meta+3")
    assert made.book.judgements(made.id)[neuron].note == "1 or 2, s or z?"
    assert not any(verdicts(made).values())


def test_the_focus_view_walks_the_list_that_the_filter_left(page, made, page_over):
    weak = [one.neuron for one in made.request.candidates if one.direction != "excessive"]
    page.goto(f"{page_over(made.book)}/reviews/{made.id}?direction=insufficient")
    assert page.locator(".card").count() == len(weak)
    press(page, "j", "j", "Enter")
    arrive(page, rf"/neurons/{weak[1]}\?direction=insufficient")
    press(page, "j")
    arrive(page, rf"/neurons/{weak[2]}\?direction=insufficient")
    press(page, "1")
    arrive(page, rf"/neurons/{weak[3]}\?direction=insufficient")
    assert verdicts(made) == {weak[2]: "spurious"}
    press(page, "k")
    arrive(page, rf"/neurons/{weak[2]}\?direction=insufficient")
    press(page, "g")
    arrive(page, rf"/reviews/{made.id}\?direction=insufficient")
    assert page.locator(".card").count() == len(weak)


def test_the_back_button_brings_back_the_filter(page, made, grid):
    page.get_by_role("navigation", name="Direction").get_by_role("link", name="Too strong").click()
    strong = page.locator(".card").count()
    assert 0 < strong < 12
    page.locator(".card [data-open]").first.click()
    expect(page.locator(".focus")).to_be_visible()
    page.go_back()
    expect(page.locator(".card")).to_have_count(strong)
    page.go_back()
    expect(page.locator(".card")).to_have_count(12)


def test_the_overlay_shows_the_keys_and_gives_the_focus_back(page, made, grid):
    press(page, "j", "?")
    overlay = page.get_by_role("dialog", name="Keys")
    expect(overlay).to_be_visible()
    press(page, "1", "Escape")
    expect(overlay).to_be_hidden()
    expect(card(page, made.neurons[0]).get_by_role("link", name=f"Neuron {made.neurons[0]}")).to_be_focused()
    assert verdicts(made) == {}


def test_a_verdict_given_while_the_server_is_away_is_shown_as_not_saved_and_saved_later(page, rot, made, grid):
    rot.expect("failed request: PUT")
    rot.expect("console error: Failed to load resource")
    neuron = made.neurons[0]
    page.route("**/api/**", lambda route: route.abort("connectionrefused"))
    press(page, "j", "1")
    expect(page.get_by_role("status").filter(has_text="not saved")).to_be_visible()
    assert verdicts(made) == {}
    page.unroute("**/api/**")
    until(kept(made, {neuron: "spurious"}))
    expect(card(page, neuron).get_by_role("button", name="Spurious")).to_have_attribute("aria-pressed", "true")


def test_a_verdict_after_another_reviewers_decision_is_refused_with_a_name(page, rot, made, grid):
    rot.expect("status 409: PUT")
    rot.expect("console error: Failed to load resource")
    made.approve(2, by="grace")
    press(page, "j", "2")
    expect(page.get_by_role("alert").filter(has_text="grace")).to_be_visible()
    expect(card(page, made.neurons[0]).get_by_role("button", name="Core")).to_have_attribute("aria-pressed", "false")
    assert verdicts(made) == {}


@pytest.mark.parametrize("view", ["", "/neurons/2"])
def test_a_closed_review_can_only_be_looked_at(page, made, page_over, view):
    made.say(2, "spurious", note="water")
    made.approve(2)
    before = made.book.trail(made.id)
    page.goto(f"{page_over(made.book)}/reviews/{made.id}{view}")
    expect(page.locator("main").get_by_text("so nothing here can be changed")).to_be_visible()
    expect(page.get_by_role("button", name="Spurious")).to_have_count(0)
    press(page, "j", "2", "z", "n")
    page.wait_for_load_state("networkidle")
    assert made.book.trail(made.id) == before


def test_an_expired_review_says_so_and_takes_nothing(page, tmp_path, page_over):
    url, long_ago = f"sqlite:///{tmp_path}/reviews.db", datetime.now(UTC) - timedelta(days=3)
    past = SqlReviews(url, expires_after=timedelta(days=1), clock=lambda: long_ago)
    made = made_review(tmp_path / "made", book=past, candidates=4)
    page.goto(f"{page_over(SqlReviews(url))}/reviews/{made.id}")
    expect(page.get_by_role("main")).to_contain_text(re.compile("expired", re.IGNORECASE))
    expect(page.get_by_role("button", name="Spurious")).to_have_count(0)
    press(page, "j", "1")
    expect(page.get_by_role("status").filter(has_text="for looking only")).to_be_visible()
    assert verdicts(made) == {}


def test_only_pictures_near_the_window_are_asked_for(page, tmp_path, page_over):
    made = made_review(tmp_path, candidates=40, real=12)
    asked = []
    page.on("request", lambda request: asked.append(request.url) if request.resource_type == "image" else None)
    page.set_viewport_size({"width": 1280, "height": 700})
    page.goto(f"{page_over(made.book)}/reviews/{made.id}")
    page.wait_for_load_state("networkidle")
    before = len(asked)
    shown = page.locator(".card img").count()
    assert 0 < before < shown
    page.locator(".card").last.scroll_into_view_if_needed()
    until(lambda: page.evaluate("() => [...document.querySelectorAll('.card')].at(-1).querySelector('img').complete"))
    assert len(asked) > before


def test_nothing_moves_where_a_person_wants_no_motion(page, made, grid):
    page.emulate_media(reduced_motion="reduce")
    longest = page.evaluate(
        """() => Math.max(...[...document.querySelectorAll('*')].flatMap((element) => {
            const style = getComputedStyle(element);
            return [...style.transitionDuration.split(','), ...style.animationDuration.split(',')].map(parseFloat);
        }))"""
    )
    assert longest <= 0.01
    assert page.evaluate("() => getComputedStyle(document.documentElement).scrollBehavior") == "auto"
