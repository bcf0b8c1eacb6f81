"""Which adapter serves which port: the command line and the flows choose here, and nowhere else.

An adapter imports its tool when it is used, so assembling costs nothing.
"""

from importlib.util import find_spec
from typing import TYPE_CHECKING

from neuroinspect.errors import MissingToolError
from neuroinspect.machinery import Machinery
from neuroinspect.ports import EditDispatcher, Tools

if TYPE_CHECKING:
    from neuroinspect.adapters.sql_reviews import SqlReviews

_PIPELINE = ("prefect", "mlflow", "dvc", "great_expectations", "sqlalchemy")


def pipeline_is_installed() -> bool:
    """Whether the extra `pipeline` is there."""
    return not _missing()


def refuse_missing_tools() -> None:
    """Say what is lacking before anything is started.

    Raises:
        MissingToolError: the extra `pipeline` is not installed.
    """
    missing = _missing()
    if missing:
        raise MissingToolError(
            f"{', '.join(missing)} not installed; pip install 'neuroinspect[pipeline]', or run the plain stages with --no-flow"
        )


def flows_are_wanted(machinery: Machinery) -> bool:
    """Whether to go through the flows where nobody said: where all their tools are installed.

    Raises:
        MissingToolError: the machinery names a team's server, and a tool is not installed: plain stages would leave it out
            without a word.
    """
    if _missing():
        _refuse_to_ignore(machinery, "prefect_url", "mlflow_url", "review_url")
    return pipeline_is_installed()


def all_tools(machinery: Machinery) -> Tools:
    """Every tool of the pipeline, for the flows.

    Raises:
        MissingToolError: the extra `pipeline` is not installed.
    """
    refuse_missing_tools()
    machinery.enter()
    from neuroinspect.adapters.dvc_revision import DvcRevision
    from neuroinspect.adapters.gx_validator import GxValidator
    from neuroinspect.adapters.mlflow_registry import MlflowRegistry
    from neuroinspect.adapters.mlflow_tracker import MlflowTracker
    from neuroinspect.adapters.sql_reviews import SqlReviews

    return Tools(
        revisions=DvcRevision(),
        validator=GxValidator(),
        reviews=SqlReviews(machinery.review_store),
        tracker=MlflowTracker(machinery),
        registry=MlflowRegistry(machinery),
    )


def review_store(machinery: Machinery) -> "SqlReviews | None":
    """The review store where the extra `pipeline` is installed; no other tool is loaded.

    Raises:
        MissingToolError: a store is named, and the extra is not installed.
    """
    if not pipeline_is_installed():
        _refuse_to_ignore(machinery, "review_url")
        return None
    from neuroinspect.adapters.sql_reviews import SqlReviews

    return SqlReviews(machinery.review_store)


def edit_dispatcher(machinery: Machinery, store: "SqlReviews") -> EditDispatcher:
    """What starts the edit of a review that the store holds as approved."""
    from neuroinspect.adapters.prefect_dispatch import PrefectDispatch

    return PrefectDispatch(store, machinery)


def plain_tools(machinery: Machinery) -> Tools:
    """What plain stages use where it is installed: the version of the data, and models of the registry."""
    machinery.enter()
    revisions = registry = None
    if find_spec("dvc") is not None:
        from neuroinspect.adapters.dvc_revision import DvcRevision

        revisions = DvcRevision()
    if find_spec("mlflow") is not None:
        from neuroinspect.adapters.mlflow_registry import MlflowRegistry

        registry = MlflowRegistry(machinery)
    return Tools(revisions=revisions, registry=registry)


def _missing() -> list[str]:
    return [name for name in _PIPELINE if find_spec(name) is None]


def _refuse_to_ignore(machinery: Machinery, *fields: str) -> None:
    named = [f"NEUROINSPECT_{field.upper()}" for field in fields if getattr(machinery, field) is not None]
    if named:
        raise MissingToolError(
            f"{', '.join(named)} given, but {', '.join(_missing())} not installed; pip install 'neuroinspect[pipeline]', or "
            "take the address away and work with files alone"
        )
