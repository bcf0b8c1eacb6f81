"""Edited models as versions of a registered model in MLflow.

A version is found again by the hash of its decision layer and of the model around it, a logged model by the same: whatever was
there when the process died is used.
"""

import json
import re
import tempfile
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from neuroinspect.adapters.mlflow_pyfunc import save_edited_model
from neuroinspect.adapters.mlflow_record import name_of_model, run_tags
from neuroinspect.adapters.mlflow_store import LAYER, as_tags, asking, experiment_id, model_name, open_client
from neuroinspect.adapters.mlflow_tracker import EXPERIMENTS
from neuroinspect.adapters.mlflow_versions import (
    FINGERPRINT,
    asked_version,
    models_of,
    number_of_fingerprint,
    version_of_layer,
)
from neuroinspect.adapters.model_package import PACKAGE, package_settings, write_package
from neuroinspect.artifacts import RunFolder, read_json
from neuroinspect.errors import ModelSpecError
from neuroinspect.export import EditedModel, edited_model, untouched_model
from neuroinspect.machinery import Machinery
from neuroinspect.ports import RegisteredVersion
from neuroinspect.promotion.facts import BASELINE, BIAS
from neuroinspect.settings import ModelSettings, Params
from neuroinspect.stages.models import classifier_of
from neuroinspect.stages.review import manifest_version

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModel
    from mlflow.entities.model_registry import ModelVersion

CANDIDATE: Final = "candidate"
"""Alias of the newest version that came from an edit."""
_OF_THE_RECOMMENDED: Final = {"verdict", "surely_better"}
_JUDGED: Final = ("run_id", "metrics_hash", "data_version", "classes", "pictures", "request")
"""Tags that say by what a version was judged."""
_LAST: Final = {"metrics_hash": 1, "unverified": 2}
_VERSIONS: Final = "mlflow.modelVersions"
_URI: Final = re.compile(r"models:/(?P<name>[^/@:]+)(?:@(?P<alias>[\w-]+)|/(?P<version>\d+))")


class MlflowRegistry:
    """A ModelRegistry in MLflow.

    Args:
        machinery: says where MLflow is.
        settle: called with the URI of a model before it is asked which version that is.
    """

    def __init__(self, machinery: Machinery, *, settle: Callable[[str], object] = lambda _: None) -> None:
        self._machinery, self._settle = machinery, settle

    def register(self, run: Path, params: Params, *, tracked: str) -> RegisteredVersion | None:
        """Register the recommended model and the bias-only edit beside it, see the port.

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
        with asking(self._machinery, "register the edited model"):
            client = open_client(self._machinery)
            kept = self._keep_edit(client, folder, params.model, edited, tracked=tracked)
            _point_at_newest(client, kept.name, int(kept.version))
            bias = None if edited.method == BIAS else edited_model(folder, params, method=BIAS)
            if bias is not None:
                self._keep_edit(client, folder, params.model, bias, tracked=tracked)
            return RegisteredVersion(kept.name, str(kept.version))

    def register_untouched(self, params: Params, *, data_version: str, by: str) -> RegisteredVersion:
        """Register the model as it is, see the port.

        Raises:
            ModelError: it cannot be loaded, or does not load from its own files alone.
            OutsideError: MLflow cannot be reached, or refuses.
        """
        model, classifier = params.model, classifier_of(params)
        weights = None if model.weights is None else model.weights.name
        name = model_name(spec=model.spec, weights=weights, origin=model.origin)
        with asking(self._machinery, "register the model"):
            client = open_client(self._machinery)
            if model.origin is not None:
                kept = client.get_model_version(name, model.origin.rpartition("/")[2])
            else:
                edited = untouched_model(classifier)
                facts = {"kind": BASELINE, "method": edited.method, "data_version": data_version, "reviewer": by}
                facts |= {"model_spec": model.spec, LAYER: _layer_hash(edited)}
                experiment = experiment_id(client, self._machinery, EXPERIMENTS + name)
                kept = self._keep(client, name, model, edited, as_tags(facts), experiment=experiment, tracked=None)
            if (kept.tags.get("compared_on") or kept.tags.get("data_version")) != data_version:
                for tag, text in {"compared_on_by": by, "compared_on": data_version}.items():
                    client.set_model_version_tag(kept.name, kept.version, tag, text)
            return RegisteredVersion(kept.name, str(kept.version))

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
        self._settle(uri)
        with asking(self._machinery, f"bring {uri}"):
            client = open_client(self._machinery)
            found = asked_version(client, uri, **asked.groupdict())
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

    def _keep_edit(
        self, client: "MlflowClient", run: RunFolder, model: ModelSettings, edited: EditedModel, *, tracked: str
    ) -> "ModelVersion":
        name = name_of_model(run)
        facts = as_tags(
            {**_facts(client, run, name), "method": edited.method, "run_id": tracked, LAYER: _layer_hash(edited)}
        )
        if edited.method == BIAS != read_json(run.require("edit") / "edit.json")["recommended"]:
            facts = {tag: text for tag, text in facts.items() if tag not in _OF_THE_RECOMMENDED}
        experiment = client.get_run(tracked).info.experiment_id
        return self._keep(client, name, model, edited, facts, experiment=experiment, tracked=tracked)

    def _keep(
        self,
        client: "MlflowClient",
        name: str,
        model: ModelSettings,
        edited: EditedModel,
        facts: Mapping[str, str],
        *,
        experiment: str,
        tracked: str | None,
    ) -> "ModelVersion":
        """The version of a layer, made where there is none."""
        kept = version_of_layer(client, name, facts[LAYER])
        if kept is None:
            logged = _logged_model(client, edited, model, facts=facts, experiment=experiment, tracked=tracked)
            # A local MLflow would look for the model in the database of the working directory.
            source = logged.artifact_location if self._machinery.mlflow_url is None else logged.model_uri
            known = {FINGERPRINT: logged.tags[FINGERPRINT]} if FINGERPRINT in logged.tags else {}
            tags = {**facts, **known, "stage": "candidate" if tracked is not None else BASELINE}
            kept = _create_version(client, name, logged, source=source, tags=tags, tracked=tracked)
        elif _is_better_known(kept.tags, facts):
            # A promotion believes the figures of a run that says it made this layer.
            _logged_model(client, edited, model, facts=facts, experiment=experiment, tracked=tracked)
            _take_over(client, kept, facts)
        _link(client, kept, facts[LAYER], experiment=experiment)
        return kept


def _layer_hash(edited: EditedModel) -> str:
    """Of the edited layer and the model around it: the same edit of the same model is the same version."""
    digest = sha256(edited.classifier.fingerprint.encode())
    for tensor in (edited.weight, edited.bias):
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _facts(client: "MlflowClient", run: RunFolder, name: str) -> dict[str, Any]:
    facts = {name.replace("model_", "parent_"): value for name, value in run_tags(run).items() if name != "recommended"}
    origin, _, number = (facts["parent_origin"] or "").rpartition("/")
    is_known = origin == f"models:/{name}"
    return {
        **facts,
        "parent_version": number if is_known else number_of_fingerprint(client, name, facts["parent_fingerprint"]),
        "classes": len(read_json(run.require("extract") / "performance.json")["classes"]),
        "pictures": f"manifest:{manifest_version(run)}",
        "neurons": json.dumps(read_json(run.require("edit") / "edit.json")["neurons"]),
        "metrics_hash": sha256((run.require("evaluate") / "metrics.json").read_bytes()).hexdigest(),
    }


def _logged_model(
    client: "MlflowClient",
    edited: EditedModel,
    model: ModelSettings,
    *,
    facts: Mapping[str, str],
    experiment: str,
    tracked: str | None,
) -> "LoggedModel":
    """The model among those of the experiment and of the tracked run, whole; one that was begun is finished."""
    from mlflow.entities import LoggedModelOutput, LoggedModelStatus

    layer = facts[LAYER]
    begun = client.search_logged_models([experiment], filter_string=f"tags.`{LAYER}` = '{layer}'")
    logged = begun[0] if begun else None
    if logged is None or logged.status != LoggedModelStatus.READY:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            fingerprint = write_package(folder / PACKAGE, edited, model, facts=facts)
            tags = {LAYER: layer, FINGERPRINT: fingerprint}
            logged = logged or client.create_logged_model(experiment, "model", tracked, tags=tags)
            saved = save_edited_model(folder, folder / PACKAGE, model_id=logged.model_id, run_id=tracked)
            client.log_model_artifacts(logged.model_id, str(saved))
        logged = client.finalize_logged_model(logged.model_id, LoggedModelStatus.READY)
    if tracked is not None and logged.model_id not in models_of(client.get_run(tracked)):
        client.log_outputs(tracked, [LoggedModelOutput(logged.model_id, step=0)])
    return logged


def _create_version(
    client: "MlflowClient",
    name: str,
    model: "LoggedModel",
    *,
    source: str,
    tags: Mapping[str, str],
    tracked: str | None,
) -> "ModelVersion":
    """A new version; where another machine has made one of the same layer at the same time, the first of them."""
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    # Of a model without a run a local MLflow asks the store of the working directory, not this client's; `_link` ties the two as
    # well. A server must be told which model its address models:/ID stands for.
    linked = None if tracked is None and not source.startswith("models:/") else model.model_id
    made = client.create_model_version(name, source, run_id=tracked, tags=dict(tags), model_id=linked)
    # Both see both, or the later sees the earlier: so one of them stays, and nobody was told the other's number yet.
    first = version_of_layer(client, name, tags[LAYER])
    if first is None or int(first.version) >= int(made.version):
        return made
    client.delete_model_version(name, made.version)
    return first


def _link(client: "MlflowClient", kept: "ModelVersion", layer: str, *, experiment: str) -> None:
    """By this tag MLflow's pages lead from a logged model to its version."""
    link = json.dumps([{"name": kept.name, "version": str(kept.version)}])
    for model in client.search_logged_models([experiment], filter_string=f"tags.`{LAYER}` = '{layer}'"):
        if model.tags.get(_VERSIONS) != link:
            client.set_logged_model_tags(model.model_id, {_VERSIONS: link})


def _is_better_known(known: Mapping[str, str], facts: Mapping[str, str]) -> bool:
    """Whether a run tells more of a version than its tags do: a person's decision, or figures that are missing or others."""
    if facts.get("unverified") != "false":
        return False
    return known.get("unverified") == "true" or any(known.get(tag) != facts.get(tag) for tag in _JUDGED)


def _take_over(client: "MlflowClient", kept: "ModelVersion", tags: Mapping[str, str]) -> None:
    """The version is known by this decision and these figures from now on; who dies in between does it again."""
    for tag, text in sorted(tags.items(), key=lambda pair: _LAST.get(pair[0], 0)):
        if tag != "stage":
            client.set_model_version_tag(kept.name, kept.version, tag, text)


def _point_at_newest(client: "MlflowClient", name: str, number: int) -> None:
    known = client.get_registered_model(name).aliases.get(CANDIDATE)
    if known is None or int(known) < number:
        client.set_registered_model_alias(name, CANDIDATE, str(number))


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
