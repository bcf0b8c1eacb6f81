"""The pages a person reads: lists of reviews, the grid, one neuron; by the HTTP client, without a script."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html import unescape
from pathlib import Path

import pytest

from neuroinspect.adapters.sql_reviews import SqlReviews
from neuroinspect.review import StoredReview
from neuroinspect.web.app import create_app
from neuroinspect.web.pages import coded
from neuroinspect.web.paging import paged
from neuroinspect.web.review_list import PAGE_SIZE, review_lists
from neuroinspect.web.settings import PageSettings
from neuroinspect.web.static_files import static_files, static_url
from neuroinspect.web.times import distance, moment
from tests.web import hostile
from tests.web.answering import PAGE, Reviewer
from tests.web.reviews import MadeReview, made_review
from tests.web.safety import browser_of

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def still(tmp_path_factory: pytest.TempPathFactory) -> Reviewer:
    """At a review of 60 neurons that no test changes."""
    return Reviewer(made_review(tmp_path_factory.mktemp("still"), candidates=60, drawn=40))


def neurons_in(text: str) -> list[int]:
    return [int(number) for number in re.findall(r'<li class="card" id="neuron-(\d+)"', text)]


def many(review: StoredReview, count: int) -> list[StoredReview]:
    return [review] * count


def test_the_first_page_leads_to_the_list(still: Reviewer) -> None:
    assert still.get("/").headers["location"] == "/reviews"


def test_the_list_shows_class_model_progress_and_age(still: Reviewer) -> None:
    text = still.get("/reviews").text
    for part in (
        "boat",
        "drawn_network:drawn",
        "<b>0</b> of 60 neurons judged",
        still.made.request.model[:12],
        "asked",
    ):
        assert part in text


def test_an_empty_list_tells_the_next_command(tmp_path: Path) -> None:
    app = create_app(SqlReviews(f"sqlite:///{tmp_path}/reviews.db"), settings=PageSettings.for_loopback(reviewer="ann"))
    client = browser_of(app)
    assert "neuroinspect run" in client.get("/reviews", headers=PAGE).text
    assert "Nothing has been decided yet" in client.get("/reviews?status=closed", headers=PAGE).text
    assert "Nothing here for this class" in client.get("/reviews?class=fish", headers=PAGE).text


def test_a_closed_review_says_who_decided_what_and_takes_no_verdict(made: MadeReview) -> None:
    made.say(made.neurons[0], "spurious")
    made.approve(made.neurons[0], by="bob", note="the water")
    reviewer = Reviewer(made)
    listed = reviewer.get("/reviews?status=closed").text
    assert "Approved" in listed
    assert "bob" in listed
    assert "the water" in listed
    for page in (reviewer.get(f"/reviews/{made.id}").text, reviewer.page("neurons/2").text):
        assert "data-locked" in page
        assert "bob" in page
        assert "<textarea" not in page


def test_a_review_with_settings_of_another_version_can_be_looked_at(still: Reviewer, tmp_path: Path) -> None:
    store = SqlReviews(f"sqlite:///{tmp_path}/reviews.db")
    made = still.made
    store.open(made.request.record(), run=made.run.root, params={"model": {"spec": "x"}, "no_such_section": 1})
    reviewer = Reviewer(replace(made, book=store))
    page = reviewer.get(f"/reviews/{made.id}")
    assert page.status_code == 200
    assert "not those of this version" in page.text
    assert neurons_in(page.text) == made.neurons[:24]
    assert reviewer.page(f"neurons/{made.neurons[0]}").status_code == 200


def test_the_list_is_cut_into_pages_and_filtered_by_class(made: MadeReview) -> None:
    review = made.book.pending()[0]
    lists = review_lists(many(review, PAGE_SIZE + 3), [], which="pending", number=2, now=NOW)
    assert (lists.page.number, lists.page.pages, len(lists.page.entries)) == (2, 2, 3)
    assert review_lists([review], [], which="pending", class_name="fish", now=NOW).page.entries == ()
    assert lists.counts == {"pending": PAGE_SIZE + 3, "closed": 0}


def test_a_page_behind_the_end_is_the_last_one() -> None:
    page = paged(list(range(5)), number=99, size=2)
    assert (page.number, page.entries, page.first, page.last) == (3, (4,), 5, 5)
    assert paged([], number=1, size=2).pages == 1


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "just now"),
        (-59, "just now"),
        (-60, "1 minute ago"),
        (-7200, "2 hours ago"),
        (-3 * 86_400, "3 days ago"),
        (30, "in a moment"),
        (86_400 * 2.5, "in 2 days"),
        (-86_400 * 100, "2026-08-14"),
    ],
)
def test_times_are_told_as_a_distance(seconds: float, words: str) -> None:
    assert distance(NOW + timedelta(seconds=seconds), now=NOW) == words


def test_a_time_without_a_zone_is_utc() -> None:
    assert moment(NOW.replace(tzinfo=None)) == "2026-11-22 12:00 UTC"


def test_the_grid_shows_a_page_of_cards_with_lazy_pictures_of_known_size(still: Reviewer) -> None:
    text = still.get(f"/reviews/{still.made.id}").text
    assert neurons_in(text) == still.made.neurons[:24]
    images = [tag for tag in re.findall(r"<img [^>]*>", text) if "/pictures/" in tag]
    assert len(images) > 60
    assert all('width="' in tag and 'height="' in tag and 'decoding="async"' in tag for tag in images)
    assert sum('loading="lazy"' not in tag for tag in images) <= 4
    assert all('alt="' in tag and 'alt=""' not in tag for tag in images)


def test_pages_of_the_grid_hold_every_neuron_once(still: Reviewer) -> None:
    found = [
        number
        for page in (1, 2, 3)
        for number in neurons_in(still.get(f"/reviews/{still.made.id}?page={page}&sort=number").text)
    ]
    assert found == sorted(still.made.neurons)


def test_the_filter_in_the_address_is_carried_to_every_link(still: Reviewer) -> None:
    text = still.get(f"/reviews/{still.made.id}?direction=excessive&sort=gap&word=a%26b").text
    assert 'value="a&amp;b"' in text
    text = still.get(f"/reviews/{still.made.id}?direction=excessive&sort=gap").text
    neuron = neurons_in(text)[0]
    assert f'href="/reviews/{still.made.id}/neurons/{neuron}?direction=excessive&amp;sort=gap"' in text


def test_a_filter_that_nothing_passes_offers_the_way_back(still: Reviewer) -> None:
    text = still.get(f"/reviews/{still.made.id}?word=nothing-like-this").text
    assert "No neuron fits" in text
    assert "Show all neurons" in text


def test_one_neuron_is_shown_in_full(still: Reviewer) -> None:
    neuron = still.made.neurons[0]
    text = still.page(f"neurons/{neuron}").text
    for part in ("Real photos it fires on most", "Mistakes that voted for it", "Probability ratio", "Its family"):
        assert part in text
    assert text.count("/mistakes/") > 5


def test_the_family_of_a_cue_neuron_is_linked(still: Reviewer) -> None:
    text = still.page("neurons/2?sort=gap").text
    family = text[text.index('id="family"') :]
    assert f"/reviews/{still.made.id}/neurons/3?sort=gap" in family


def test_walking_keeps_the_filter_and_goes_back_to_the_right_page(still: Reviewer) -> None:
    order = sorted(still.made.neurons)
    text = still.page(f"neurons/{order[30]}?sort=number").text
    assert f'href="/reviews/{still.made.id}/neurons/{order[31]}?sort=number"' in text
    assert f'href="/reviews/{still.made.id}/neurons/{order[29]}?sort=number"' in text
    assert f'href="/reviews/{still.made.id}?sort=number&amp;page=2#neuron-{order[30]}"' in text


def test_a_neuron_that_is_no_candidate_has_no_page(still: Reviewer) -> None:
    assert still.page("neurons/319").status_code == 404
    assert still.get(f"/reviews/{'0' * 64}").status_code == 404


def test_no_page_holds_what_the_policy_forbids(still: Reviewer) -> None:
    for path in ("/reviews", f"/reviews/{still.made.id}", f"/reviews/{still.made.id}/neurons/{still.made.neurons[0]}"):
        text = still.get(path).text
        assert not re.search(r"\sstyle=|\son\w+=|<style|<script(?![^>]*\ssrc=)|https?://|data:", text), path


def test_a_hostile_review_is_shown_as_text(tmp_path: Path) -> None:
    made = made_review(tmp_path, hostile=True)
    made.say(made.neurons[0], "unclear", note=hostile.MARKUP)
    reviewer = Reviewer(made)
    for path in ("/reviews", f"/reviews/{made.id}", f"/reviews/{made.id}/neurons/{made.neurons[0]}"):
        text = reviewer.get(path).text
        assert "<img src=x" not in text
        assert "<script>window" not in text
        assert "49" not in re.findall(r'<bdi class="word">([^<]*)', text)
        assert hostile.MARKUP in unescape(text)


def test_words_of_ours_are_shown_as_code_and_nothing_else_is_markup() -> None:
    assert coded("run `a <b>` & <i>") == "run <code>a &lt;b&gt;</code> &amp; &lt;i&gt;"


def test_static_files_have_addresses_of_their_content(still: Reviewer) -> None:
    for name in static_files():
        answer = still.client.get(static_url(name))
        assert answer.status_code == 200
        assert "immutable" in answer.headers["cache-control"]
    assert still.client.get("/static/page.css").headers["cache-control"] == "private, no-cache"
    assert still.client.get("/static/..%2fpages.py").status_code == 404
