"""How mistakes are explained and neurons ranked."""

from typing import Literal

from pydantic import Field

from neuroinspect.settings.base import Settings


class CounterfactualSettings(Settings):
    """Smallest shift of the features that turns a mistake right (docs/method.md section 2)."""

    solver: Literal["proximal", "sgd"] = "proximal"
    l1_weight: float = Field(default=0.1, ge=0)
    l2_weight: float = Field(default=0.01, ge=0)
    penalty: Literal["mean", "sum"] = Field(
        default="mean", description="mean: both norms divided by the number of features"
    )
    max_steps: int = Field(default=2000, ge=1)
    learning_rate: float = Field(default=0.01, gt=0, description="sgd only")
    momentum: float = Field(default=0.9, ge=0, lt=1, description="sgd only")
    memory_cap_mb: int = Field(
        default=512,
        ge=1,
        description="for what is computed, beside inputs and results; more mistakes wait for their turn",
    )


class DiagnoseSettings(Settings):
    """Which class to explain and how its neurons are ranked."""

    target: str | None = Field(default=None, description="class name; none: the worst class of the select split")
    counterfactual: CounterfactualSettings = CounterfactualSettings()
    top_k: int = Field(default=5, ge=1)
    min_share: float = Field(default=0.03, ge=0, le=1)
    strict_sign: bool = True
    max_neurons: int = Field(default=30, ge=1, description="longest ranking kept for each direction")
