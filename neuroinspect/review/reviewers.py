"""Who may review from other machines: one token for each reviewer."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Reviewer:
    """Somebody who holds, or held, a token.

    Attributes:
        name: as the trail shows it.
        token: the open part of the token, which names it; the secret part is kept nowhere.
        added_at: when the token was given out.
        revoked_at: from when on it opens nothing; None while it does.
    """

    name: str
    token: str
    added_at: datetime
    revoked_at: datetime | None


class ReviewerBook(Protocol):
    """The reviewers and what proves who they are; every method raises OutsideError where the store cannot be used."""

    def add(self, name: str) -> str:
        """Give a reviewer a token; it is told this once and cannot be read again.

        Raises:
            ReviewError: the name is no plain text, or its reviewer has a token already.
        """
        ...

    def check(self, token: str) -> Reviewer | None:
        """Whose token this is; None where it is nobody's or revoked."""
        ...

    def standing(self, token: str) -> Reviewer | None:
        """Who holds the token with this open part now; None where nobody does or it is revoked."""
        ...

    def revoke(self, name: str) -> None:
        """Let a reviewer's token open nothing from now on.

        Raises:
            ReviewError: no reviewer of that name has a token.
        """
        ...

    def listed(self) -> list[Reviewer]:
        """Everybody who holds or held a token, by name."""
        ...
