"""A server that forgets who holds a limit is warned of."""

import pytest

from neuroinspect.stack.leases import FILES, lease_warning


def test_leases_in_memory_are_warned_of_with_the_way_out():
    told = lease_warning(
        {"server": {"concurrency": {"lease_storage": "prefect.server.concurrency.lease_storage.memory"}}}
    )
    assert told is not None
    assert f"PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE={FILES}" in told


@pytest.mark.parametrize("said", [None, {}, {"server": None}, {"server": {"concurrency": {"lease_storage": FILES}}}])
def test_where_nothing_is_lost_or_nothing_is_told_nothing_is_said(said):
    assert lease_warning(said) is None
