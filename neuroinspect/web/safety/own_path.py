"""Addresses of this page, told from those that lead elsewhere."""

from typing import Final
from urllib.parse import quote, urlsplit

from starlette.types import Scope

START: Final = "/reviews"


def own_path(wanted: str) -> str:
    """A path and query of this page; where another page, or something odd, is wanted, the list of reviews."""
    try:
        parts = urlsplit(wanted)
    except ValueError:
        return START
    leads_away = parts.scheme or parts.netloc or not wanted.startswith("/") or wanted.startswith(("//", "/\\"))
    is_odd = "\\" in wanted or not wanted.isascii() or not wanted.isprintable() or " " in wanted
    return START if leads_away or is_odd or parts.path in {"/login", "/logout"} else wanted


def path_of(scope: Scope) -> str:
    """Path and query of a request, as a browser would write them."""
    query = scope["query_string"].decode("latin-1")
    return own_path(quote(scope["path"], safe="/") + (f"?{query}" if query else ""))
