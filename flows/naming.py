"""Names of flow runs and task runs that say what is worked on: the stage, the model, the run, the class, the shard.

A name is for people. Where something in it cannot be known it is left out; no name ever fails a run.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, cast

from prefect.runtime import flow_run
from prefect.tasks import TaskRunNameCallbackWithParameters

from neuroinspect.artifacts import RunFolder
from neuroinspect.errors import NeuroInspectError
from neuroinspect.settings import Params

_BEFORE_THE_CLASS: Final = frozenset({"resolve", "validate", "plan_extraction", "extract_shard", "extract"})
"""Tasks that are about all classes."""
_LONGEST: Final = 60


def flow_run_name() -> str:
    """Such as `edit fish_forest_net run (fish)`: the flow, the model, the run folder, and the class where it is known."""
    given = flow_run.parameters
    flow, folder = str(flow_run.flow_name), str(given["run"])
    wanted, spec = _settings(given["params"])
    # A debug flow may find another class than the one an earlier flow left in the folder.
    known = wanted or (None if flow == "debug" else _diagnosed(folder))
    model = spec.rpartition(":")[2].lstrip("/")
    return f"{flow} {model} {Path(folder).name}" + ("" if known is None else f" ({_short(known)})")


def task_run_name(name: str) -> TaskRunNameCallbackWithParameters:
    """How the runs of a task are called, such as `edit fish` or `draw_shard fish 8-15`.

    Args:
        name: of the task.
    """

    def named(parameters: dict[str, Any]) -> str:
        words = [name]
        shard: Any = parameters.get("shard")
        run, params = parameters.get("run"), parameters.get("params")
        if name not in _BEFORE_THE_CLASS and isinstance(run, str):
            wanted = None if params is None else _settings(params)[0]
            known = wanted or (None if name == "diagnose" else _diagnosed(run))
            words += [] if known is None else [_short(known)]
        if hasattr(shard, "start") and hasattr(shard, "stop"):
            words += [*([shard.split] if hasattr(shard, "split") else []), f"{shard.start}-{shard.stop - 1}"]
        return " ".join(words)

    return cast(
        TaskRunNameCallbackWithParameters, named
    )  # its type asks for a method that Prefect calls on the type alone


def _settings(params: Any) -> tuple[str | None, str]:
    """The class that is asked for, None where it is to be found, and the model."""
    if isinstance(params, Params):
        return params.diagnose.target, params.model.spec
    if not isinstance(params, Mapping):
        return None, ""
    return (params.get("diagnose") or {}).get("target"), str((params.get("model") or {}).get("spec", ""))


def _diagnosed(run: str) -> str | None:
    """The class a run folder is about, once it is diagnosed."""
    try:
        record = RunFolder(Path(run)).stage_record("diagnose")
        return None if record is None else str(record["summary"]["class"])
    except (NeuroInspectError, OSError, KeyError, TypeError):
        return None


def _short(name: str) -> str:
    """A class name on one line; it comes from the user's data."""
    line = " ".join(name.split())
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}..."
