"""Reviewers' tokens on a real SQLite file: told once, kept as a hash, ended at once."""

import sqlite3
from concurrent.futures import ThreadPoolExecutor

import pytest

from neuroinspect.adapters.sql_reviewers import SqlReviewers
from neuroinspect.errors import ReviewError


@pytest.fixture
def file(tmp_path):
    return tmp_path / "reviews.db"


@pytest.fixture
def book(file):
    return SqlReviewers(f"sqlite:///{file}")


def test_a_token_names_its_reviewer(book):
    anns, bobs = book.add("Ann"), book.add("Bob")
    assert [book.check(token).name for token in (anns, bobs)] == ["Ann", "Bob"]
    assert book.standing(anns.split("_")[1]).name == "Ann"


def test_the_store_holds_no_secret(book, file):
    secret = book.add("Ann").split("_")[2]
    assert len(secret) == 64
    held = b"".join(part.read_bytes() for part in file.parent.iterdir())
    assert b"Ann" in held
    assert secret.encode() not in held


@pytest.mark.parametrize(
    "change", [lambda t: t[:-1], lambda t: t + "0", lambda t: t.upper(), lambda t: f" {t}", lambda t: ""]
)
def test_a_changed_token_opens_nothing(book, change):
    assert book.check(change(book.add("Ann"))) is None


def test_the_secret_of_another_opens_nothing(book):
    anns, bobs = book.add("Ann"), book.add("Bob")
    assert book.check("_".join([*anns.split("_")[:2], bobs.split("_")[2]])) is None
    assert book.check(f"ni_{'0' * 12}_{anns.split('_')[2]}") is None


def test_a_revoked_token_opens_nothing_and_a_new_one_does(book):
    old = book.add("Ann")
    book.revoke("Ann")
    assert (book.check(old), book.standing(old.split("_")[1])) == (None, None)
    new = book.add("Ann")
    assert (book.check(old), book.check(new).name) == (None, "Ann")


def test_a_reviewer_has_one_token(book):
    first = book.add("Ann")
    with pytest.raises(ReviewError, match="already"):
        book.add(" Ann ")
    assert book.check(first).name == "Ann"


def test_names_that_look_the_same_are_the_same(book):
    book.add("Zo\u00eb")
    with pytest.raises(ReviewError, match="already"):
        book.add("Zoe\u0308")


@pytest.mark.parametrize("name", ["", "  ", "a\nb", "a\u202eb", "\ud800", "x" * 201, "auto", "AUTO"])
def test_a_disguised_name_is_refused(book, name):
    with pytest.raises(ReviewError):
        book.add(name)
    assert book.listed() == []


@pytest.mark.parametrize("name", ["Ann", "", "\ud800"])
def test_only_a_token_that_stands_can_be_revoked(book, name):
    with pytest.raises(ReviewError):
        book.revoke(name)


def test_the_list_shows_everybody_and_no_secret(book):
    tokens = [book.add(name) for name in ("Bob", "Ann")]
    book.revoke("Bob")
    assert [(one.name, one.revoked_at is None) for one in book.listed()] == [("Ann", True), ("Bob", False)]
    assert not any(token.split("_")[2] in repr(book.listed()) for token in tokens)


def test_of_many_who_add_a_name_at_once_one_gets_the_token(file):
    def attempt(_number):
        try:
            return SqlReviewers(f"sqlite:///{file}").add("Ann")
        except ReviewError:
            return None

    with ThreadPoolExecutor(8) as threads:
        tokens = [token for token in threads.map(attempt, range(8)) if token]
    assert len(tokens) == 1
    assert SqlReviewers(f"sqlite:///{file}").check(tokens[0]).name == "Ann"
    assert sqlite3.connect(file).execute("SELECT COUNT(*) FROM reviewer").fetchone() == (1,)
