"""Names of flow runs that say what is debugged."""

from pathlib import Path

from prefect.runtime import flow_run

from neuroinspect.settings import Params


def flow_run_name() -> str:
    """Such as `debug fish_forest_net run`: the flow, the model and the run folder."""
    given = flow_run.parameters
    params = given["params"]
    spec = params.model.spec if isinstance(params, Params) else params["model"]["spec"]
    return f"{flow_run.flow_name} {spec.rpartition(':')[2]} {Path(given['run']).name}"
