"""Deciding at the page: what if, approve, reject, somebody was first, and a browser without scripts."""

import re

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.web.reviews import MadeReview
from tests.web.served import until


@pytest.fixture
def grid(page: Page, made: MadeReview, page_over) -> Page:
    """The grid of a review whose two cue neurons are called spurious."""
    for neuron in (2, 3):
        made.say(neuron, "spurious")
    page.goto(f"{page_over(made.book)}/reviews/{made.id}")
    return page


def approve(page: Page) -> None:
    page.keyboard.press("a")
    page.keyboard.press("Control+Enter")
    page.get_by_role("dialog", name="Approve this edit?").get_by_role("button", name="Approve the edit").click()


def test_the_panel_shows_what_an_edit_of_the_selection_would_give(grid, picture_of):
    grid.keyboard.press("w")
    found = grid.locator("[data-what-if-found]")
    expect(found).to_contain_text(re.compile("worst class", re.IGNORECASE), timeout=90_000)
    expect(found).to_contain_text("Placebo")
    picture_of("panel", whole=False)
    grid.keyboard.press("Escape")
    expect(grid.get_by_role("link", name="What if, and decide")).to_be_focused()


def test_an_approval_is_kept_under_the_reviewers_name(grid, made):
    approve(grid)
    grid.wait_for_url("**/outcome")
    decision = made.book.review(made.id).decision
    assert (decision.verdict, decision.by, sorted(*decision.neurons.values())) == ("approved", "ada", [2, 3])


def test_a_second_approval_names_who_was_first_and_changes_nothing(grid, rot, made):
    rot.expect("status 409: POST")
    rot.expect("console error: Failed to load resource")
    grid.keyboard.press("a")
    grid.keyboard.press("Control+Enter")
    dialog = grid.get_by_role("dialog", name="Approve this edit?")
    expect(dialog).to_be_visible()
    first = made.approve(2, 3, by="grace")
    dialog.get_by_role("button", name="Approve the edit").click()
    expect(dialog.get_by_role("alert")).to_contain_text("grace approved the edit of neurons 2 and 3")
    dialog.get_by_role("link", name="See what came of it").click()
    expect(grid.locator("main")).to_contain_text("grace")
    assert made.book.review(made.id).decision == first


def test_a_rejection_needs_a_reason_and_ends_the_matter(grid, made):
    grid.keyboard.press("w")
    grid.get_by_role("button", name="Reject …").click()
    expect(grid.get_by_text("A rejection needs a reason")).to_be_visible()
    expect(grid.get_by_label("Your reason")).to_be_focused()
    grid.keyboard.type("nothing here is spurious")
    grid.get_by_role("button", name="Reject …").click()
    grid.get_by_role("dialog", name="Reject this finding?").get_by_role("button", name="Reject the finding").click()
    grid.wait_for_url("**/outcome")
    expect(grid.locator("main")).to_contain_text("nothing here is spurious")
    decision = made.book.review(made.id).decision
    assert (decision.verdict, decision.note) == ("rejected", "nothing here is spurious")


@pytest.fixture
def plain(browser: Browser):
    """A page of a browser that runs no scripts."""
    context = browser.new_context(java_script_enabled=False)
    context.set_default_timeout(20_000)
    yield context.new_page()
    context.close()


def test_without_scripts_everything_can_be_read_and_decided(plain, made, page_over):
    made.say(2, "spurious", note="the water behind it")
    origin = page_over(made.book)
    plain.goto(f"{origin}/reviews")
    plain.get_by_role("link", name="boat").click()
    expect(plain.locator(".card")).to_have_count(12)
    expect(plain.locator(".card").first.locator("img").first).to_be_visible()
    plain.get_by_role("link", name="Neuron 2", exact=True).click()
    expect(plain.get_by_role("heading", name="Neuron 2")).to_be_visible()
    expect(plain.locator("main noscript .notice").first).to_be_visible()
    plain.get_by_label("Your reason").fill("it is the water")
    plain.get_by_role("button", name="Approve the edit …").click()
    expect(plain.get_by_role("main")).to_contain_text("it is the water")
    plain.get_by_role("button", name="Approve the edit").click()
    plain.wait_for_url("**/outcome")
    until(lambda: made.book.review(made.id).decision)
    decision = made.book.review(made.id).decision
    assert (decision.by, decision.neurons, decision.note) == ("ada", {"boat": (2,)}, "it is the water")
