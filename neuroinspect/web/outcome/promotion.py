"""What is left to do with an edited model, and who does it."""

import re
import shlex
from typing import Final

from pydantic import BaseModel

from neuroinspect.artifacts import RunFolder
from neuroinspect.judging.titles import title_of
from neuroinspect.review import Decision

# At the end alone: what stands before it may name a class as somebody likes.
_REGISTERED: Final = re.compile(r" Registered as (models:/[\w.-]+/\d+)\.$")


class Step(BaseModel):
    """One thing to do: by whom, what, and the command for it where there is one."""

    who: str
    what: str
    command: str = ""


def steps_to_promotion(run: RunFolder, decision: Decision, told: str, *, recommended: str) -> list[Step]:
    """What is left to do after the edit.

    Args:
        run: with a finished evaluate.
        decision: the answer.
        told: the sentence with which the edit was finished; it names the registered version, where there is one.
        recommended: name of the recommended layer.
    """
    if recommended == "original":
        return [Step(who="Nobody", what="Nothing to promote: the original layer is the one to keep.")]
    folder = shlex.quote(str(run.root))
    steps = [
        Step(
            who="You, or whoever trains the model",
            what=f"Take the edited model as one file ({title_of(recommended).lower()} is in it), and try it where it is used.",
            command=f"neuroinspect apply {folder} --out model.safetensors",
        )
    ]
    named = _REGISTERED.search(told)
    if named is None:
        return [*steps, _UNREGISTERED]
    version = named[1]
    candidate = f"{version.rpartition('/')[0]}@candidate"
    steps.insert(
        0,
        Step(
            who="Done",
            what=f"The edited model is kept in MLflow as `{version}`; the alias `{candidate}` names the newest edit. "
            f"With `model.spec: {candidate}` it can be debugged in turn.",
        ),
    )
    steps.append(
        Step(
            who="Whoever answers for the model in use",
            what="Look at the report, then load the version where the model is served; `MLFLOW_TRACKING_URI` names the store "
            "there. Nothing in use is replaced by itself.",
            command=f"python -c \"import mlflow; mlflow.pyfunc.load_model('{version}')\"",
        )
    )
    if decision.unverified:
        steps.append(
            Step(
                who="A reviewer",
                what="No person looked at this decision; it is marked unverified until one decides in its place.",
            )
        )
    return steps


_UNREGISTERED: Final = Step(
    who="Whoever runs the pipeline",
    what="This run was not registered in MLflow. `neuroinspect run` through the flows registers it as a version.",
    command="neuroinspect run",
)
