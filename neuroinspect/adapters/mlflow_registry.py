"""Edited models as versions of a registered model in MLflow.

A version is found again by the hash of its decision layer and of the model around it, a logged model by the same: whatever was
there when the process died is used.
"""

import json
import re
import tempfile
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from neuroinspect.adapters.mlflow_pyfunc import save_edited_model
from neuroinspect.adapters.mlflow_record import name_of_model, run_tags
from neuroinspect.adapters.mlflow_store import LAYER, as_tags, asking, open_client
from neuroinspect.adapters.model_package import PACKAGE, package_settings, write_package
from neuroinspect.artifacts import RunFolder, read_json
from neuroinspect.errors import ModelSpecError
from neuroinspect.export import EditedModel, edited_model
from neuroinspect.machinery import Machinery
from neuroinspect.ports import RegisteredVersion
from neuroinspect.settings import ModelSettings, Params

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModel
    from mlflow.entities.model_registry import ModelVersion

CANDIDATE: Final = "candidate"
"""Alias of the newest version that came from an edit."""
_VERSIONS: Final = "mlflow.modelVersions"
_URI: Final = re.compile(r"models:/(?P<name>[^/@:]+)(?:@(?P<alias>[\w-]+)|/(?P<version>\d+))")
_NAMED: Final = 10


class MlflowRegistry:
    """A ModelRegistry in MLflow."""

    def __init__(self, machinery: Machinery) -> None:
        self._machinery = machinery

    def register(self, run: Path, params: Params, *, tracked: str) -> RegisteredVersion | None:
        """Register the recommended model, see the port.

        Raises:
            StageOrderError: the run has not been evaluated.
            ModelError: the run was computed with another model, or the model does not load from its own files alone.
            OutsideError: MLflow cannot be reached, or refuses.
        """
        folder = RunFolder(run)
        folder.require("evaluate")
        edited = edited_model(folder, params)
        if edited is None:
            return None
        name, layer = name_of_model(folder), _layer_hash(edited)
        facts = as_tags({**_facts(folder), "method": edited.method, "run_id": tracked, LAYER: layer})
        tags = {**facts, "stage": "candidate"}
        with asking(self._machinery, "register the edited model"):
            client = open_client(self._machinery)
            kept = _version_of_layer(client, name, layer)
            if kept is None:
                model = _logged_model(client, edited, params.model, facts=facts, tracked=tracked)
                # A local MLflow would look for the model in the database of the working directory.
                source = model.artifact_location if self._machinery.mlflow_url is None else model.model_uri
                kept = _create_version(client, name, model, source=source, tags=tags, tracked=tracked)
            elif kept.tags.get("unverified") == "true" and tags.get("unverified") == "false":
                _take_over(client, kept, tags)
            _link(client, kept, layer, tracked=tracked)
            _point_at_newest(client, name, int(kept.version))
            return RegisteredVersion(name, str(kept.version))

    def resolve(self, uri: str) -> ModelSettings:
        """Bring a registered model here, see the port.

        Raises:
            ModelSpecError: there is no such model, version or alias, or it was not registered by this tool.
            OutsideError: MLflow cannot be reached, or refuses.
        """
        asked = _URI.fullmatch(uri)
        if asked is None:
            raise ModelSpecError(
                f"{uri!r}: expected models:/NAME@ALIAS or models:/NAME/VERSION, with a number as VERSION"
            )
        with asking(self._machinery, f"bring {uri}"):
            client = open_client(self._machinery)
            found = _asked_version(client, uri, **asked.groupdict())
            layer = found.tags.get(LAYER)
            if layer is None:
                raise ModelSpecError(
                    f"{uri} was not registered by NeuroInspect, and loading it could run any code; save its weights as "
                    "safetensors, and name them with the spec of its architecture in `model`"
                )
            # By the hash too: where the store was begun anew, the same number is another model.
            place = self._machinery.registered_models / found.name.strip(".") / f"{found.version}-{layer[:16]}"
            if not place.is_dir():
                location = client.get_model_version_download_uri(found.name, found.version)
                _download(location, place, self._machinery.mlflow_store)
        return package_settings(place, origin=RegisteredVersion(found.name, str(found.version)).uri)


def _layer_hash(edited: EditedModel) -> str:
    """Of the edited layer and the model around it: the same edit of the same model is the same version."""
    digest = sha256(edited.classifier.fingerprint.encode())
    for tensor in (edited.weight, edited.bias):
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _facts(run: RunFolder) -> dict[str, Any]:
    facts = {name.replace("model_", "parent_"): value for name, value in run_tags(run).items() if name != "recommended"}
    return {**facts, "neurons": json.dumps(read_json(run.require("edit") / "edit.json")["neurons"])}


def _version_of_layer(client: "MlflowClient", name: str, layer: str) -> "ModelVersion | None":
    found = client.search_model_versions(f"name = '{name}' and tags.`{LAYER}` = '{layer}'")
    return min(found, key=lambda one: int(one.version)) if found else None


def _logged_model(
    client: "MlflowClient", edited: EditedModel, model: ModelSettings, *, facts: Mapping[str, str], tracked: str
) -> "LoggedModel":
    """The edited model among the models of the tracked run, whole; one that was begun is finished."""
    from mlflow.entities import LoggedModelOutput, LoggedModelStatus

    run = client.get_run(tracked)
    experiment, layer = run.info.experiment_id, facts[LAYER]
    begun = client.search_logged_models([experiment], filter_string=f"tags.`{LAYER}` = '{layer}'")
    logged = begun[0] if begun else None
    if logged is None or logged.status != LoggedModelStatus.READY:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            write_package(folder / PACKAGE, edited, model, facts=facts)
            logged = logged or client.create_logged_model(experiment, "model", tracked, tags={LAYER: layer})
            saved = save_edited_model(folder, folder / PACKAGE, model_id=logged.model_id, run_id=tracked)
            client.log_model_artifacts(logged.model_id, str(saved))
        logged = client.finalize_logged_model(logged.model_id, LoggedModelStatus.READY)
    outputs = [] if run.outputs is None else run.outputs.model_outputs
    if logged.model_id not in {output.model_id for output in outputs}:
        client.log_outputs(tracked, [LoggedModelOutput(logged.model_id, step=0)])
    return logged


def _create_version(
    client: "MlflowClient", name: str, model: "LoggedModel", *, source: str, tags: Mapping[str, str], tracked: str
) -> "ModelVersion":
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    return client.create_model_version(name, source, run_id=tracked, tags=dict(tags), model_id=model.model_id)


def _link(client: "MlflowClient", kept: "ModelVersion", layer: str, *, tracked: str) -> None:
    """By this tag MLflow's pages lead from a logged model to its version."""
    experiment = client.get_run(tracked).info.experiment_id
    link = json.dumps([{"name": kept.name, "version": str(kept.version)}])
    for model in client.search_logged_models([experiment], filter_string=f"tags.`{LAYER}` = '{layer}'"):
        if model.tags.get(_VERSIONS) != link:
            client.set_logged_model_tags(model.model_id, {_VERSIONS: link})


def _take_over(client: "MlflowClient", kept: "ModelVersion", tags: Mapping[str, str]) -> None:
    """A person approved what had only been decided by rule: the version is theirs from now on."""
    for tag, text in sorted(tags.items(), key=lambda pair: pair[0] == "unverified"):
        if tag != "stage":
            client.set_model_version_tag(kept.name, kept.version, tag, text)


def _point_at_newest(client: "MlflowClient", name: str, number: int) -> None:
    known = client.get_registered_model(name).aliases.get(CANDIDATE)
    if known is None or int(known) < number:
        client.set_registered_model_alias(name, CANDIDATE, str(number))


def _asked_version(
    client: "MlflowClient", uri: str, *, name: str, alias: str | None, version: str | None
) -> "ModelVersion":
    from mlflow.exceptions import MlflowException

    try:
        if alias is not None:
            return client.get_model_version_by_alias(name, alias)
        return client.get_model_version(name, str(version))
    except MlflowException as error:
        if error.error_code not in {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}:
            raise
        raise ModelSpecError(f"{uri} is not in the registry; {_what_is_there(client, name)}") from error


def _what_is_there(client: "MlflowClient", name: str) -> str:
    models = {model.name: model for model in client.search_registered_models(max_results=1000)}
    if name not in models:
        return f"there is {_listed(sorted(models))}"
    known = sorted(client.search_model_versions(f"name = '{name}'"), key=lambda one: -int(one.version))
    aliases = [f"models:/{name}@{alias}" for alias in sorted(models[name].aliases)]
    return f"there is {_listed([*aliases, *(f'models:/{name}/{one.version}' for one in known)])}"


def _listed(names: list[str]) -> str:
    return ", ".join(names[:_NAMED]) + (", ..." if len(names) > _NAMED else "") if names else "nothing in it"


def _download(location: str, place: Path, uri: str) -> None:
    """Whole or not at all: into a temporary folder, then one rename."""
    from mlflow.artifacts import download_artifacts

    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place.parent, prefix=".partial-") as folder:
        downloaded = download_artifacts(
            artifact_uri=f"{location}/artifacts/{PACKAGE}", dst_path=folder, tracking_uri=uri, registry_uri=uri
        )
        try:
            Path(downloaded).rename(place)
        except OSError:
            if not place.is_dir():  # otherwise another process was faster
                raise
