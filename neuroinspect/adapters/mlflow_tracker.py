"""A finished run in MLflow."""

from pathlib import Path

from neuroinspect.machinery import Machinery
from neuroinspect.settings import Params


class MlflowTracker:
    """A Tracker that writes to MLflow."""

    def __init__(self, machinery: Machinery) -> None:
        self._machinery = machinery

    def track(self, run: Path, params: Params) -> str:
        """Record the run, see the port."""
        raise NotImplementedError
