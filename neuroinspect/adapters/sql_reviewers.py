"""The reviewers' tokens in the review store: what proves who somebody is, and of it only a hash."""

import hmac
import re
import secrets
import unicodedata
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from neuroinspect.adapters.sql_store import SqlStore
from neuroinspect.errors import ReviewError
from neuroinspect.review import AUTO
from neuroinspect.review.reviewers import Reviewer
from neuroinspect.review.wording import check_name

if TYPE_CHECKING:
    from sqlalchemy import RowMapping

_TOKEN: Final = re.compile(r"ni_([0-9a-f]{12})_([0-9a-f]{64})")
_NOBODY: Final = "0" * 64


class SqlReviewers(SqlStore):
    """A ReviewerBook behind one SQLAlchemy URL, see SqlStore.

    A token is `ni_ID_SECRET`. The secret has 256 random bits, so a plain SHA-256 of it can neither be guessed nor looked up.
    """

    def add(self, name: str) -> str:
        """Give a reviewer a token, see the protocol.

        Raises:
            ReviewError: the name is no plain text, or its reviewer has a token already.
            OutsideError: the database cannot be used.
        """
        import sqlalchemy as sa

        from neuroinspect.adapters.sql_schema import reviewers

        name = unicodedata.normalize("NFC", name.strip())
        check_name(name)
        if name.casefold() == AUTO:
            raise ReviewError(f"{name!r} is the rule that stands in for a person; give the reviewer's own name")
        token, secret = secrets.token_hex(6), secrets.token_hex(32)
        values = {"token": token, "hash": _hash(secret), "added_at": self._clock(), "revoked_at": None}
        revoked = (reviewers.c.name == name) & reviewers.c.revoked_at.is_not(None)
        with self._transaction(writing=True) as connection:
            if not connection.execute(reviewers.update().where(revoked).values(**values)).rowcount:
                try:
                    with connection.begin_nested():
                        connection.execute(reviewers.insert().values(name=name, **values))
                except sa.exc.IntegrityError:
                    raise ReviewError(f"{name!r} has a token already; revoke it first, then add a new one") from None
        return f"ni_{token}_{secret}"

    def check(self, token: str) -> Reviewer | None:
        """Whose token this is, see the protocol; an unknown one takes as long as a wrong one.

        Raises:
            OutsideError: the database cannot be used.
        """
        parts = _TOKEN.fullmatch(token)
        identifier, secret = parts.groups() if parts is not None else ("", "")
        row = self._row(identifier)
        is_right = hmac.compare_digest(_NOBODY if row is None else row["hash"], _hash(secret))
        return _reviewer(row) if row is not None and is_right and row["revoked_at"] is None else None

    def standing(self, token: str) -> Reviewer | None:
        """Who holds the token with this open part now, see the protocol.

        Raises:
            OutsideError: the database cannot be used.
        """
        row = self._row(token)
        return None if row is None or row["revoked_at"] is not None else _reviewer(row)

    def revoke(self, name: str) -> None:
        """Let a reviewer's token open nothing from now on, see the protocol.

        Raises:
            ReviewError: no reviewer of that name has a token.
            OutsideError: the database cannot be used.
        """
        from neuroinspect.adapters.sql_schema import reviewers

        name = unicodedata.normalize("NFC", name.strip())
        check_name(name)
        standing = (reviewers.c.name == name) & reviewers.c.revoked_at.is_(None)
        with self._transaction(writing=True) as connection:
            ended = connection.execute(reviewers.update().where(standing).values(revoked_at=self._clock())).rowcount
        if not ended:
            raise ReviewError(
                f"no reviewer {name!r} has a token that still opens something; list the reviewers to see who has"
            )

    def listed(self) -> list[Reviewer]:
        """Everybody who holds or held a token, by name.

        Raises:
            OutsideError: the database cannot be used.
        """
        import sqlalchemy as sa

        from neuroinspect.adapters.sql_schema import reviewers

        with self._transaction() as connection:
            return [_reviewer(row) for row in connection.execute(sa.select(reviewers).order_by("name")).mappings()]

    def _row(self, identifier: str) -> "RowMapping | None":
        import sqlalchemy as sa

        from neuroinspect.adapters.sql_schema import reviewers

        with self._transaction() as connection:
            query = sa.select(reviewers).where(reviewers.c.token == identifier)
            return connection.execute(query).mappings().one_or_none()


def _hash(secret: str) -> str:
    return sha256(secret.encode()).hexdigest()


def _reviewer(row: "RowMapping") -> Reviewer:
    return Reviewer(row["name"], row["token"], row["added_at"], row["revoked_at"])
