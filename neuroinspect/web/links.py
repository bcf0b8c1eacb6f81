"""Addresses of the page, with everything in them escaped."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode


def link(path: str, query: Mapping[str, Any] | None = None) -> str:
    """An address; what is empty in the query is left out."""
    kept = {key: value for key, value in (query or {}).items() if value not in ("", None, False)}
    return f"{path}?{urlencode(kept)}" if kept else path


def review_link(identifier: str, query: Mapping[str, Any] | None = None) -> str:
    """The grid of a review."""
    return link(f"/reviews/{quote(identifier, safe='')}", query)


def neuron_link(identifier: str, neuron: int, query: Mapping[str, Any] | None = None) -> str:
    """One neuron of a review; the query is that of the list it is walked in."""
    return link(f"/reviews/{quote(identifier, safe='')}/neurons/{neuron}", query)
