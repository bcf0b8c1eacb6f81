"""Which text guide steers the illusions."""

from pathlib import Path

from pydantic import Field

from neuroinspect.settings.base import Settings


class GuideSettings(Settings):
    """Which text guide steers the illusions; without one they follow the classifier alone (eq. 2)."""

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
    templates_file: Path | None = Field(
        default=None, description="file with templates, one a line, # before a comment; takes the place of `templates`"
    )
    class_texts: dict[str, str] = Field(
        default={}, description="what to call a class in the text, where its name is not a word"
    )
    vocabulary: Path | None = Field(
        default=None,
        description="file with words to name neurons with, one a line; none: those the guide knows, or a list of plain words",
    )
