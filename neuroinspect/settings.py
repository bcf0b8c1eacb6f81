"""Settings of every stage as frozen pydantic models, and the params file that holds them."""

from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from neuroinspect.errors import SettingsError


class Settings(BaseModel):
    """Base of all settings: frozen, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class PreprocessingSettings(Settings):
    """How a picture becomes network input: resize the short side, crop the centre, scale to [0, 1], normalise."""

    image_size: int = Field(default=224, ge=8, description="side of the square the network sees, pixels")
    resize: int | None = Field(
        default=None, ge=8, description="short side before the centre crop; image_size if left out"
    )
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    interpolation: Literal["nearest", "bilinear", "bicubic"] = "bilinear"

    @model_validator(mode="after")
    def _check(self) -> "PreprocessingSettings":
        if min(self.std) <= 0:
            raise ValueError(f"std must be positive in every channel, got {self.std}")
        if self.resize is not None and self.resize < self.image_size:
            raise ValueError(f"resize ({self.resize}) must not be smaller than image_size ({self.image_size})")
        return self


class ModelSettings(Settings):
    """Which classifier to debug."""

    spec: str = Field(
        description="timm:NAME, torchvision:NAME, package.module:factory or models:/NAME@ALIAS of the registry"
    )
    weights: Path | None = Field(
        default=None, description="safetensors file or state dict; none: the spec's own weights"
    )
    num_classes: int | None = Field(default=None, ge=2)
    python_path: Path | None = Field(default=None, description="folder to import package.module:factory from")
    class_names: tuple[str, ...] | None = Field(default=None, description="in the order of the logits")
    preprocessing: PreprocessingSettings | None = None
    origin: str | None = Field(default=None, description="the registered version that spec and weights were taken from")


class DataSettings(Settings):
    """Where the pictures are: one folder per class for each split, or one CSV or parquet table."""

    train: Path | None = None
    validation: Path | None = None
    test: Path | None = None
    table: Path | None = Field(default=None, description="columns path, label, split and optionally group")

    @model_validator(mode="after")
    def _check(self) -> "DataSettings":
        if self.table is None and (self.train is None or self.validation is None):
            raise ValueError("give `table`, or both `train` and `validation`")
        if self.table is not None and (self.train or self.validation or self.test):
            raise ValueError("give either `table` or the folders `train`, `validation`, `test`, not both")
        return self


class GuideSettings(Settings):
    """Which text guide steers the illusions; without one they follow the classifier alone (method eq. 2)."""

    spec: str | None = Field(
        default=None, description="open_clip:NAME/TAG, open_clip:NAME/FILE or package.module:factory"
    )
    templates: tuple[str, ...] = (
        "a photo of a {}.",
        "a good photo of a {}.",
        "a close-up photo of a {}.",
        "a bright photo of a {}.",
        "a cropped photo of a {}.",
        "a photo of the {}.",
        "a good photo of the {}.",
        "a photo of one {}.",
        "a photo of a large {}.",
        "a photo of a small {}.",
        "a photo of a clean {}.",
        "a picture of a {}.",
    )
    class_texts: dict[str, str] = Field(
        default={}, description="what to call a class in the text, where its name is not a word"
    )


class ChecksSettings(Settings):
    """Expectations of great-expectations between the stages; one that does not hold stops the flow."""

    min_class_count: int = Field(default=2, ge=1, description="pictures each class must have in each split")
    max_quarantined_share: float = Field(
        default=0.1, ge=0, le=1, description="largest part of the files that may lie in quarantine"
    )
    max_feature: float = Field(default=1e6, gt=0, description="largest absolute value of a feature")


class ValidateSettings(Settings):
    """Checks of the pictures before anything is computed."""

    max_pixels: int = Field(
        default=89_478_485, ge=64, description="larger pictures are quarantined as decompression bombs"
    )
    small_class: int = Field(
        default=30, ge=1, description="a class with fewer validation pictures is reported with a warning"
    )


class ExtractSettings(Settings):
    """One pass of the backbone over every split."""

    batch_size: int = Field(default=64, ge=1)
    shard_size: int = Field(default=512, ge=1, description="pictures in one shard: the most a killed run loses")


class CounterfactualSettings(Settings):
    """Smallest shift of the features that turns a mistake right (method eq. 1)."""

    solver: Literal["proximal", "sgd"] = "proximal"
    l1_weight: float = Field(default=0.1, ge=0)
    l2_weight: float = Field(default=0.01, ge=0)
    penalty: Literal["mean", "sum"] = Field(
        default="mean", description="mean: both norms divided by the number of features"
    )
    max_steps: int = Field(default=2000, ge=1)
    learning_rate: float = Field(default=0.01, gt=0, description="sgd only")
    momentum: float = Field(default=0.9, ge=0, lt=1, description="sgd only")
    chunk_size: int = Field(default=4096, ge=1, description="mistakes solved at once; bounds the memory")


class DiagnoseSettings(Settings):
    """Which class to explain and how its neurons are ranked."""

    target: str | None = Field(default=None, description="class name; none: the worst class of the select split")
    counterfactual: CounterfactualSettings = CounterfactualSettings()
    top_k: int = Field(default=5, ge=1)
    min_share: float = Field(default=0.03, ge=0, le=1)
    strict_sign: bool = True
    max_neurons: int = Field(default=30, ge=1, description="longest ranking kept for each direction")


class IllusionSettings(Settings):
    """CLIP-Illusion (method section 2)."""

    steps: int = Field(default=450, ge=1, description="300 preview, 450 normal, 650 final")
    class_weight: float = Field(
        default=0.5, ge=0, le=1, description="gamma: how much of the class logit is in the picture"
    )
    guide_offset: float = Field(default=0.05, ge=0, description="epsilon of eq. 4")
    learning_rate: float = Field(default=9e-3, gt=0)
    final_learning_rate: float = Field(
        default=0.12, gt=0, le=1, description="part of the learning rate at the last step"
    )
    weight_decay: float = Field(default=2e-4, ge=0)
    decay_power: float = Field(
        default=1.5, ge=0, description="amplitude of the spectrum falls with frequency to this power"
    )
    start_deviation: float = Field(default=0.001, gt=0)
    rotation: float = Field(default=15.0, ge=0, description="degrees")
    shift: float = Field(default=0.15, ge=0, le=1, description="part of the side")
    scale: tuple[float, float] = (0.7, 1.2)
    colour_jitter: float = Field(default=0.2, ge=0)
    warm_up: float = Field(
        default=0.1, ge=0, le=1, description="part of the steps with gradients passed through silent ReLUs"
    )
    restarts: int = Field(default=2, ge=0, description="other noise for a neuron that stays silent")
    memory_cap_mb: int = Field(default=2048, ge=64)


class VisualizeSettings(Settings):
    """Pictures for the reviewer."""

    neurons: int = Field(default=8, ge=1, description="top neurons of each direction to draw")
    illusion: IllusionSettings = IllusionSettings()
    feature_visualization: bool = Field(default=True, description="plain feature visualization beside each illusion")
    real_images: int = Field(default=6, ge=0, description="top-activating validation pictures of each neuron")
    shard_size: int = Field(default=4, ge=1, description="pairs in one shard: the most a killed run loses")


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


class EditSettings(Settings):
    """How the decision layer is edited (method section 4). Each method has as many tries as every other."""

    methods: tuple[str, ...] = Field(
        default=("ratio", "bias", "ablate_refit", "cue_erasure"),
        description="also: con, and methods registered from outside",
    )
    train: TrainSettings = TrainSettings()
    ratio_weights: tuple[float, ...] = (0.01, 0.05, 0.1, 0.5, 1.0)
    target_ratio: float | None = Field(
        default=1.0, gt=0, description="o of eq. 8; none: the authors' rule at the mean features"
    )
    presence_thresholds: tuple[float, ...] = Field(
        default=(0.5, 0.75, 1.0, 1.25, 1.5), description="standard deviations"
    )
    family_sizes: tuple[int, ...] = (0, 5, 10, 15, 25)
    bias_quantiles: tuple[float, ...] = (0.1, 0.3, 0.5, 0.7, 0.9)
    contribution_weights: tuple[float, ...] = Field(default=(0.1, 0.3, 1.0, 3.0, 10.0), description="of eq. 9")
    weight_decays: tuple[float, ...] = Field(default=(0.0, 1e-4, 1e-3, 1e-2, 1e-1), description="tries of retrain-only")
    shrinkage: float | None = Field(
        default=None, ge=0, le=1, description="of the covariance; none: Ledoit and Wolf's estimate"
    )
    placebo_draws: int = Field(default=10, ge=1)
    average_tolerance: float = Field(default=0.01, ge=0, le=1, description="largest loss of average accuracy on select")

    @model_validator(mode="after")
    def _check(self) -> "EditSettings":
        grids = (
            self.ratio_weights,
            self.presence_thresholds,
            self.family_sizes,
            self.bias_quantiles,
            self.weight_decays,
            self.contribution_weights,
        )
        lengths = {len(grid) for grid in grids}
        if len(lengths) != 1:
            raise ValueError(
                f"every method must have as many tries as the others, got grids of {sorted(lengths)} values"
            )
        return self


class EvaluateSettings(Settings):
    """Judging the edit (method section 6)."""

    bootstrap: int = Field(default=2000, ge=100)
    confidence: float = Field(default=0.95, gt=0.5, lt=1)
    minimum_effect: float = Field(
        default=0.005, ge=0, description="smallest gain in AUROC beyond the controls that is claimed"
    )


class ReportSettings(Settings):
    """The page at the end."""

    title: str = "NeuroInspect report"
    mistakes_shown: int = Field(default=12, ge=0)


class Params(Settings):
    """A whole params file: what to debug, and one section for each stage."""

    # Prefect hands settings on by the names of the fields, files by their aliases.
    model_config = ConfigDict(populate_by_name=True)

    model: ModelSettings
    data: DataSettings
    guide: GuideSettings = GuideSettings()
    seed: int = Field(default=0, ge=0)
    device: str | None = Field(default=None, description="cpu, cuda, cuda:1 ...; none: a GPU where there is one")
    runs: Path = Field(default=Path(".neuroinspect/runs"), description="folder of the run folders")
    checks: ChecksSettings = ChecksSettings()
    validate_: ValidateSettings = Field(default=ValidateSettings(), alias="validate")
    extract: ExtractSettings = ExtractSettings()
    diagnose: DiagnoseSettings = DiagnoseSettings()
    visualize: VisualizeSettings = VisualizeSettings()
    review: ReviewSettings = ReviewSettings()
    edit: EditSettings = EditSettings()
    evaluate: EvaluateSettings = EvaluateSettings()
    report: ReportSettings = ReportSettings()


def parse_params(values: Any, *, source: str = "params") -> Params:
    """Check a mapping and make it Params.

    Raises:
        SettingsError: an unknown key, a missing key or a wrong value; the message names each by its path.
    """
    if not isinstance(values, dict):
        raise SettingsError(f"{source}: expected a mapping of sections, got {type(values).__name__}")
    try:
        return Params.model_validate(values)
    except ValidationError as error:
        lines = [f"  {'.'.join(map(str, problem['loc']))}: {_explain(problem)}" for problem in error.errors()]
        raise SettingsError(f"{source} does not fit:\n" + "\n".join(lines)) from error


def _explain(problem: Any) -> str:
    if problem["type"] == "extra_forbidden":
        return "unknown key; remove it or correct its spelling"
    if problem["type"] == "missing":
        return "missing; add it"
    return f"{problem['msg']} (got {problem['input']!r})"


def load_params(path: Path) -> Params:
    """Read a params file; relative paths in it are meant from its folder.

    Raises:
        SettingsError: the file is missing, is not YAML, or does not fit.
    """
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise SettingsError(f"no params file at {path}; `neuroinspect init` writes one") from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SettingsError(f"{path} cannot be read as YAML: {error}") from error
    return anchor(parse_params(values, source=str(path)), path.resolve().parent)


def anchor(params: Params, folder: Path) -> Params:
    """Params with every relative path made absolute, seen from `folder`."""

    def fixed(settings: Settings) -> dict[str, Path]:
        paths = {name: value for name, value in settings if isinstance(value, Path)}
        return {name: folder / value for name, value in paths.items()}

    return params.model_copy(
        update={
            "model": params.model.model_copy(update=fixed(params.model)),
            "data": params.data.model_copy(update=fixed(params.data)),
            "guide": params.guide.model_copy(update={"spec": _anchored_guide(params.guide.spec, folder)}),
            "runs": folder / params.runs,
        }
    )


def _anchored_guide(spec: str | None, folder: Path) -> str | None:
    """`open_clip:NAME/FILE` with the file seen from `folder`, where it is there; what follows NAME may be a tag as well."""
    start, slash, weights = (spec or "").partition("/")
    if start.startswith("open_clip:") and weights and (folder / weights).is_file():
        return f"{start}{slash}{folder / weights}"
    return spec
