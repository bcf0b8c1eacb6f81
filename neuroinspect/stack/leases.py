"""Whether a Prefect server remembers through a restart who holds a limit."""

from typing import Any, Final

_MEMORY: Final = "prefect.server.concurrency.lease_storage.memory"
FILES: Final = "prefect.server.concurrency.lease_storage.filesystem"
"""Where PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE keeps leases so that they outlive the server."""


def lease_warning(settings: Any) -> str | None:
    """What a restart of the server would lose; None where nothing, or where the server does not tell.

    Args:
        settings: what the server answers at /api/admin/settings.
    """
    try:
        storage = settings["server"]["concurrency"]["lease_storage"]
    except (KeyError, TypeError):
        return None
    if storage != _MEMORY:
        return None
    return (
        "the Prefect server keeps in memory who holds a limit: when it restarts, slots that were held are lost for good. Start "
        f"it with PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE={FILES}"
    )
