"""Promoting, overriding, rolling back, and aliases that follow the trail whoever dies or is late."""

from dataclasses import replace

import pytest

from neuroinspect.errors import ModelSpecError, OutsideError, PromotionConflictError, PromotionError
from neuroinspect.promotion import Promotion
from tests.unit.promotion.shelves import BASE, EDIT, NAME, desk, metrics

LATER = replace(
    EDIT, number=3, layer="d" * 64, parent_fingerprint="edited", parent_version=2, fingerprint="again", request="later"
)


def test_a_promotion_is_written_with_its_rules_and_moves_the_aliases():
    made, book, shelf = desk()
    entry = made.promote(made.judge(NAME, "2"), by="bob")
    assert (entry.number, entry.kind, entry.before, entry.after, entry.by) == (2, "promote", 1, 2, "bob")
    assert [rule["name"] for rule in entry.rules][:3] == ["made_from_champion", "same_data", "person"]
    assert all(rule["holds"] for rule in entry.rules)
    assert entry.metrics_hash == EDIT.metrics_hash
    assert shelf.aliases == {"champion": 2, "previous": 1}
    assert book.entries[-1] == entry


def test_an_override_is_recorded_with_its_reason_and_the_rules_it_breaks():
    made, book, shelf = desk(replace(EDIT, request="of another store"))
    judged = made.judge(NAME, "2")
    with pytest.raises(PromotionError, match="needs a reason"):
        made.promote(judged, by="bob", override="  ")
    made.promote(judged, by="bob", override="a demonstration")
    entry = book.entries[-1]
    assert (entry.kind, entry.reason, entry.by) == ("override", "a demonstration", "bob")
    assert [rule["name"] for rule in entry.rules if not rule["holds"]] == ["person"]
    assert shelf.aliases["champion"] == 2


def test_an_override_that_was_not_needed_is_a_promotion():
    made, _, _ = desk()
    entry = made.promote(made.judge(NAME, "2"), by="bob", override="to be sure")
    assert (entry.kind, entry.reason) == ("promote", "to be sure")


def test_promoting_the_champion_again_changes_nothing():
    made, book, _ = desk()
    entry = made.promote(made.judge(NAME, "2"), by="bob")
    assert made.promote(made.judge(NAME, "2"), by="cleo") == entry
    assert len(book.entries) == 2


def test_who_judged_against_a_champion_that_no_longer_serves_hears_who_was_faster():
    made, _, shelf = desk(EDIT, replace(EDIT, number=3, layer="d" * 64))
    mine, theirs = made.judge(NAME, "2"), made.judge(NAME, "3")
    made.promote(theirs, by="cleo")
    with pytest.raises(PromotionConflictError, match="cleo promoted version 3"):
        made.promote(mine, by="bob")
    assert shelf.aliases == {"champion": 3, "previous": 1}
    assert [rule.name for rule in made.judge(NAME, "2").broken] == ["made_from_champion"]


def test_a_rollback_goes_one_step_and_then_one_further_until_nothing_is_before():
    made, book, shelf = desk(EDIT, LATER)
    for number in ("2", "3"):
        made.promote(made.judge(NAME, number), by="bob")
    assert shelf.aliases == {"champion": 3, "previous": 2}
    assert made.rollback(NAME, by="cleo", reason="complaints").after == 2
    assert shelf.aliases == {"champion": 2, "previous": 1}
    assert made.rollback(NAME, by="cleo").after == 1
    assert shelf.aliases == {"champion": 1}
    with pytest.raises(PromotionError, match="no champion before version 1, so there is nothing to roll back to"):
        made.rollback(NAME, by="cleo")
    assert [(one.kind, one.before, one.after) for one in book.entries] == [
        ("first", None, 1),
        ("promote", 1, 2),
        ("promote", 2, 3),
        ("rollback", 3, 2),
        ("rollback", 2, 1),
    ]


def test_a_rollback_that_names_what_it_takes_away_takes_one_step_however_often_it_is_said():
    made, book, shelf = desk(EDIT, LATER)
    for number in ("2", "3"):
        made.promote(made.judge(NAME, number), by="bob")
    with pytest.raises(
        PromotionConflictError, match=r"version 2 of .* does not serve, version 3 does: bob promoted version 3"
    ):
        made.rollback(NAME, by="cleo", expected=2)
    first = made.rollback(NAME, by="cleo", expected=3)
    assert made.rollback(NAME, by="dan", expected=3) == first == book.entries[-1]
    assert (first.before, first.after, shelf.aliases) == (3, 2, {"champion": 2, "previous": 1})


def test_what_was_rolled_back_can_be_promoted_again():
    made, _, shelf = desk()
    made.promote(made.judge(NAME, "2"), by="bob")
    made.rollback(NAME, by="cleo")
    assert made.promote(made.judge(NAME, "2"), by="bob").number == 4
    assert shelf.aliases == {"champion": 2, "previous": 1}


def test_the_first_champion_is_untouched_and_begun_once():
    made, book, _ = desk(first=False)
    with pytest.raises(PromotionError, match="is an edit, and the first champion is the untouched model"):
        made.begin(NAME, "2", by="ada")
    assert made.begin(NAME, "1", by="ada") is not None
    assert made.begin(NAME, "1", by="bob") is None
    assert [one.by for one in book.entries] == ["ada"]


def test_who_is_second_to_begin_finds_it_begun():
    made, book, shelf = desk(first=False)
    look = shelf.version

    def overtaken(name, which):
        shelf.version = look
        made.begin(name, which, by="bob")
        return look(name, which)

    shelf.version = overtaken
    assert made.begin(NAME, "1", by="ada") is None
    assert ([one.by for one in book.entries], shelf.aliases) == (["bob"], {"champion": 1})


@pytest.mark.parametrize("serving", [7, 1])
def test_an_empty_trail_does_not_take_the_champion_of_others_away(serving):
    made, book, shelf = desk(EDIT, replace(EDIT, number=7, layer="f" * 64), first=False)
    shelf.aliases = {"champion": serving, "previous": 2}
    says = f"version {serving} of {NAME} serves in MLflow already, .* NEUROINSPECT_REVIEW_URL.* --adopt"
    with pytest.raises(PromotionError, match=says):
        made.begin(NAME, "1", by="bob")
    with pytest.raises(PromotionError, match=says):
        made.promote(made.judge(NAME, "2"), by="bob", override="why not")
    assert (book.entries, shelf.aliases) == ([], {"champion": serving, "previous": 2})


def test_an_empty_trail_adopts_the_champion_of_others_where_that_is_asked():
    made, book, shelf = desk(EDIT, first=False)
    shelf.aliases = {"champion": 2}
    entry = made.begin(NAME, "1", by="bob", adopt=True)
    assert entry is not None
    assert (entry.kind, entry.after, entry.layer, entry.by) == ("first", 2, EDIT.layer, "bob")
    assert "adopted" in (entry.reason or "")
    assert (len(book.entries), shelf.aliases) == (1, {"champion": 2})
    assert made.begin(NAME, "1", by="cleo", adopt=True) is None


def test_an_alias_that_stood_where_no_trail_put_it_is_told(caplog):
    made, _, shelf = desk(EDIT, LATER)
    made.promote(made.judge(NAME, "2"), by="bob")
    shelf.aliases["champion"] = 1  # as a promotion leaves it that was killed
    made.settle(NAME)
    assert "stood for" not in caplog.text
    shelf.aliases["champion"] = 3
    made.settle(NAME)
    assert "the alias champion of birds stood for version 3, which its trail does not say" in caplog.text
    assert shelf.aliases["champion"] == 2


def test_where_nothing_was_promoted_the_aliases_of_others_stay():
    made, _, shelf = desk(first=False)
    shelf.aliases = {"champion": 2, "previous": 1}
    assert made.trail(NAME) == []
    assert shelf.aliases == {"champion": 2, "previous": 1}


def test_who_dies_between_trail_and_aliases_is_made_good_by_the_next_look():
    made, _, shelf = desk()

    def die() -> None:
        raise KeyboardInterrupt

    shelf.before_pointing = die
    with pytest.raises(KeyboardInterrupt):
        made.promote(made.judge(NAME, "2"), by="bob")
    assert shelf.aliases == {"champion": 1}
    shelf.before_pointing = lambda: None
    assert made.promote(made.judge(NAME, "2"), by="bob").number == 2
    assert shelf.aliases == {"champion": 2, "previous": 1}


def away() -> None:
    raise OutsideError("MLflow cannot be reached")


def test_a_rollback_that_could_not_move_the_aliases_is_kept_and_said_again_goes_no_further():
    made, book, shelf = desk(EDIT, LATER)
    for number in ("2", "3"):
        made.promote(made.judge(NAME, number), by="bob")
    shelf.before_pointing = away
    for _ in range(2):
        with pytest.raises(OutsideError, match=r"MLflow cannot be reached"):
            made.rollback(NAME, by="cleo")
        assert [one.after for one in book.entries] == [1, 2, 3, 2]
    shelf.before_pointing = lambda: None
    entry = made.rollback(NAME, by="cleo")
    assert (entry, entry.after, len(book.entries)) == (book.entries[-1], 2, 4)
    assert shelf.aliases == {"champion": 2, "previous": 1}
    assert made.rollback(NAME, by="cleo").after == 1


def test_what_is_kept_without_its_aliases_is_told_as_kept():
    made, _, shelf = desk(EDIT, LATER)
    shelf.before_pointing = away
    with pytest.raises(
        OutsideError, match=r"bob promoted version 2 .* kept as entry 2 .* not moved yet .* not do it again"
    ):
        made.promote(made.judge(NAME, "2"), by="bob")
    with pytest.raises(OutsideError, match=r"cleo rolled back to version 1 .* kept as entry 3 .* promote --list"):
        made.rollback(NAME, by="cleo")
    shelf.before_pointing = lambda: None
    assert [one.kind for one in made.trail(NAME)] == ["first", "promote", "rollback"]
    assert shelf.aliases == {"champion": 1}


def test_a_deleted_version_before_the_champion_stops_nothing(caplog):
    made, _, shelf = desk(EDIT, LATER)
    made.promote(made.judge(NAME, "2"), by="bob")
    del shelf.versions[1]
    assert made.promote(made.judge(NAME, "2"), by="bob").after == 2
    assert shelf.aliases == {"champion": 2}
    assert "nothing to roll back to: there is no 1" in caplog.text
    with pytest.raises(ModelSpecError):
        made.rollback(NAME, by="cleo")


def test_all_models_with_a_trail_are_settled_and_one_that_cannot_be_hinders_none():
    made, book, shelf = desk()
    book.entries.insert(0, Promotion("another", 1, "first", None, 9, "9" * 64, "ada"))
    made.promote(made.judge(NAME, "2"), by="bob")
    shelf.aliases = {"champion": 1}
    with pytest.raises(ModelSpecError, match="there is no 9"):
        made.settle_all()
    assert shelf.aliases == {"champion": 2, "previous": 1}


def test_who_is_late_with_the_aliases_does_not_turn_them_back():
    made, _, shelf = desk(EDIT, LATER)
    made.promote(made.judge(NAME, "2"), by="bob")

    def overtake() -> None:
        shelf.before_pointing = lambda: None
        made.promote(made.judge(NAME, "3"), by="cleo")

    shelf.before_pointing = overtake  # after the late one has read the trail, before it moves the aliases
    made.settle(NAME)
    assert shelf.aliases == {"champion": 3, "previous": 2}


def test_a_version_that_is_another_model_by_now_is_neither_served_nor_compared_with():
    made, _, shelf = desk(found=metrics())
    shelf.versions[1] = replace(BASE, layer="e" * 64)
    for look in (made.settle, made.trail, lambda name: made.judge(name, "2")):
        with pytest.raises(PromotionError, match="another model than the one that ada promoted version 1"):
            look(NAME)


def test_a_version_that_is_not_ours_is_not_promoted():
    made, _, _ = desk(replace(EDIT, layer=None))
    with pytest.raises(PromotionError, match="was not registered by NeuroInspect"):
        made.promote(made.judge(NAME, "2"), by="bob", override="why not")
