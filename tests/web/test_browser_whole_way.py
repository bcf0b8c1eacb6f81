"""From the question to what came of it, at the page as it is served, with no hand on the mouse."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from neuroinspect.adapters.sql_reviews import SqlReviews
from neuroinspect.artifacts import RunFolder, read_json
from neuroinspect.chain import run_chain
from neuroinspect.machinery import load_machinery
from neuroinspect.ports import Tools
from neuroinspect.settings import load_params
from tests.tiny import make_project
from tests.web.looks import overflow, serious
from tests.web.served import page_process, until

EDIT_SECONDS = 240


@pytest.fixture
def project(tmp_path) -> tuple[Path, RunFolder, SqlReviews]:
    """A small classifier whose mistakes are explained: params file, run folder, and the review store with its question."""
    params_file = make_project(tmp_path / "project")
    params = load_params(params_file)
    book = SqlReviews(load_machinery(params_file.parent).review_store)
    run = RunFolder(params.runs / "run")
    assert run_chain(run, params, tools=Tools(reviews=book)).status == "waiting"
    return params_file, run, book


def tab_to(page: Page, goal: Locator) -> None:
    """Press Tab until something has the focus."""
    expect(goal).to_be_visible()
    for _ in range(100):
        page.keyboard.press("Tab")
        if goal.evaluate("(element) => element === document.activeElement"):
            return
    raise AssertionError(f"Tab does not come to {goal}")


def test_from_the_question_to_what_came_of_it(page, project, picture_of):
    params_file, run, book = project
    (asked,) = book.pending()
    weak = [one.neuron for one in asked.request.candidates if one.direction != "excessive"]
    with page_process(params_file, by="ada") as origin:
        page.goto(origin)
        tab_to(page, page.get_by_role("main").get_by_role("link", name="fish"))
        page.keyboard.press("Enter")
        tab_to(page, page.get_by_role("navigation", name="Direction").get_by_role("link", name="Too weak"))
        page.keyboard.press("Enter")
        expect(page).to_have_url(re.compile(r"direction=insufficient"))
        page.wait_for_load_state("load")

        for key in ("j", "1", "1", "2"):
            page.keyboard.press(key)
        until(lambda: len(book.judgements(asked.request.id)) == 3)
        page.keyboard.press("z")
        until(lambda: len(book.judgements(asked.request.id)) == 2)
        page.keyboard.press("w")
        expect(page.locator("[data-what-if-found]")).to_contain_text(
            re.compile("worst class", re.IGNORECASE), timeout=90_000
        )
        picture_of("what-if", whole=False)

        page.keyboard.press("a")
        page.keyboard.type("they see the water")
        page.keyboard.press("Control+Enter")
        question = page.get_by_role("dialog", name="Approve this edit?")
        expect(question).to_contain_text(f"Edits neurons {weak[0]} and {weak[1]}")
        picture_of("confirm", whole=False)
        page.keyboard.press("Enter")

        page.wait_for_url("**/outcome", timeout=60_000)
        until(lambda: (order := book.edit_order(asked.request.id)) is not None and order.started is not None)
        picture_of("outcome-waiting")
        until(lambda: book.edit_order(asked.request.id).finished_at, seconds=EDIT_SECONDS)
        verdict = read_json(run.stage("evaluate") / "metrics.json")["verdict"]["sentence"]
        expect(page.get_by_role("heading", level=1)).to_have_text(verdict, timeout=60_000)
        picture_of("outcome")
        assert serious(page) == []
        page.set_viewport_size({"width": 360, "height": 740})
        assert overflow(page) == 0

    decision = book.review(asked.request.id).decision
    assert (decision.by, decision.neurons, decision.note) == ("ada", {"fish": tuple(weak[:2])}, "they see the water")
    happened = [entry.what for entry in book.trail(asked.request.id)]
    assert happened == ["opened", "judged", "judged", "judged", "undone", "decided", "edited"]
    assert read_json(run.stage("edit") / "edit.json")["recommended"]
