"""Edited models as versions of a registered model in MLflow."""

from pathlib import Path

from neuroinspect.machinery import Machinery
from neuroinspect.ports import RegisteredVersion
from neuroinspect.settings import ModelSettings, Params


class MlflowRegistry:
    """A ModelRegistry in MLflow."""

    def __init__(self, machinery: Machinery) -> None:
        self._machinery = machinery

    def register(self, run: Path, params: Params, *, tracked: str) -> RegisteredVersion | None:
        """Register the recommended model, see the port."""
        raise NotImplementedError

    def resolve(self, uri: str) -> ModelSettings:
        """Bring a registered model here, see the port."""
        raise NotImplementedError
