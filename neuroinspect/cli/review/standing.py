"""How a review stands, in words, and who is speaking."""

import getpass

from neuroinspect.errors import ReviewError
from neuroinspect.review import Decision, StoredReview


def told(decision: Decision) -> str:
    """A decision in one sentence."""
    named = ", ".join(map(str, decision.chosen))
    what = f": neurons {named}" if named else ""
    part = f", strength {decision.strength:g}" if decision.strength != 1 else ""
    remarks = "; ".join([*([decision.rule] if decision.rule else []), *(["unverified"] if decision.unverified else [])])
    return f"{decision.verdict} by {decision.by}{what}{part}{f' ({remarks})' if remarks else ''}"


def told_or_asked(decision: Decision | None, stored: StoredReview | None, *, how: str) -> str:
    """How a review stands.

    Args:
        decision: the one that stands.
        stored: what the store holds.
        how: the command that decides.
    """
    if decision is not None:
        return told(decision)
    if stored is not None and stored.status == "expired":
        return f"expired on {stored.expires_at:%Y-%m-%d %H:%M} UTC, so it can no longer be decided; `neuroinspect run` asks again"
    until = "" if stored is None or stored.expires_at is None else f" (until {stored.expires_at:%Y-%m-%d %H:%M} UTC)"
    return f"no decision yet{until}; decide: {how} --neurons 3,17 --note WHY, or --reject --note WHY"


def speaker(by: str | None) -> str:
    """Who judges or decides: the name given, or else the user of this machine.

    Raises:
        ReviewError: nobody is named, and this machine knows no name.
    """
    if by is not None:
        return by
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError) as error:
        raise ReviewError("this machine has no name for you; give --by NAME") from error
