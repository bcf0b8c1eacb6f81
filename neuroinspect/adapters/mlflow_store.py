"""The MLflow store that tracker and registry share: how it is opened, what things are called in it, what its failures mean."""

import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from filelock import FileLock

from neuroinspect.errors import NeuroInspectError, OutsideError
from neuroinspect.machinery import Machinery, stack_way_out

if TYPE_CHECKING:
    from mlflow import MlflowClient

KEY: Final = "neuroinspect.key"
"""Tag by which a run is found again."""
LAYER: Final = "neuroinspect.layer"
"""Tag by which a registered version is found again."""
# MLflow's page shows its runs as trainings, and not as conversations of an assistant.
_KIND: Final = {"mlflow.experimentKind": "custom_model_development"}
_LONGEST_TAG: Final = 5000
_LONGEST_NAME: Final = 200
_HALF_A_REASON: Final = 200


@contextmanager
def asking(machinery: Machinery, wish: str) -> Iterator[None]:
    """What MLflow refuses inside becomes an OutsideError; our own errors pass.

    Args:
        machinery: says which MLflow it is.
        wish: what it was asked for, as in "MLflow cannot <wish>".

    Raises:
        OutsideError: MLflow cannot be reached, or refuses; the message says what to do.
    """
    try:
        yield
    except NeuroInspectError:
        raise
    except Exception as error:  # requests, SQLAlchemy, boto and MLflow each raise their own
        if machinery.mlflow_url is None:
            place = f"in {machinery.state / 'mlflow'}"
            way_out = (
                "see that this folder can be written, its disk has space, and no other process holds the database; put a "
                "damaged one aside"
            )
        else:
            place = f"at {machinery.mlflow_url}"
            way_out = stack_way_out(machinery, "mlflow_url") or (
                "see that the server answers and NEUROINSPECT_MLFLOW_URL is its address; name and password go into "
                "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, a token into MLFLOW_TRACKING_TOKEN"
            )
        raise OutsideError(
            f"MLflow {place} cannot {wish}: {_reason(error)}. The run folder is as it was; {way_out}, then run the same "
            "command again"
        ) from error


def open_client(machinery: Machinery) -> "MlflowClient":
    """A client of the server, or of the database below `state`, which is made where there is none."""
    from mlflow import MlflowClient

    if machinery.mlflow_url is None:
        make_database(machinery)
    return MlflowClient(tracking_uri=machinery.mlflow_store, registry_uri=machinery.mlflow_store)


def experiment_id(client: "MlflowClient", machinery: Machinery, name: str) -> str:
    """The experiment of this name, made where there is none.

    Raises:
        OutsideError: somebody deleted it.
    """
    from mlflow.exceptions import MlflowException

    known = client.get_experiment_by_name(name)
    if known is None:
        local = machinery.mlflow_url is None
        try:
            place = machinery.mlflow_artifacts.resolve().as_uri() if local else None
            return str(client.create_experiment(name, artifact_location=place, tags=_KIND))
        except MlflowException:
            known = client.get_experiment_by_name(name)  # another process may have been faster
            if known is None:
                raise
    if known.lifecycle_stage == "deleted":
        raise OutsideError(
            f"the MLflow experiment {name!r} is deleted; `MLFLOW_TRACKING_URI={machinery.mlflow_store} mlflow experiments "
            f"restore --experiment-id {known.experiment_id}` brings it back, `mlflow gc` removes it for good"
        )
    return str(known.experiment_id)


def model_name(*, spec: str, weights: str | None, origin: str | None) -> str:
    """What a model is called in MLflow, as an experiment and as a registered model.

    A model of the registry keeps its name. Every other is called by its spec, with a dot for the colon, and by the name of its
    weights file: `timm:resnet50` with waterbirds.safetensors is `timm.resnet50-waterbirds`.

    Args:
        spec: as the params name it.
        weights: name of the weights file.
        origin: `models:/NAME/VERSION` of a model of the registry.
    """
    registered = re.fullmatch(r"models:/([^/@]+)[/@].+", origin or spec)
    if registered is not None:
        return registered.group(1)
    stem = "" if weights is None else f"-{weights.rpartition('.')[0] or weights}"
    return re.sub(r"[^\w.-]+", "-", spec.replace(":", ".") + stem).strip(".-")[:_LONGEST_NAME]


def as_tags(values: Mapping[str, Any]) -> dict[str, str]:
    """Tags as MLflow takes them: text, none longer than it allows; those that are None are left out."""
    texts = {name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in values.items()}
    return {name: shortened(text, _LONGEST_TAG) for name, text in texts.items() if values[name] is not None}


def shortened(text: str, length: int) -> str:
    """Text of at most this length; what was cut ends in three dots."""
    return text if len(text) <= length else text[: length - 3] + "..."


def make_database(machinery: Machinery) -> None:
    """Make the database whole or not at all: MLflow cannot go on with one whose making was interrupted."""
    folder = machinery.state / "mlflow"
    database = folder / "mlflow.db"
    if database.exists():
        return
    from mlflow import MlflowClient

    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / ".lock"):
        if database.exists():
            return
        unfinished = folder / ".new"
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir()
        MlflowClient(tracking_uri=f"sqlite:///{unfinished / 'mlflow.db'}").search_experiments()
        # A copy, because MLflow keeps the file it made open.
        shutil.copyfile(unfinished / "mlflow.db", unfinished / "copy.db")
        (unfinished / "copy.db").rename(database)
        shutil.rmtree(unfinished, ignore_errors=True)


def _reason(error: Exception) -> str:
    """Its first line; of a long one both ends, because requests tell at the end what happened."""
    lines = str(error).strip().splitlines()
    text = lines[0] if lines else type(error).__name__
    return (
        text if len(text) <= 2 * _HALF_A_REASON else f"{text[:_HALF_A_REASON]} ... {text[-_HALF_A_REASON:]}"
    ).rstrip(".")
