"""Templates and vocabularies in files the user can change."""

from pathlib import Path

import pytest

from neuroinspect.errors import SettingsError
from neuroinspect.settings import GuideSettings
from neuroinspect.wordlists import VOCABULARY, read_lines, templates_of, words_of


def written(folder: Path, text: str) -> Path:
    path = folder / "texts.txt"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_templates_file_takes_the_place_of_the_templates(tmp_path):
    path = written(tmp_path, "# mine\na sketch of a {}.\n\n  the {} at night  \n")
    assert templates_of(GuideSettings(templates_file=path)) == ("a sketch of a {}.", "the {} at night")
    assert templates_of(GuideSettings()) == GuideSettings().templates


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a photo of a {}\na photo\n", "expected texts with {} where the class goes, got 'a photo'"),
        ("# nothing\n\n", "holds no text"),
    ],
)
def test_a_templates_file_that_does_not_fit_says_which_line(tmp_path, text, message):
    path = written(tmp_path, text)
    with pytest.raises(SettingsError) as caught:
        templates_of(GuideSettings(templates_file=path))
    assert message in str(caught.value)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00x"])
def test_a_file_that_cannot_be_read_names_its_setting(tmp_path, content):
    path = tmp_path / "texts.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SettingsError, match=r"guide\.vocabulary: .* cannot be read"):
        words_of(GuideSettings(vocabulary=path))


def test_the_words_come_from_the_settings_then_from_the_guide_then_from_the_package(tmp_path):
    own = GuideSettings(vocabulary=written(tmp_path, "cat\ndog\n"))
    assert words_of(own, ("sea", "sky")) == ("cat", "dog")
    assert words_of(GuideSettings(), ("sea", "sky")) == ("sea", "sky")
    assert words_of(GuideSettings()) == read_lines(VOCABULARY, key="test")


def test_the_list_of_the_package_holds_a_few_hundred_different_words_in_lower_case():
    words = words_of(GuideSettings())
    assert 300 <= len(words) <= 1000
    assert all(word == word.casefold() for word in words)
    assert {"forest", "brick", "water", "sign", "person"} <= set(words)


@pytest.mark.parametrize(
    ("words", "message"), [(("sea", "sky", "Sea"), "'sea' more than once"), (("sea",), "at least two words")]
)
def test_a_word_that_is_there_twice_and_a_list_of_one_are_refused(tmp_path, words, message):
    for settings, known in (
        (GuideSettings(), words),
        (GuideSettings(vocabulary=written(tmp_path, "\n".join(words))), None),
    ):
        with pytest.raises(SettingsError, match=message):
            words_of(settings, known)
