"""The error tree and the drawing of it."""

import re

import pytest

from neuroinspect import errors

CLASSES = [kind for kind in vars(errors).values() if isinstance(kind, type)]


def test_the_drawing_shows_every_class():
    drawn = re.findall(r"\w*Error\b", errors.__doc__.split("A message")[0])
    standard = {"ValueError", "OSError", "PermissionError", "RuntimeError"}
    assert {name for name in drawn if name not in standard} == {kind.__name__ for kind in CLASSES}


@pytest.mark.parametrize("kind", CLASSES)
def test_catching_the_root_catches_everything(kind):
    with pytest.raises(errors.NeuroInspectError):
        raise kind("message")


@pytest.mark.parametrize("kind", [kind for kind in CLASSES if kind is not errors.NeuroInspectError])
def test_every_error_is_also_a_standard_one(kind):
    assert issubclass(kind, ValueError | OSError | RuntimeError)


@pytest.mark.parametrize("kind", CLASSES)
def test_an_error_shows_its_message_as_it_is(kind):
    assert str(kind("free some space")) == "free some space"
