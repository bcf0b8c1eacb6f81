import logging

import pytest
import torch

from neuroinspect.illusion.memory import images_under_cap, saved_bytes

MEGABYTE = 2**20


def needs(megabytes: float):
    """A pass that keeps this much for each picture, and a weight of 8 MB once."""
    weight = torch.ones(8 * MEGABYTE // 4)

    def compute(count: int) -> torch.Tensor:
        pictures = torch.ones(count, int(megabytes * MEGABYTE / 4), requires_grad=True)
        heavy = torch.ones(1, requires_grad=True) * weight
        return pictures.exp().sum() + heavy.sum()

    return compute


def test_saved_bytes_are_those_of_the_result_of_exp():
    values = torch.ones(1000, requires_grad=True)
    assert saved_bytes(lambda: values.exp().sum()) == 4000


def test_a_tensor_saved_twice_counts_once():
    values = torch.ones(1000, requires_grad=True)
    assert saved_bytes(lambda: (values * values).sum()) == 4000


def test_nothing_saved_is_nothing():
    assert saved_bytes(lambda: torch.ones(5).sum()) == 0


@pytest.mark.parametrize(("cap", "expected"), [(64, 20), (32, 20), (15, 10), (8, 4), (3, 2)])
def test_the_batch_fits_the_cap_and_weights_do_not_count(cap, expected):
    assert images_under_cap(needs(1.0), cap_mb=cap, wanted=20) == expected


def test_one_picture_over_the_cap_is_made_alone_and_said(caplog):
    with caplog.at_level(logging.WARNING):
        assert images_under_cap(needs(100.0), cap_mb=64, wanted=10) == 1
    assert "one picture needs about 150 MB" in caplog.text


def test_two_pictures_over_the_cap_are_made_one_by_one_in_silence(caplog):
    assert images_under_cap(needs(30.0), cap_mb=64, wanted=10) == 1
    assert not caplog.records
