"""What is debugged every night, and when a night has something new to ask."""

from pydantic import Field

from neuroinspect.settings.base import Settings


class NightlySettings(Settings):
    """The flow `nightly` (docs/nightly.md). Nothing of it changes a figure of a run, so it stands in no run's record."""

    model: str | None = Field(
        default=None,
        pattern=r"^models:/[^/@:]+(@[\w-]+|/\d+)$",
        description="of the registry, such as models:/NAME@champion; none: `model` of this file",
    )
    classes: int = Field(default=3, ge=1, description="this many of the worst classes that have mistakes are debugged")
    stability: float = Field(
        default=0.8,
        ge=0,
        le=1,
        description="share of the resamples of the mistakes in which a candidate must come back to be worth a question",
    )
    resamples: int = Field(default=200, ge=1, description="bootstrap draws of the mistakes of a class")
