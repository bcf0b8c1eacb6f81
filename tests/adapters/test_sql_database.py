"""The database behind the review store: what a file is like, and what is said where one cannot be used."""

import sqlite3
from contextlib import closing

import pytest
import sqlalchemy as sa

from neuroinspect.adapters.sql_reviews import SqlReviews
from neuroinspect.errors import MissingToolError, OutsideError, SettingsError
from tests.adapters.review_store import REQUEST, approval, history


@pytest.fixture
def url(tmp_path) -> str:
    return f"sqlite:///{tmp_path}/state/reviews.db"


@pytest.fixture
def store(url, tmp_path) -> SqlReviews:
    """A store in a file, with one question."""
    reviews = SqlReviews(url)
    reviews.open(REQUEST.record(), run=tmp_path / "run")
    return reviews


def test_a_file_is_in_wal_mode_and_left_closed(store, tmp_path):
    with closing(sqlite3.connect(tmp_path / "state" / "reviews.db")) as other:
        assert other.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    # The last connection to close takes the log with it.
    assert not list((tmp_path / "state").glob("reviews.db-*"))


def test_a_file_another_process_holds_is_named(store, url, tmp_path):
    impatient = SqlReviews(url, patience=0.05)
    with closing(sqlite3.connect(tmp_path / "state" / "reviews.db")) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(OutsideError, match=r"locked.*wait for that one"):
            impatient.decide(approval("ada").record())
    impatient.decide(approval("ada").record())
    assert history(store)[-1] == ("decided", "ada")


def test_a_row_of_a_server_that_another_process_holds_is_waited_for_no_longer_than_patience(postgres, tmp_path):
    from tests.postgres import empty_schema

    url = empty_schema(postgres)
    impatient = SqlReviews(url, patience=0.05)
    impatient.open(REQUEST.record(), run=tmp_path / "run")
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.begin() as other:
        other.exec_driver_sql("SELECT * FROM review FOR UPDATE")
        with pytest.raises(OutsideError, match=r"lock timeout.*wait for that one"):
            impatient.decide(approval("ada").record())
        assert [review.request for review in impatient.pending()] == [REQUEST]
    impatient.decide(approval("ada").record())
    assert history(impatient)[-1] == ("decided", "ada")


def test_a_damaged_file_is_named_with_the_way_out(tmp_path):
    (tmp_path / "reviews.db").write_bytes(b"this is no database, whatever its name says" * 50)
    with pytest.raises(OutsideError, match=r"reviews\.db cannot be used .* backup"):
        SqlReviews(f"sqlite:///{tmp_path}/reviews.db").pending()


def test_a_folder_that_cannot_be_made_is_named_with_the_way_out(tmp_path):
    (tmp_path / "state").write_text("a file")
    with pytest.raises(OutsideError, match="NEUROINSPECT_REVIEW_URL"):
        SqlReviews(f"sqlite:///{tmp_path}/state/reviews.db").pending()


@pytest.mark.parametrize(
    ("url", "error"),
    [
        ("hush", SettingsError),
        ("sqlite://", SettingsError),
        ("oracle://me:hush@host/database", SettingsError),
        ("postgresql+asyncpg://me:hush@host/database?password=hush", SettingsError),
        ("postgresql+pg8000://me:hush@host/database", MissingToolError),
        ("postgresql+psycopg://me:hush@127.0.0.1:1/database", OutsideError),
        ("postgresql+psycopg://me@127.0.0.1:1/database?password=hush&options=-chush%3D1", OutsideError),
    ],
)
def test_a_url_that_cannot_keep_reviews_is_refused_and_never_shown(url, error):
    with pytest.raises(error) as refused:
        SqlReviews(url, patience=1).pending()
    assert "hush" not in str(refused.value)
    assert "NEUROINSPECT_REVIEW_URL" in str(refused.value)


def test_an_error_never_shows_the_password(tmp_path):
    (tmp_path / "state").write_text("a file")
    with pytest.raises(OutsideError) as refused:
        SqlReviews(f"sqlite:///{tmp_path}/state/reviews.db?password=hush").pending()
    assert "hush" not in str(refused.value)
