"""Where the tools around the method run: one place for every address, from the environment or a file `neuroinspect.env`.

None of this changes a figure, so none of it stands in params.yaml: the same params run on a laptop and on a team's servers.
"""

import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from dotenv.parser import parse_stream
from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from neuroinspect.errors import SettingsError

ENV_FILE: Final = "neuroinspect.env"
_PREFIX: Final = "NEUROINSPECT_"


class Machinery(BaseSettings):
    """Addresses of the tools; each left out, or left empty, is a local one that keeps what it has below `state`.

    In the environment and in `neuroinspect.env` a field has its name in capitals behind NEUROINSPECT_, as in
    NEUROINSPECT_MLFLOW_URL=http://HOST:5000. Passwords and tokens of Prefect and MLflow stay in these tools' own variables.
    """

    model_config = SettingsConfigDict(env_prefix=_PREFIX, env_ignore_empty=True, frozen=True, extra="forbid")

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
    telemetry: bool = Field(
        default=False, description="let Prefect, MLflow, DVC and great-expectations report their use to their makers"
    )
    task_retries: int = Field(
        default=2, ge=0, description="how often Prefect tries a task again after an outside failure"
    )
    task_timeout: float = Field(default=6 * 3600, gt=0, description="seconds one try of a task may take")
    workers: int = Field(default=1, ge=1, description="shards of pictures drawn at the same time")

    @field_validator("state")
    @classmethod
    def _fits_into_a_url(cls, state: Path) -> Path:
        if "?" in str(state):
            raise ValueError("a folder with a question mark in its path cannot hold a database; name another")
        return state.expanduser()

    @field_validator("prefect_url", "mlflow_url")
    @classmethod
    def _without_secrets(cls, url: str | None) -> str | None:
        if url is not None and "@" in urlsplit(url).netloc:
            raise ValueError("an address must not hold a user or a password; give them in the tool's own variables")
        if url is not None and ("?" in url or "#" in url):
            raise ValueError("an address has nothing behind ? or #; give a token in the tool's own variables")
        return url

    @field_validator("prefect_url")
    @classmethod
    def _on_the_web(cls, url: str | None) -> str | None:
        if url is not None and urlsplit(url).scheme not in {"http", "https"}:
            raise ValueError("expected the address of an API, http://HOST:4200/api")
        return url

    @field_validator("review_url")
    @classmethod
    def _anchored(cls, url: SecretStr | None) -> SecretStr | None:
        kind, _, file = (url.get_secret_value() if url is not None else "").partition(":///")
        if kind.startswith("sqlite") and not file.startswith("file:") and not Path(file).is_absolute():
            raise ValueError(
                "a SQLite file needs its whole path, sqlite:////FOLDER/reviews.db, or it moves with the caller"
            )
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
            # What MLflow is asked without an address, as by its own commands; left out it makes mlflow.db where it stands.
            "MLFLOW_TRACKING_URI": self.mlflow_store,
            "DVC_SITE_CACHE_DIR": str(self.state / "dvc"),
            # Twenty seconds, the default, are not enough on a busy machine.
            "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
            # Prefect shows our messages beside its own.
            "PREFECT_LOGGING_EXTRA_LOGGERS": "neuroinspect",
            # What is said outside a flow belongs to no run of Prefect's; that is no reason to complain.
            "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
            # A task is repeated as a whole; MLflow's own seven tries would take minutes to say that a server is away.
            "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",
            # Nothing of MLflow's on the screen: `--json` prints one object and no more.
            "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
            "MLFLOW_LOGGING_LEVEL": "WARNING",
            "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
            **quiet,
            **prefect,
        }

    def enter(self) -> None:
        """Put `environment()` into this process; a variable that somebody else has set stays as it is."""
        # DVC would make it, with rights for everybody; a place that cannot be written is named by who writes to it.
        with suppress(OSError):
            self.state.mkdir(parents=True, exist_ok=True)
        wanted = self.environment()
        for name in _entered.keys() | wanted.keys():
            if os.environ.get(name) != _entered.get(name):
                continue
            if name in wanted:
                os.environ[name] = _entered[name] = wanted[name]
            else:
                del os.environ[name], _entered[name]


_entered: Final[dict[str, str]] = {}
_QUIET: Final = {
    "DO_NOT_TRACK": "true",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DVC_NO_ANALYTICS": "1",
    "GX_ANALYTICS_ENABLED": "false",
}


def load_machinery(folder: Path) -> Machinery:
    """Read the environment, and beneath it the file `neuroinspect.env` of a folder; `state` is meant from that folder.

    Raises:
        SettingsError: an unknown name or a wrong value. The message never shows the value: it may be a secret.
    """
    file = folder.resolve() / ENV_FILE
    try:
        _refuse_unknown_names((name for name in os.environ if name.upper().startswith(_PREFIX)), "the environment")
        _refuse_unknown_names(_names(file), str(file))
        read: Any = Machinery(_env_file=file)
        return Machinery.model_validate({**read.model_dump(), "state": file.parent / read.state})
    except ValidationError as error:
        lines = [f"  {_name(problem['loc'])}: {problem['msg']}" for problem in error.errors()]
        # Not chained: pydantic's own message holds the values.
        source = f"the environment or {file}" if file.exists() else "the environment"
        raise SettingsError(f"{source} does not fit:\n" + "\n".join(lines)) from None
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{file} cannot be read: {type(error).__name__}") from None


def _names(file: Path) -> list[str]:
    if not file.exists():
        return []
    with file.open(encoding="utf-8") as stream:
        bindings = list(parse_stream(stream))
    for binding in bindings:
        if binding.error or (binding.key is not None and binding.value is None):
            raise SettingsError(f"{file}, line {binding.original.line}: expected NAME=VALUE, or a comment after #")
    return [binding.key for binding in bindings if binding.key is not None]


def _refuse_unknown_names(names: Iterable[str], source: str) -> None:
    known = {f"{_PREFIX}{name.upper()}" for name in Machinery.model_fields}
    unknown = sorted(name for name in names if name.upper() not in known)
    if unknown:
        raise SettingsError(
            f"{', '.join(unknown)} in {source}: no setting of NeuroInspect; there are {', '.join(sorted(known))}"
        )


def _name(location: tuple[int | str, ...]) -> str:
    name = ".".join(map(str, location)).upper()
    return name if name.startswith(_PREFIX) else f"{_PREFIX}{name}"
