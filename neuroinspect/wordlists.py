"""Texts a user can change, one a line in a file: prompt templates, and the words neurons are named with.

`vocabulary.txt` beside this file is the list that is taken where neither the settings nor the guide bring their own.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from neuroinspect.errors import SettingsError
from neuroinspect.settings import GuideSettings

VOCABULARY: Final = Path(__file__).parent / "vocabulary.txt"


def templates_of(settings: GuideSettings) -> tuple[str, ...]:
    """The prompt templates: those of `templates_file`, or `templates` where there is no file.

    Raises:
        SettingsError: the file cannot be read, or a template has no `{}`.
    """
    path = settings.templates_file
    templates = settings.templates if path is None else read_lines(path, key="guide.templates_file")
    source = "guide.templates" if path is None else str(path)
    wrong = [template for template in templates if "{}" not in template]
    if wrong or not templates:
        raise SettingsError(
            f"{source}: expected texts with {{}} where the class goes, got {', '.join(map(repr, wrong)) or 'none'}; "
            "write one such as 'a photo of a {}.'"
        )
    return templates


def words_of(settings: GuideSettings, known: Sequence[str] | None = None) -> tuple[str, ...]:
    """The words neurons are named with.

    Args:
        settings: a file in `vocabulary` comes first.
        known: what a guide says it knows, for one that knows few words; None: the list of the package.

    Raises:
        SettingsError: the file cannot be read, holds fewer than two words or one of them twice.
    """
    if settings.vocabulary is None and known is not None:
        words = tuple(known)
        refuse_unfit_words(words, source="the guide's vocabulary")
        return words
    path = settings.vocabulary or VOCABULARY
    words = read_lines(path, key="guide.vocabulary")
    refuse_unfit_words(words, source=str(path))
    return words


def refuse_unfit_words(words: Sequence[str], *, source: str) -> None:
    """Refuse fewer than two words (a name needs a runner-up), and one that is there twice, whatever its case.

    Raises:
        SettingsError: with the words that are there twice.
    """
    twice = [word for word, count in Counter(word.casefold() for word in words).items() if count > 1]
    if twice:
        raise SettingsError(f"{source}: {', '.join(map(repr, twice))} more than once; leave each there once")
    if len(words) < 2:
        raise SettingsError(f"{source}: expected at least two words to name neurons with, got {len(words)}; add some")


def read_lines(path: Path, *, key: str) -> tuple[str, ...]:
    """Lines of a UTF-8 file without the blank ones and those that begin with `#`.

    Args:
        path: the file.
        key: the setting that names it, for the message.

    Raises:
        SettingsError: the file cannot be read, or holds no line.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(
            f"{key}: {path} cannot be read as UTF-8 text ({error}); correct the path or the file"
        ) from error
    stripped = (line.strip() for line in text.splitlines())
    lines = tuple(line for line in stripped if line and not line.startswith("#"))
    if not lines:
        raise SettingsError(f"{key}: {path} holds no text; write one a line")
    return lines
