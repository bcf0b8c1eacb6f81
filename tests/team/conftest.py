"""One running stack for all tests of a team's servers."""

from collections.abc import Iterator

import pytest

from tests.team.running import RunningStack, running_stack


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    """A tiny project with its stack, databases in SQLite; every test leaves it healthy."""
    with running_stack(tmp_path_factory.mktemp("team") / "project") as running:
        yield running
