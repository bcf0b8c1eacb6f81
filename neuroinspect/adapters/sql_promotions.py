"""The trail of promotions in the review store: numbered for each model, append-only, and one winner for each number."""

from typing import TYPE_CHECKING

from neuroinspect.adapters.sql_store import SqlStore
from neuroinspect.errors import PromotionConflictError
from neuroinspect.promotion import Answer, Promotion
from neuroinspect.review import parse_decision, parse_request
from neuroinspect.review.wording import check_name, check_note

if TYPE_CHECKING:
    from sqlalchemy import Connection, RowMapping


class SqlPromotions(SqlStore):
    """A PromotionBook behind one SQLAlchemy URL, see SqlStore."""

    def models(self) -> list[str]:
        """The models that have a trail, see the protocol.

        Raises:
            OutsideError: the database cannot be used.
        """
        import sqlalchemy as sa

        from neuroinspect.adapters.sql_schema import promotions

        with self._transaction() as connection:
            return sorted(connection.execute(sa.select(promotions.c.model).distinct()).scalars())

    def trail(self, model: str) -> list[Promotion]:
        """All entries of a model, see the protocol.

        Raises:
            OutsideError: the database cannot be used.
        """
        with self._transaction() as connection:
            return _entries(connection, model)

    def append(self, entry: Promotion) -> Promotion:
        """Keep an entry, see the protocol.

        Raises:
            PromotionConflictError: another entry has its number.
            ReviewError: name or reason are no plain text.
            OutsideError: the database cannot be used.
        """
        import sqlalchemy as sa

        from neuroinspect.adapters.sql_schema import promotions

        check_name(entry.by)
        check_note(entry.reason or "")
        with self._transaction(writing=True) as connection:
            known = _entries(connection, entry.model)
            values = {
                "model": entry.model,
                "number": entry.number,
                "at": self._clock(),
                "by": entry.by,
                "kind": entry.kind,
                "before": entry.before,
                "after": entry.after,
                "layer": entry.layer,
                "reason": entry.reason,
                "rules": [dict(rule) for rule in entry.rules],
                "metrics_hash": entry.metrics_hash,
            }
            if len(known) != entry.number - 1:
                raise _conflict(entry, known)
            try:
                with connection.begin_nested():
                    connection.execute(promotions.insert().values(**values))
            except sa.exc.IntegrityError:
                # On PostgreSQL another transaction may have had the number first, and is committed by now.
                raise _conflict(entry, _entries(connection, entry.model)) from None
            return _entries(connection, entry.model)[-1]

    def answer(self, request: str) -> Answer | None:
        """What stands on a review now, see the protocol.

        Raises:
            OutsideError: the database cannot be used.
        """
        with self._rows() as rows:
            row = rows.review(request)
        if row is None or row["decision"] is None:
            return None
        found, asked = parse_decision(row["decision"]), parse_request(row["request"])
        return Answer(
            found.verdict,
            found.by,
            found.unverified,
            found.chosen,
            model=asked.model,
            pictures=asked.data_version,
            class_name=asked.class_name,
        )


def _entries(connection: "Connection", model: str) -> list[Promotion]:
    import sqlalchemy as sa

    from neuroinspect.adapters.sql_schema import promotions

    query = sa.select(promotions).where(promotions.c.model == model).order_by(promotions.c.number)
    return [_promotion(row) for row in connection.execute(query).mappings()]


def _promotion(row: "RowMapping") -> Promotion:
    return Promotion(**{**row, "rules": tuple(row["rules"])})


def _conflict(entry: Promotion, known: list[Promotion]) -> PromotionConflictError:
    """Somebody was faster; names who, and what serves now."""
    if len(known) < entry.number:
        return PromotionConflictError(
            f"the trail of {entry.model} ends with entry {len(known)}, not with {entry.number - 1}; look again, then decide"
        )
    said = [one.told() for one in known[entry.number - 1 :]]
    return PromotionConflictError(
        f"{said[0]} while version {entry.after} of {entry.model} was looked at{f', and {said[-1]}' if said[1:] else ''}; the "
        f"champion is no longer version {entry.before}. Nothing was changed for you: look again, then decide"
    )
