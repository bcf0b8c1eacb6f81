"""Finding versions in MLflow's registry: by number or alias, by the hash of their layer, by their fingerprint."""

from typing import TYPE_CHECKING, Final

from neuroinspect.adapters.mlflow_store import LAYER
from neuroinspect.errors import ModelSpecError

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion

FINGERPRINT: Final = "fingerprint"
"""Tag with the hash of the whole model as it loads."""
_NAMED: Final = 10


def version_of_layer(client: "MlflowClient", name: str, layer: str) -> "ModelVersion | None":
    """The first version with this layer; None where there is none."""
    found = client.search_model_versions(f"name = '{name}' and tags.`{LAYER}` = '{layer}'")
    return min(found, key=lambda one: int(one.version)) if found else None


def number_of_fingerprint(client: "MlflowClient", name: str, fingerprint: str) -> int | None:
    """The first version that loads as this model; None where there is none."""
    found = client.search_model_versions(f"name = '{name}' and tags.`{FINGERPRINT}` = '{fingerprint}'")
    return min((int(one.version) for one in found), default=None)


def models_of(run: "Run") -> set[str]:
    """The logged models that a run says it made."""
    return set() if run.outputs is None else {output.model_id for output in run.outputs.model_outputs}


def asked_version(
    client: "MlflowClient", uri: str, *, name: str, alias: str | None, version: str | None
) -> "ModelVersion":
    """A version by its number or an alias.

    Raises:
        ModelSpecError: there is no such model, version or alias; the message says what there is.
    """
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
