"""Under which version DVC keeps the data."""

from pathlib import Path


class DvcRevision:
    """A RevisionReader over the DVC repository a path lies in."""

    def revision(self, path: Path) -> str | None:
        """The version of a file or folder, see the port."""
        raise NotImplementedError(path)

    def pull(self, path: Path) -> None:
        """Bring a file or folder, see the port."""
