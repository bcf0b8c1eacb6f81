"""What the tools read from the environment of this process."""

import os
from collections.abc import Mapping
from typing import Final

PREFECT_VARIABLE: Final = "PREFECT_API_URL"
"""What Prefect reads the address of its server from."""
QUIET: Final[Mapping[str, str]] = {
    "DO_NOT_TRACK": "true",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DVC_NO_ANALYTICS": "1",
    "GX_ANALYTICS_ENABLED": "false",
}
"""Lets the tools report nothing to their makers."""
_entered: Final[dict[str, str]] = {}


def enter(wanted: Mapping[str, str]) -> None:
    """Put variables into this process in the place of those that were put before; what somebody else has set stays."""
    for name in _entered.keys() | wanted.keys():
        if named_by_somebody_else(name) is not None:
            continue
        if name in wanted:
            os.environ[name] = _entered[name] = wanted[name]
        else:
            os.environ.pop(name, None)
            del _entered[name]


def named_by_somebody_else(variable: str) -> str | None:
    """What a variable was set to by somebody else than `enter`; None where nobody did, or it is empty."""
    given = os.environ.get(variable)
    return given if given and given != _entered.get(variable) else None
