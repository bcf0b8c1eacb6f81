"""What can be set of the machinery, and what is refused."""

import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final, Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from neuroinspect.machinery.environment import PREFECT_VARIABLE, QUIET, enter, named_by_somebody_else

PREFIX: Final = "NEUROINSPECT_"
"""What the name of every setting begins with."""
PAGE_PORT: Final = 8321
"""Where the review page is served if nobody says otherwise."""


class Machinery(BaseSettings):
    """Addresses of the tools; each left out, or left empty, is a local one that keeps what it has below `state`.

    In the environment and in `neuroinspect.env` a field has its name in capitals behind NEUROINSPECT_, as in
    NEUROINSPECT_MLFLOW_URL=http://HOST:5000. Passwords and tokens of Prefect and MLflow stay in these tools' own variables.
    """

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_ignore_empty=True, frozen=True, extra="forbid")

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
    review_expiry_days: float | None = Field(
        default=None, gt=0, le=36_500, description="how long a question can be answered; none: for ever"
    )
    run_lost_after: float = Field(
        default=20,
        gt=0,
        description="seconds that nobody may work in the folder of a flow run until it is taken for lost and begun again",
    )
    webhook_url: SecretStr | None = Field(
        default=None, description="told by POST when a review is opened, decided and edited; may hold a secret"
    )
    webhook_private: bool = Field(default=False, description="let the webhook lie on a private address")
    page_url: str | None = Field(
        default=None, description="where reviewers open the review page; none: the loopback address it is served on"
    )
    signing_key: Path | None = Field(
        default=None, description="file of the private Ed25519 key that signs patches; none: they are only checksummed"
    )
    signing_password: SecretStr | None = Field(default=None, description="of an encrypted signing key; never shown")
    trusted_keys: Path | None = Field(
        default=None,
        description="file or folder of the public keys whose patches are applied; none: every patch that is whole",
    )
    promotion_policy: Path | None = Field(
        default=None,
        description="what a candidate must show before it serves; none: mlflow/promotion.yaml, and where there is none the "
        "rules that ship",
    )
    telemetry: bool = Field(
        default=False, description="let Prefect, MLflow, DVC and great-expectations report their use to their makers"
    )
    task_retries: int = Field(
        default=3, ge=0, description="how often Prefect tries a task again after an outside failure"
    )
    task_timeout: float = Field(default=6 * 3600, gt=0, description="seconds one try of a task may take")
    workers: int = Field(default=1, ge=1, description="shards worked on at the same time on this machine")
    runner: Literal["threads", "dask"] = Field(
        default="threads", description="what works on shards: threads of the process that runs the flow, or Dask"
    )
    dask_address: str | None = Field(
        default=None, description="a Dask scheduler, tcp://HOST:8786; none: processes on this machine, one for each GPU"
    )
    threads: int | None = Field(
        default=None, ge=1, description="threads of torch in every shard; none: what the process that runs the flow has"
    )

    @field_validator("state")
    @classmethod
    def _fits_into_a_url(cls, state: Path) -> Path:
        if "?" in str(state):
            raise ValueError("a folder with a question mark in its path cannot hold a database; name another")
        return state.expanduser()

    @field_validator("signing_key", "trusted_keys", "promotion_policy")
    @classmethod
    def _at_home(cls, path: Path | None) -> Path | None:
        return None if path is None else path.expanduser()

    @field_validator("dask_address")
    @classmethod
    def _a_scheduler(cls, address: str | None, given: ValidationInfo) -> str | None:
        if address is None:
            return None
        try:
            parts = urlsplit(address)
            fits = parts.scheme in {"tcp", "tls"} and bool(parts.hostname) and bool(parts.port)
        except ValueError:
            fits = False
        if not fits or "@" in address or parts.path or parts.query or parts.fragment:
            raise ValueError("expected the address of a Dask scheduler, tcp://HOST:8786 or tls://HOST:8786")
        if given.data.get("runner") == "threads":
            raise ValueError("threads ask no scheduler; set NEUROINSPECT_RUNNER=dask, or leave the address out")
        return address

    @field_validator("prefect_url", "mlflow_url", "page_url")
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

    @field_validator("page_url")
    @classmethod
    def _a_page(cls, url: str | None) -> str | None:
        if url is not None:
            _refuse_no_web_address(url, "expected the address of the review page, https://HOST")
        return url

    @field_validator("webhook_url")
    @classmethod
    def _a_hook(cls, url: SecretStr | None) -> SecretStr | None:
        if url is not None:
            _refuse_no_web_address(url.get_secret_value(), "expected the address to send to, https://HOST/PATH")
            if "@" in urlsplit(url.get_secret_value()).netloc:
                raise ValueError("an address must not hold a user or a password; a secret goes into its path")
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
    def prefect_api(self) -> str | None:
        """API of the Prefect server that is asked; None: a temporary one. It may hold a secret where it is not ours.

        Prefect's own variable in the environment goes before the setting, as everywhere in Prefect.
        """
        return named_by_somebody_else(PREFECT_VARIABLE) or self.prefect_url

    @property
    def prefect_is_named_elsewhere(self) -> bool:
        """Whether Prefect's own variable names another server than the setting does, or the only one."""
        return self.prefect_api != self.prefect_url

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
    def page(self) -> str:
        """Where the review page is, or will be."""
        return (self.page_url or f"http://127.0.0.1:{PAGE_PORT}").rstrip("/")

    def page_of(self, review: str) -> str:
        """Where a review is on the page, by its whole id."""
        return f"{self.page}/reviews/{review}"

    @property
    def registered_models(self) -> Path:
        """Models taken from the registry."""
        return self.state / "models"

    def environment(self) -> Mapping[str, str]:
        """What the tools read from the environment; it must be there before they are imported."""
        quiet = {} if self.telemetry else QUIET
        prefect = {PREFECT_VARIABLE: self.prefect_url} if self.prefect_url is not None else {}
        return {
            "PREFECT_HOME": str(self.prefect_home),
            # What MLflow is asked without an address, as by its own commands; left out it makes mlflow.db where it stands.
            "MLFLOW_TRACKING_URI": self.mlflow_store,
            "DVC_SITE_CACHE_DIR": str(self.state / "dvc"),
            # Twenty seconds, the default, are not enough on a busy machine.
            "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
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
        """Put `environment()` into this process; a variable that somebody else has set to something stays as it is."""
        # DVC would make it, with rights for everybody; a place that cannot be written is named by who writes to it.
        with suppress(OSError):
            self.state.mkdir(parents=True, exist_ok=True)
        enter(self.environment())


def _refuse_no_web_address(url: str, expected: str) -> None:
    """Raise ValueError with what was expected; urlsplit's own message may hold parts of the address."""
    try:
        parts = urlsplit(url)
        plain = not re.search(r"[\x00-\x20\x7f<>\"\\^`{|}]", url)
        fits = plain and parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
        (parts.hostname or "").encode("idna")
    except ValueError:
        fits = False
    if not fits:
        raise ValueError(expected)
