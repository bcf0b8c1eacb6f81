"""Every run of the tests is the same run: a failure can be repeated, and a pass was no luck."""

from typing import Any

import pytest
import torch
from hypothesis import settings

settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")
torch.manual_seed(0)  # networks made while tests are collected

# Folders and beginnings of files whose tests share something costly: a server, a finished run.
_TOGETHER = ("tests/flows/", "tests/adapters/test_mlflow_")


@pytest.fixture(autouse=True)
def _same_numbers_in_every_test() -> None:
    torch.manual_seed(0)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Keep the tests of a file in one process, and those that share something costly, so that it is made once."""
    from xdist.scheduler import LoadScopeScheduling

    class Together(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.partition("::")[0]
            return next((start for start in _TOGETHER if file.startswith(start)), file)

    return Together(config, log)
