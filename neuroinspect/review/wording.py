"""What people write: names and notes. Both are shown on terminals, pages and in tables, so they must be what they look like."""

import unicodedata
from typing import Final

from neuroinspect.errors import ReviewError

LONGEST_NAME: Final = 200
LONGEST_NOTE: Final = 10_000
_TURNING: Final = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")  # the direction of what follows
_JOINERS: Final = frozenset("\u200c\u200d")  # between letters of scripts that join them, as in Persian names
_LINES: Final = frozenset("\n\t")


def check_name(name: str) -> None:
    """Refuse a name that is empty, long, or could be taken for another.

    Raises:
        ReviewError: it is.
    """
    if not name.strip():
        raise ReviewError("a decision needs a name: who decides?")
    if len(name) > LONGEST_NAME or name != name.strip() or _hides(name):
        raise ReviewError(
            f"a name is one line of plain text, at most {LONGEST_NAME} characters, without space around it; got {name[:40]!r}"
        )


def check_note(note: str) -> None:
    """Refuse a note that is long, or holds characters that do something.

    Raises:
        ReviewError: it is, or does.
    """
    if len(note) > LONGEST_NOTE:
        raise ReviewError(f"a note has at most {LONGEST_NOTE} characters, this one has {len(note)}; say it shorter")
    # A line may end as browsers end it; a carriage return alone lets a terminal write over what it follows.
    if disguises("".join(letter for letter in note.replace("\r\n", "\n") if letter not in _LINES)):
        raise ReviewError("a note is plain text; it holds a control character, such as those that colour a terminal")


def disguises(text: str) -> bool:
    """Whether text holds characters that do something: control characters, and those that turn the direction of what follows."""
    return any(unicodedata.category(letter) in {"Cc", "Cs"} or letter in _TURNING for letter in text)


def _hides(name: str) -> bool:
    """Whether a letter of a name is not seen, so that two names could look the same."""
    return any(
        unicodedata.category(letter) in {"Cc", "Cf", "Cs", "Zl", "Zp"}
        and not (letter in _JOINERS and _joins(name[place - 1 : place]) and _joins(name[place + 1 : place + 2]))
        for place, letter in enumerate(name)
    )


def _joins(letter: str) -> bool:
    return bool(letter) and not letter.isascii() and unicodedata.category(letter)[0] in "LM"
