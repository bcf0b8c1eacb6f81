"""Who chooses, and how the decision layer is edited."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from neuroinspect.settings.base import Settings

_Share = Annotated[float, Field(ge=0, le=1)]
_Weight = Annotated[float, Field(ge=0)]
_Count = Annotated[int, Field(ge=0)]


class ReviewSettings(Settings):
    """The gate, and the rule of `--review auto`."""

    auto_count: int = Field(default=3, ge=1, description="auto picks this many of the top insufficient neurons")


class TrainSettings(Settings):
    """Refitting the decision layer on cached features."""

    epochs: int = Field(default=20, ge=1)
    patience: int = Field(default=5, ge=1, description="epochs without a better validation accuracy before stopping")
    batch_size: int = Field(default=128, ge=1)
    learning_rate: float = Field(default=1e-3, gt=0)
    weight_decay: float = Field(default=0.0, ge=0)
    warm_up: float = Field(default=0.1, ge=0, le=1, description="part of all steps")
    seed: int = Field(default=0, ge=0, description="order of the batches")
    halve_after: tuple[int, ...] = Field(
        default=(2, 5),
        description="epochs after which the worse half of a method's tries stops, where the data are large",
    )
    halve_above: int = Field(
        default=4_000_000_000, ge=0, description="large: more samples x neurons x classes than this"
    )


class EvidenceSettings(Settings):
    """When the selecting samples are too few to know the direction of a cue."""

    min_agreement: float = Field(
        default=0.05, ge=-1, le=1, description="least cosine of the directions of two halves; -1 never refuses"
    )
    halvings: int = Field(default=10, ge=1, description="how often the samples are halved")


class EditSettings(Settings):
    """How the decision layer is edited (docs/method.md sections 5 and 6). Each method has as many tries as every other."""

    methods: tuple[str, ...] = Field(
        default=("cue_erasure", "ablate_refit", "ratio", "bias"),
        description="also: con, silencing, class_weighting, focal; METHOD+bias; methods registered from outside",
    )
    train: TrainSettings = TrainSettings()
    ratio_form: Literal["sum", "mean"] = Field(
        default="sum",
        description="eq. 8 for several classes: their norms summed, or one mean ratio (the authors' Waterbirds)",
    )
    ratio_weights: tuple[_Weight, ...] = (0.01, 0.05, 0.1, 0.5, 1.0)
    target_ratio: float | None = Field(
        default=1.0, gt=0, description="o of eq. 8; none: the authors' rule at the mean features"
    )
    cue_directions: tuple[_Count, ...] = Field(
        default=(1, 2, 3, 4, 6), description="directions erased of a cue, at most; fewer where fewer rise above chance"
    )
    family_sizes: tuple[_Count, ...] = (0, 5, 10, 15, 25)
    bias_quantiles: tuple[_Share, ...] = (0.1, 0.3, 0.5, 0.7, 0.9)
    contribution_weights: tuple[_Weight, ...] = Field(default=(0.1, 0.3, 1.0, 3.0, 10.0), description="of eq. 9")
    other_class_weights: tuple[Annotated[float, Field(gt=0)], ...] = Field(
        default=(0.95, 0.9, 0.8, 0.7, 0.5), description="of class weighting; the paper has 0.9"
    )
    focal_gammas: tuple[_Weight, ...] = Field(default=(0.5, 1.0, 2.0, 3.0, 5.0), description="the paper has 2")
    weight_decays: tuple[_Weight, ...] = Field(
        default=(0.0, 1e-4, 1e-3, 1e-2, 1e-1), description="tries of retrain-only"
    )
    shrinkage: float | None = Field(
        default=None, ge=0, le=1, description="of the covariance; none: Ledoit and Wolf's estimate"
    )
    evidence: EvidenceSettings = EvidenceSettings()
    placebo_draws: int = Field(default=10, ge=1)
    average_tolerance: float = Field(default=0.01, ge=0, le=1, description="largest loss of average accuracy on select")

    @model_validator(mode="after")
    def _check(self) -> "EditSettings":
        grids = (
            self.ratio_weights,
            self.cue_directions,
            self.family_sizes,
            self.bias_quantiles,
            self.weight_decays,
            self.contribution_weights,
            self.other_class_weights,
            self.focal_gammas,
        )
        lengths = {len(grid) for grid in grids}
        if len(lengths) != 1:
            raise ValueError(
                f"every method must have as many tries as the others, got grids of {sorted(lengths)} values"
            )
        return self
