"""Every run of the tests is the same run: a failure can be repeated, and a pass was no luck."""

import pytest
import torch
from hypothesis import settings

settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")
torch.manual_seed(0)  # networks made while tests are collected


@pytest.fixture(autouse=True)
def _same_numbers_in_every_test() -> None:
    torch.manual_seed(0)
