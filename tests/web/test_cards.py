"""What cards say, how lists are filtered and walked, and what was tried ahead."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from neuroinspect.adapters.sql_reviews import SqlReviews
from neuroinspect.artifacts import read_table, write_bytes, write_json, write_table
from neuroinspect.ranking import vote_shares
from neuroinspect.web.desk import OpenReview, ReviewDesk
from neuroinspect.web.neurons.figures import LEGEND, explained
from neuroinspect.web.neurons.filters import ListFilter, read_filter
from neuroinspect.web.neurons.findings import Findings, findings_of
from neuroinspect.web.neurons.picture_views import mistakes_of_neuron, neuron_pictures
from neuroinspect.web.neurons.review_view import ReviewView, review_view
from neuroinspect.web.neurons.tried_sets import TriedSets
from neuroinspect.web.neurons.walk import listed, walk
from tests.web.reviews import MadeReview, made_review


@pytest.fixture(scope="module")
def still(tmp_path_factory: pytest.TempPathFactory) -> MadeReview:
    """A review that no test changes."""
    return made_review(tmp_path_factory.mktemp("still"), drawn=10)


@pytest.fixture
def judged(still: MadeReview, tmp_path: Path) -> MadeReview:
    """The same run, with verdicts of its own."""
    store = SqlReviews(f"sqlite:///{tmp_path}/reviews.db")
    store.open(still.request.record(), run=still.run.root, params=still.params.model_dump(mode="json", by_alias=True))
    return replace(still, book=store)


def opened(made: MadeReview) -> OpenReview:
    return ReviewDesk(made.book).open(made.id)


def view_of(made: MadeReview) -> ReviewView:
    return review_view(opened(made), made.book.judgements(made.id))


def numbers(made: MadeReview, **chosen: object) -> list[int]:
    return [card.neuron for card in listed(view_of(made).cards, ListFilter(**chosen))]


def test_there_is_a_card_for_each_candidate_in_the_order_of_the_review(still: MadeReview) -> None:
    assert [card.neuron for card in view_of(still).cards] == still.neurons


def test_a_card_carries_direction_word_figures_and_what_was_said(judged: MadeReview) -> None:
    judged.say(judged.neurons[0], "spurious", by="bob", note="water")
    card = view_of(judged).cards[0]
    assert card.direction_title == "must rise"
    assert card.word
    assert {"Weight", "Probability ratio", "Activation gap", "Core relevance"} <= {fact.title for fact in card.facts}
    assert card.said is not None
    assert (card.said.verdict, card.said.note, card.said.by) == ("spurious", "water", "bob")


def test_every_figure_of_a_card_is_explained_with_its_source(still: MadeReview) -> None:
    for card in view_of(still).cards:
        for fact, meaning in explained(card):
            assert meaning is not None, fact.title
            assert meaning.meaning
            assert meaning.source
    assert LEGEND[0].title == "Vote share"


def test_the_figures_of_a_candidate_that_the_run_no_longer_ranks_are_left_out(made: MadeReview) -> None:
    table = read_table(made.run.stage("diagnose") / "neurons.parquet")
    write_table(made.run.stage("diagnose") / "neurons.parquet", table.iloc[1:])
    view = view_of(made)
    assert view.cards[0].figures["probability_ratio"] is None
    assert view.cards[0].votes
    assert any("has changed" in notice for notice in view.notices)


@pytest.mark.parametrize("name", ["diagnose/neurons.parquet", "visualize/real.parquet", "visualize/illusions.parquet"])
def test_a_damaged_table_leaves_the_rest_of_the_page(made: MadeReview, name: str) -> None:
    write_bytes(made.run.root / name, b"no table")
    (made.run.stage("suggest") / "stage.json").touch()
    view = view_of(made)
    assert len(view.cards) == len(made.neurons)
    assert any("damaged" in notice for notice in view.notices)


def test_without_a_run_folder_the_candidates_are_still_there(made: MadeReview) -> None:
    made.run.root.rename(made.run.root.with_name("elsewhere"))
    view = view_of(made)
    assert [card.neuron for card in view.cards] == made.neurons
    assert "no pictures and no figures" in view.notices[0]
    assert neuron_pictures(made.id, made.neurons[0], view.findings, class_name="boat").illusion is None


def test_tables_are_read_once_while_they_stay_the_same(made: MadeReview) -> None:
    first = findings_of(opened(made))
    assert findings_of(opened(made)) is first
    write_json(made.run.stage("diagnose") / "stage.json", made.run.stage_record("diagnose"))
    assert findings_of(opened(made)) is not first


def test_the_mistakes_of_a_neuron_are_those_that_voted_for_it(still: MadeReview) -> None:
    findings = findings_of(opened(still))
    shifts = np.load(still.run.stage("diagnose") / "shifts.npy")
    settings = still.params.diagnose
    shares = vote_shares(shifts, top_k=settings.top_k, strict_sign=settings.strict_sign)
    for neuron in still.neurons:
        votes = findings.voters.get(neuron, ())
        share = shares.insufficient[neuron] + shares.excessive[neuron]
        assert len(votes) == round(share * len(shifts))
        assert [abs(shift) for _, shift in votes] == sorted((abs(shift) for _, shift in votes), reverse=True)


def test_mistakes_whose_shifts_do_not_fit_are_not_guessed_at(made: MadeReview) -> None:
    table = read_table(made.run.stage("diagnose") / "mistakes.parquet")
    write_table(made.run.stage("diagnose") / "mistakes.parquet", table.iloc[1:])
    findings = findings_of(opened(made))
    assert findings.voters == {}
    assert mistakes_of_neuron(made.id, made.neurons[0], findings, made.params) == ()


def test_a_filter_by_number_takes_that_neuron_alone(still: MadeReview) -> None:
    assert numbers(still, word="1") == [1]
    assert set(numbers(still, word="1, 3")) == {1, 3}


def test_a_filter_by_word_takes_parts_in_any_case(still: MadeReview) -> None:
    found = numbers(still, word="WAT")
    cards = {card.neuron: card for card in view_of(still).cards}
    assert found
    assert all("wat" in (cards[neuron].word + cards[neuron].second_word) for neuron in found)
    assert numbers(still, word="no such word") == []


def test_filters_by_direction_verdict_and_pictures(judged: MadeReview) -> None:
    judged.say(judged.neurons[0], "core")
    view = view_of(judged)
    directions = {card.neuron: card.direction for card in view.cards}
    assert all(directions[one] in ("excessive", "both") for one in numbers(judged, direction="excessive"))
    assert numbers(judged, verdict="core") == [judged.neurons[0]]
    assert judged.neurons[0] not in numbers(judged, verdict="open")
    assert len(numbers(judged, drawn=True)) == 10


def test_a_neuron_that_has_only_a_note_is_not_judged(judged: MadeReview) -> None:
    judged.say(judged.neurons[0], None, note="look again")
    assert judged.neurons[0] in numbers(judged, verdict="open")


@pytest.mark.parametrize("sort", ["number", "word", "ratio", "core", "gap", "gain"])
def test_every_order_holds_every_neuron_and_puts_the_unknown_last(still: MadeReview, sort: str) -> None:
    cards = listed(view_of(still).cards, ListFilter(sort=sort))
    assert sorted(card.neuron for card in cards) == sorted(still.neurons)
    known = {"core": "core_relevance", "ratio": "probability_ratio", "gap": "activation_gap"}
    if sort in known:
        missing = [card.figures[known[sort]] is None for card in cards]
        assert missing == sorted(missing)
    if sort == "number":
        assert [card.neuron for card in cards] == sorted(still.neurons)


def test_an_address_with_nonsense_gives_the_whole_list() -> None:
    query = {"direction": "<b>", "verdict": "9", "sort": "x", "page": "-3", "drawn": "yes", "word": " "}
    assert read_filter(query) == ListFilter()


@pytest.mark.parametrize("page", ["\u0663", "9" * 50, "1.5", "0x1", ""])
def test_a_page_that_is_no_number_is_the_first(page: str) -> None:
    assert read_filter({"page": page}).page == 1


def test_a_filter_comes_back_from_its_own_address() -> None:
    chosen = ListFilter(direction="excessive", verdict="open", word="a b", drawn=True, suggested=True, sort="gap")
    assert read_filter({key: str(value) for key, value in chosen.query().items()}) == chosen


def test_changing_a_filter_goes_back_to_the_first_page() -> None:
    assert ListFilter(page=4).query(verdict="core")["page"] == ""
    assert ListFilter(page=4).query(page=3)["page"] == 3


def test_walking_goes_through_the_filtered_list_alone(still: MadeReview) -> None:
    cards = view_of(still).cards
    chosen = ListFilter(direction="insufficient")
    inside = [card.neuron for card in listed(cards, chosen)]
    for place, neuron in enumerate(inside):
        steps = walk(cards, chosen, neuron)
        assert steps.place == place + 1
        assert steps.before == (inside[place - 1] if place else None)
        assert steps.after == (inside[place + 1] if place + 1 < len(inside) else None)


def test_a_neuron_that_its_verdict_moved_out_of_the_list_still_has_neighbours(judged: MadeReview) -> None:
    middle = judged.neurons[3]
    judged.say(middle, "core")
    steps = walk(view_of(judged).cards, ListFilter(verdict="open"), middle)
    assert steps.place is None
    assert (steps.before, steps.after) == (judged.neurons[2], judged.neurons[4])


def test_the_next_to_judge_goes_round_and_ends_when_all_are_judged(judged: MadeReview) -> None:
    for neuron in judged.neurons[1:]:
        judged.say(neuron, "core")
    assert walk(view_of(judged).cards, ListFilter(), judged.neurons[-1]).waiting == judged.neurons[0]
    judged.say(judged.neurons[0], "unclear")
    assert walk(view_of(judged).cards, ListFilter(), judged.neurons[-1]).waiting is None


def test_suggestions_carry_their_figures_and_choose_nothing(still: MadeReview) -> None:
    view = view_of(still)
    suggested = [card for card in view.cards if card.is_suggested]
    assert suggested
    assert all(card.verdict == "" for card in suggested)
    assert any(card.tries is not None and "class AUROC +" in card.tries.alone for card in view.cards)
    assert view.progress.selection == ()
    assert set(numbers(still, suggested=True)) == {card.neuron for card in suggested}


def test_a_set_that_does_not_help_is_not_suggested() -> None:
    figures = {"auroc_gain": -0.01, "worst_class": 0.2, "average": 0.8, "eligible": True, "kind": "candidate"}
    tries = TriedSets({"sets": [{"neurons": [3], **figures}], "original": {"worst_class": 0.3}}).of(3)
    assert tries is not None
    assert not tries.in_best
    assert "\u2212" in tries.gain_text


def test_suggestions_for_another_diagnosis_are_not_shown(made: MadeReview) -> None:
    record = made.run.stage_record("diagnose")
    assert record is not None
    write_json(made.run.stage("diagnose") / "stage.json", {**record, "inputs_hash": "0" * 64})
    assert findings_of(opened(made)).tried is None


def test_progress_counts_verdicts_and_selects_the_spurious_in_order(judged: MadeReview) -> None:
    first, second, third, fourth = judged.neurons[:4]
    judged.say(second, "spurious")
    judged.say(first, "spurious")
    judged.say(third, "unclear")
    judged.say(fourth, None, note="only a note")
    progress = view_of(judged).progress
    assert progress.judged == 3
    assert progress.selection == tuple(sorted((first, second)))
    assert progress.counts == {"spurious": 2, "core": 0, "unclear": 1}


def test_a_review_of_settings_that_are_not_known_has_no_mistakes_to_show(still: MadeReview) -> None:
    findings = findings_of(replace(opened(still), params=None))
    assert isinstance(findings, Findings)
    assert findings.voters == {}
    assert mistakes_of_neuron(still.id, still.neurons[0], findings, None) == ()
