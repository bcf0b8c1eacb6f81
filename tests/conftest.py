"""Every run of the tests is the same run: a failure can be repeated, and a pass was no luck."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from hypothesis import settings

if TYPE_CHECKING:
    from sqlalchemy import URL

settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")
torch.manual_seed(0)  # networks made while tests are collected

# Folders and beginnings of files whose tests share something costly: a server, a finished run. The longest first, so that no
# process is left with one of them when the others have nothing to do.
_TOGETHER = (
    "tests/flows/test_outbox_kill.py",  # has a server of its own, which it kills
    "tests/flows/",
    "tests/team/test_kill_servers.py",
    "tests/team/",
    "tests/web/test_browser_",
    "tests/adapters/test_mlflow_",
)


@pytest.fixture(autouse=True)
def _our_messages_are_heard() -> None:
    """Whatever a tool that configures logging for itself has switched off in an earlier test."""
    for name, logger in logging.root.manager.loggerDict.items():
        if name.startswith("neuroinspect") and isinstance(logger, logging.Logger):
            logger.disabled = False


@pytest.fixture(autouse=True)
def _same_numbers_in_every_test() -> None:
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def postgres() -> "Iterator[URL]":
    """A PostgreSQL database; the tests that ask for it are skipped where none can be had."""
    from tests.postgres import NoPostgresError, database

    try:
        with database() as url:
            yield url
    except NoPostgresError as error:
        pytest.skip(str(error))


@pytest.fixture(params=["sqlite", "postgresql"])
def review_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """URL of an empty review store, on either database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/state/reviews.db"
    from tests.postgres import empty_schema

    return empty_schema(request.getfixturevalue("postgres"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What shares something costly first, in the order of the list above; all else as it was."""
    items.sort(
        key=lambda item: next(
            (at for at, start in enumerate(_TOGETHER) if item.nodeid.startswith(start)), len(_TOGETHER)
        )
    )


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Keep the tests of a file in one process, and those that share something costly, so that it is made once."""
    from xdist.scheduler import LoadScopeScheduling

    config.option.loadscopereorder = False  # by the number of tests, it would begin the few long ones last

    class Together(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.partition("::")[0]
            return next((start for start in _TOGETHER if file.startswith(start)), file)

    return Together(config, log)
