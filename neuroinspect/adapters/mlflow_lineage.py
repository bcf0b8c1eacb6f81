"""From a version of the registry to the models it was edited from, by what each version's tags say of its parent."""

import logging
import re
from typing import TYPE_CHECKING, Final

from neuroinspect.adapters.mlflow_store import asking, open_client
from neuroinspect.machinery import Machinery

if TYPE_CHECKING:
    from mlflow import MlflowClient

_VERSION: Final = re.compile(r"models:/([^/@:]+)/(\d+)")
log = logging.getLogger(__name__)


def ancestors_of(machinery: Machinery, origin: str) -> tuple[str, ...]:
    """Fingerprints of the models that a version was edited from, the nearest first.

    An edit changes the decision layer alone, so a neuron has the same number in all of them. Where a version of the line was
    deleted, the line ends with what is known of it.

    Args:
        machinery: says which MLflow it is.
        origin: `models:/NAME/VERSION`.

    Raises:
        OutsideError: MLflow cannot be reached, or refuses.
    """
    found: list[str] = []
    seen: set[str] = set()
    with asking(machinery, "say which models this one was edited from"):
        client, version = open_client(machinery), origin
        while version and version not in seen:
            seen.add(version)
            tags = _tags(client, version)
            fingerprint, version = tags.get("parent_fingerprint"), tags.get("parent_origin", "")
            if fingerprint is not None and fingerprint not in found:
                found.append(fingerprint)
    return tuple(found)


def _tags(client: "MlflowClient", origin: str) -> dict[str, str]:
    from mlflow.exceptions import MlflowException

    version = _VERSION.fullmatch(origin)
    if version is None:
        return {}
    try:
        return dict(client.get_model_version(version[1], version[2]).tags)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        log.warning("%s is no longer in the registry; what was decided before it is not known", origin)
        return {}
