"""Names of folders: readable, safe, and each of one thing alone."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuroinspect.nightly import model_label, safe_name, short_version
from neuroinspect.settings import ModelSettings


@pytest.mark.parametrize("name", ["fish", "red_panda", "n02096294", "a.b-c"])
def test_a_plain_name_stays_as_it_is(name):
    assert safe_name(name) == name


@pytest.mark.parametrize(
    "name", ["Fish", "../../etc", "", ".", "..", "a/b", "a b", "鱼", "x" * 300, "con\nsole", "-rf", "\ud800"]
)
def test_any_other_becomes_a_safe_one_with_a_hash(name):
    assert re.fullmatch(r"[a-z0-9_.-]{1,60}-[0-9a-f]{8}", safe_name(name))
    assert not safe_name(name).startswith((".", "-"))


@given(names=st.sets(st.text(max_size=8), min_size=2, max_size=6))
def test_two_names_never_share_a_folder_not_even_where_case_does_not_count(names):
    assert len({safe_name(name).casefold() for name in names}) == len(names)


def test_a_registered_model_is_called_by_name_and_version_and_another_by_what_it_is():
    registered = ModelSettings(spec="a:b", origin="models:/My Net/12")
    assert re.fullmatch(r"my-net-[0-9a-f]{8}-v12", model_label(registered, version="f" * 64))
    assert model_label(ModelSettings(spec="timm:resnet50"), version="0123456789") == "resnet50-01234567"


def test_a_data_version_is_shortened_and_several_become_one():
    assert short_version("dvc:0123456789abcdef.dir") == "01234567"
    assert short_version("untracked:fedcba9876") == "fedcba98"
    assert len(short_version("dvc:1+dvc:2")) == 8
    assert short_version("dvc:1+dvc:2") != short_version("dvc:1+dvc:3")
