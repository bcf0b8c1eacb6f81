"""One page of a list."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

Entry = TypeVar("Entry")


@dataclass(frozen=True, slots=True)
class Paged(Generic[Entry]):
    """A page of a list.

    Attributes:
        entries: those of this page.
        number: of this page, from 1; the last one where a page behind the end was asked for.
        pages: how many there are, at least 1.
        total: entries of all pages.
        first: place of the first entry of this page in the list, from 1.
    """

    entries: tuple[Entry, ...]
    number: int
    pages: int
    total: int
    first: int

    @property
    def last(self) -> int:
        """Place of the last entry of this page in the list."""
        return self.first + len(self.entries) - 1


def paged(entries: Sequence[Entry], *, number: int, size: int) -> Paged[Entry]:
    """Cut one page out of a list.

    Args:
        entries: the whole list.
        number: of the page wanted, from 1; anything outside is moved to the nearest page.
        size: entries of a full page.
    """
    pages = max(1, math.ceil(len(entries) / size))
    page = min(max(number, 1), pages)
    start = (page - 1) * size
    return Paged(tuple(entries[start : start + size]), page, pages, len(entries), start + 1)


def page_number(text: str) -> int:
    """The number of a page from an address; 1 where it is none."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 6 else 1
