"""great-expectations between the stages."""

from pathlib import Path

from neuroinspect.settings import ChecksSettings


class GxValidator:
    """A DataValidator whose suites stand in code."""

    def check(self, run: Path, stage: str, thresholds: ChecksSettings) -> None:
        """Judge the table of a stage, see the port."""
