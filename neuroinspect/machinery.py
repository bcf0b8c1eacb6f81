"""Where the tools around the method run: one place for every address, from the environment or a file `neuroinspect.env`.

None of this changes a figure, so none of it stands in params.yaml: the same params run on a laptop and on a team's servers.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from neuroinspect.errors import SettingsError

ENV_FILE: Final = "neuroinspect.env"
_PREFIX: Final = "NEUROINSPECT_"


class Machinery(BaseSettings):
    """Addresses of the tools; each left out is a local one that keeps what it has below `state`."""

    model_config = SettingsConfigDict(env_prefix=_PREFIX, frozen=True, extra="forbid")

    state: Path = Field(
        default=Path(".neuroinspect"), description="folder of everything the tools keep on this machine"
    )
    prefect_url: str | None = Field(
        default=None,
        description="API of a Prefect server, http://HOST:4200/api; none: a temporary server for each command",
    )
    mlflow_url: str | None = Field(default=None, description="an MLflow server; none: a database below `state`")
    review_url: SecretStr | None = Field(
        default=None, description="SQLAlchemy URL of the review store; none: a SQLite file below `state`"
    )
    telemetry: bool = Field(default=False, description="let Prefect, MLflow and DVC report their use to their makers")
    task_retries: int = Field(
        default=2, ge=0, description="how often Prefect tries a task again after an outside failure"
    )
    task_timeout: float = Field(default=6 * 3600, gt=0, description="seconds one task may take")
    workers: int = Field(default=1, ge=1, description="shards of pictures drawn at the same time")

    @field_validator("prefect_url", "mlflow_url")
    @classmethod
    def _without_password(cls, url: str | None) -> str | None:
        if url is not None and urlsplit(url).password is not None:
            raise ValueError("an address must not hold a password; give it in the tool's own variables")
        return url

    @property
    def prefect_home(self) -> Path:
        """Database and results of the temporary Prefect server."""
        return self.state / "prefect"

    @property
    def mlflow_store(self) -> str:
        """What MLflow calls its tracking URI."""
        return self.mlflow_url or f"sqlite:///{self.state / 'mlflow' / 'mlflow.db'}"

    @property
    def mlflow_artifacts(self) -> Path:
        """Artifacts of a local MLflow; a server keeps its own."""
        return self.state / "mlflow" / "artifacts"

    @property
    def review_store(self) -> str:
        """SQLAlchemy URL of the review store; may hold a password, so it is never shown."""
        given = self.review_url
        return given.get_secret_value() if given is not None else f"sqlite:///{self.state / 'reviews.db'}"

    @property
    def registered_models(self) -> Path:
        """Models taken from the registry."""
        return self.state / "models"

    def environment(self) -> Mapping[str, str]:
        """What the tools read from the environment; it must be there before they are imported."""
        quiet = {} if self.telemetry else _QUIET
        prefect = {"PREFECT_API_URL": self.prefect_url} if self.prefect_url is not None else {}
        return {
            "PREFECT_HOME": str(self.prefect_home),
            # Twenty seconds, the default, are not enough on a busy machine.
            "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
            # Prefect shows our messages beside its own.
            "PREFECT_LOGGING_EXTRA_LOGGERS": "neuroinspect",
            # A task is repeated as a whole; MLflow's own seven tries would take minutes to say that a server is away.
            "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",
            "MLFLOW_LOGGING_LEVEL": "WARNING",
            **quiet,
            **prefect,
        }

    def enter(self) -> None:
        """Put `environment()` into this process; a variable that is set already stays as it is."""
        for name, value in self.environment().items():
            os.environ.setdefault(name, value)


_QUIET: Final = {
    "DO_NOT_TRACK": "true",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DVC_NO_ANALYTICS": "1",
}


def load_machinery(folder: Path) -> Machinery:
    """Read the environment, and beneath it the file `neuroinspect.env` of a folder; `state` is meant from that folder.

    Raises:
        SettingsError: an unknown name or a wrong value. The message never shows the value: it may be a secret.
    """
    _refuse_unknown_names(os.environ)
    try:
        read: Any = Machinery(_env_file=folder / ENV_FILE)
    except ValidationError as error:
        lines = [f"  {_name(problem['loc'])}: {problem['msg']}" for problem in error.errors()]
        raise SettingsError(f"the environment or {folder / ENV_FILE} does not fit:\n" + "\n".join(lines)) from error
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{folder / ENV_FILE} cannot be read: {error}") from error
    machinery: Machinery = read.model_copy(update={"state": folder.resolve() / read.state})
    return machinery


def _refuse_unknown_names(environment: Mapping[str, str]) -> None:
    known = {f"{_PREFIX}{name.upper()}" for name in Machinery.model_fields}
    unknown = sorted(name for name in environment if name.startswith(_PREFIX) and name not in known)
    if unknown:
        raise SettingsError(f"{unknown[0]} is no setting of NeuroInspect; there are {', '.join(sorted(known))}")


def _name(location: tuple[int | str, ...]) -> str:
    name = ".".join(map(str, location)).upper()
    return name if name.startswith(_PREFIX) else f"{_PREFIX}{name}"
