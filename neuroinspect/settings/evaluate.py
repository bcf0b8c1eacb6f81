"""How the edit is judged and reported."""

from pydantic import Field

from neuroinspect.settings.base import Settings


class EvaluateSettings(Settings):
    """Judging the edit (docs/method.md section 8)."""

    bootstrap: int = Field(default=2000, ge=100)
    confidence: float = Field(default=0.95, gt=0.5, lt=1)
    minimum_effect: float = Field(
        default=0.005, ge=0, description="smallest gain in AUROC beyond the controls that is claimed"
    )


class ReportSettings(Settings):
    """The page at the end."""

    title: str = "NeuroInspect report"
    mistakes_shown: int = Field(default=12, ge=0)
