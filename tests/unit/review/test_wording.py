"""Names and notes are what they look like."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuroinspect.errors import ReviewError
from neuroinspect.review.wording import LONGEST_NAME, LONGEST_NOTE, check_name, check_note

BIDI = ["\u202a", "\u202b", "\u202c", "\u202d", "\u202e", "\u2066", "\u2067", "\u2068", "\u2069"]
CONTROLS = ["\0", "\x07", "\x08", "\x0b", "\x0c", "\x1b", "\x1c", "\x1f", "\x7f", "\x85", "\x9b"]
SURROGATES = ["\ud83d", "\udcff"]
UNSEEN = [
    "\u00ad",
    "\u200b",
    "\u200c",
    "\u200d",
    "\u200e",
    "\u200f",
    "\u2028",
    "\u2029",
    "\u2060",
    "\ufeff",
    "\U000e0061",
]


def refused(check, text: str) -> bool:
    try:
        check(text)
    except ReviewError:
        return True
    return False


@pytest.mark.parametrize(
    "name",
    [
        "ada",
        "Zoë Ångström",
        "O'Brien-Łukasz, Dr.",
        "山田 太郎",
        "علی\u200cرضا",
        "क्\u200dष",
        "<b>",
        "x" * LONGEST_NAME,
    ],
)
def test_a_name_of_any_language_is_a_name(name):
    assert not refused(check_name, name)


@pytest.mark.parametrize("letter", [*BIDI, *CONTROLS, *SURROGATES, *UNSEEN, "\n", "\r", "\t"])
@pytest.mark.parametrize("form", ["ada{}", "a{}da", "{}ada"])
def test_a_name_with_a_letter_that_nobody_sees_is_refused(letter, form):
    with pytest.raises(ReviewError, match="one line"):
        check_name(form.format(letter))


@pytest.mark.parametrize("name", ["", " ", "\u3000", "\t\n"])
def test_a_name_of_nothing_is_refused(name):
    with pytest.raises(ReviewError, match="who decides"):
        check_name(name)


@pytest.mark.parametrize("name", [" ada", "ada ", "ada\u00a0", "x" * (LONGEST_NAME + 1), "x" * 10_000])
def test_a_name_with_space_around_it_or_a_long_one_is_refused(name):
    with pytest.raises(ReviewError, match=f"at most {LONGEST_NAME} characters, without space around it") as told:
        check_name(name)
    assert len(str(told.value)) < 200


def test_a_note_may_have_lines_and_letters_of_any_language():
    assert not refused(
        check_note, "Bäume,\nnicht Fische:\t木 🌲 👩\u200d🌾 علی\u200cرضا\r\n<script>alert(1)</script>\r\n"
    )


@pytest.mark.parametrize("letter", [*BIDI, *CONTROLS, *SURROGATES, "\r"])
def test_a_note_with_a_letter_that_does_something_is_refused(letter):
    with pytest.raises(ReviewError, match="control character"):
        check_note(f"left{letter}right")


def test_a_note_has_room_for_ten_thousand_characters_and_no_more():
    assert not refused(check_note, "ä" * LONGEST_NOTE)
    with pytest.raises(ReviewError, match="this one has 10001; say it shorter"):
        check_note("x" * (LONGEST_NOTE + 1))


@given(st.text(st.characters(exclude_categories=()), max_size=50))
def test_a_name_that_is_taken_shows_every_letter_in_its_own_place(name):
    if not refused(check_name, name):
        assert name.isprintable() or not {unicodedata.category(letter) for letter in name} & {"Cc", "Cs", "Zl", "Zp"}
        assert name.splitlines() == [name]
        assert not set(name) & set(BIDI)
        name.encode()  # no lone surrogate
