"""What an edit must show before it may take the champion's place: a YAML file, `mlflow/promotion.yaml`."""

from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import Field, ValidationError

from neuroinspect.errors import SettingsError
from neuroinspect.settings import Settings

_Difference = Annotated[float, Field(ge=-1, le=1, allow_inf_nan=False)]
_Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class Bound(Settings):
    """What is asked of a difference, in -1..1: its value, and the low end of its interval.

    Attributes:
        least: the value may not be smaller.
        low: the low end of the interval must be above this; None does not ask of it. A file that leaves it out asks what ships.
    """

    least: _Difference
    low: _Difference | None = 0.0


class Policy(Settings):
    """What is asked of a candidate. A bound of None is not asked. The defaults are argued in mlflow/promotion.yaml."""

    worst_class_over_parent: Bound | None = Bound(least=0.02)
    worst_class_over_placebo: Bound | None = Bound(least=0.01)
    class_auroc_over_parent: Bound | None = Bound(least=0.005)
    class_auroc_over_retrain: Bound | None = Bound(least=0.005)
    class_auroc_over_placebo: Bound | None = Bound(least=0.005)
    average_over_parent: Bound | None = Bound(least=-0.01, low=-0.03)
    largest_class_loss: _Share | None = Field(default=0.05, description="accuracy that any class may lose")
    least_class_accuracy: _Share | None = Field(default=None, description="accuracy that every class must keep")
    same_data: bool = Field(default=True, description="judged on the data that the champion is known on")
    person: bool = Field(default=True, description="approved by a person")


def parse_policy(values: Any, *, source: str) -> Policy:
    """Check a mapping and make it a Policy.

    Raises:
        SettingsError: an unknown key or a wrong value; the message names each by its path.
    """
    if not isinstance(values, dict):
        raise SettingsError(f"{source}: expected a mapping of rules, got {type(values).__name__}")
    try:
        return Policy.model_validate({rule: _with_low(rule, value) for rule, value in values.items()})
    except ValidationError as error:
        lines = [f"  {'.'.join(map(str, problem['loc']))}: {_explain(problem)}" for problem in error.errors()]
        raise SettingsError(f"{source} does not fit:\n" + "\n".join(lines)) from error


def load_policy(path: Path | None) -> Policy:
    """Read a policy; the default one where no file is named.

    Raises:
        SettingsError: the file is missing, is not YAML, or does not fit.
    """
    if path is None:
        return Policy()
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SettingsError(f"the promotion policy {path} cannot be read as YAML: {error}") from error
    # A file of comments alone asks for the defaults.
    return parse_policy({} if values is None else values, source=str(path))


def _with_low(rule: str, value: Any) -> Any:
    """A bound that leaves out its low end has the one that ships: a smaller `least` must not ask for more beside it."""
    shipped = getattr(Policy(), rule, None) if rule in Policy.model_fields else None
    return {"low": shipped.low, **value} if isinstance(shipped, Bound) and isinstance(value, dict) else value


def _explain(problem: Any) -> str:
    if problem["type"] == "extra_forbidden":
        return (
            f"unknown key; remove it or correct its spelling (there are {', '.join(Policy.model_fields)}; least, low)"
        )
    if problem["type"] == "missing":
        return "missing; add it"
    return f"{problem['msg']} (got {problem['input']!r})"
