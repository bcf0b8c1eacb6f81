"""The versions of MLflow's registry as a promotion sees them, and the aliases that show which of them serve."""

import logging
import tempfile
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from neuroinspect.adapters.mlflow_store import LAYER, asking, open_client
from neuroinspect.adapters.mlflow_versions import asked_version, models_of
from neuroinspect.errors import ModelSpecError, PromotionError
from neuroinspect.machinery import Machinery
from neuroinspect.promotion import Version, read_version
from neuroinspect.promotion.facts import parse_metrics

if TYPE_CHECKING:
    from mlflow import MlflowClient

METRICS: Final = "evaluate/metrics.json"
log = logging.getLogger(__name__)


class MlflowShelf:
    """A VersionShelf in MLflow."""

    def __init__(self, machinery: Machinery) -> None:
        self._machinery = machinery

    def version(self, name: str, which: str) -> Version:
        """One version, see the protocol.

        Raises:
            ModelSpecError: there is no such model, version or alias.
            OutsideError: MLflow cannot be reached, or refuses.
        """
        if not name or not which or set("/@:") & set(name + which):
            raise ModelSpecError(
                f"{name!r} {which!r}: expected the name of a registered model, and a version or an alias"
            )
        number, alias = (which, None) if which.isdecimal() else (None, which)
        uri = f"models:/{name}{f'@{alias}' if alias else f'/{number}'}"
        with asking(self._machinery, f"say what {uri} is"):
            client = open_client(self._machinery)
            found = asked_version(client, uri, name=name, alias=alias, version=number)
            return read_version(found.name, int(found.version), found.tags, layer=found.tags.get(LAYER))

    def metrics(self, version: Version) -> Any:
        """What metrics.json holds, see the protocol.

        Raises:
            PromotionError: there is none, it is not the one the version was registered with, or its run is another version's.
            OutsideError: MLflow cannot be reached, or refuses.
        """
        if version.run is None or version.metrics_hash is None:
            raise PromotionError("the version does not say by which figures it was judged; run its edit again")
        with asking(self._machinery, "give the figures of a version"):
            self._refuse_another_run(version, version.run)
            content = self._content(version.run)
        if content is None:
            raise PromotionError(f"run {version.run} of MLflow has no {METRICS}; run its edit again")
        if sha256(content).hexdigest() != version.metrics_hash:
            raise PromotionError(f"{METRICS} of run {version.run} was changed since; run its edit again")
        return parse_metrics(content)

    def pointed(self, name: str) -> dict[str, int]:
        """What the aliases stand for, see the protocol.

        Raises:
            OutsideError: MLflow cannot be reached, or refuses.
        """
        from mlflow.exceptions import MlflowException

        with asking(self._machinery, f"name the aliases of {name}"):
            try:
                return _aliases(open_client(self._machinery), name)
            except MlflowException as error:
                if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                    raise
                return {}

    def point(self, name: str, aliases: Mapping[str, int | None]) -> dict[str, int]:
        """Let the aliases stand for these versions, see the protocol.

        Raises:
            OutsideError: MLflow cannot be reached, or refuses.
        """
        with asking(self._machinery, f"move the aliases of {name}"):
            client = open_client(self._machinery)
            known = _aliases(client, name)
            for alias, number in aliases.items():
                if known.get(alias) == number:
                    continue
                if number is None:
                    client.delete_registered_model_alias(name, alias)
                else:
                    client.set_registered_model_alias(name, alias, str(number))
                log.info("the alias %s of %s stands for version %s now", alias, name, number)
            return known

    def _refuse_another_run(self, version: Version, run: str) -> None:
        """Whoever may write a tag may name any run: it must be the one that registered the version, or say that it made it."""
        from mlflow.exceptions import MlflowException

        client = open_client(self._machinery)
        made = client.get_model_version(version.name, str(version.number))
        try:
            found = client.get_run(run)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            raise PromotionError(f"run {run} of MLflow is gone; run its edit again") from error
        if run != made.run_id and not any(
            client.get_logged_model(one).tags.get(LAYER) == version.layer for one in models_of(found)
        ):
            raise PromotionError(f"run {run} of MLflow did not make version {version.number}; run its edit again")
        expected = {
            "class": version.class_name,
            "data_version": version.data_version,
            "model_fingerprint": version.parent_fingerprint,
            "request": version.request,
        }
        others = [tag for tag, text in expected.items() if found.data.tags.get(tag) != text]
        if others:
            raise PromotionError(
                f"run {run} of MLflow and version {version.number} differ in {', '.join(others)}; run its edit again"
            )

    def _content(self, run: str) -> bytes | None:
        from mlflow.exceptions import MlflowException

        client = open_client(self._machinery)
        try:
            if METRICS not in {one.path for one in client.list_artifacts(run, METRICS.partition("/")[0])}:
                return None
            with tempfile.TemporaryDirectory() as place:
                return Path(client.download_artifacts(run, METRICS, place)).read_bytes()
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            return None


def _aliases(client: "MlflowClient", name: str) -> dict[str, int]:
    return {alias: int(number) for alias, number in client.get_registered_model(name).aliases.items()}
