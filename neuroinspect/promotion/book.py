"""What a promotion asks of the outside world: the trail, which is the truth, and the registry, which follows it."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from neuroinspect.promotion.facts import Answer, Version
from neuroinspect.promotion.record import Promotion


class PromotionBook(Protocol):
    """The trail of every model, append-only; every method raises OutsideError where it cannot be used."""

    def models(self) -> Sequence[str]:
        """The models that have a trail."""
        ...

    def trail(self, model: str) -> Sequence[Promotion]:
        """All entries of a model, the oldest first."""
        ...

    def append(self, entry: Promotion) -> Promotion:
        """Keep an entry, with the time; its number says which entry it follows.

        Raises:
            PromotionConflictError: another entry has that number; the message names who was faster.
            ReviewError: name or reason are no plain text.
        """
        ...

    def answer(self, request: str) -> Answer | None:
        """What stands on a review now; None where the store does not know it, or nobody has decided."""
        ...


class VersionShelf(Protocol):
    """The registry; every method raises OutsideError where it cannot be reached."""

    def version(self, name: str, which: str) -> Version:
        """One version, by its number or by an alias.

        Raises:
            ModelSpecError: there is no such model, version or alias.
        """
        ...

    def metrics(self, version: Version) -> Any:
        """What the evaluate/metrics.json holds by which a version was judged, as the registry's runs keep it.

        Raises:
            PromotionError: there is none, or it is not the one the version was registered with.
        """
        ...

    def pointed(self, name: str) -> Mapping[str, int]:
        """The version each alias of a model stands for; none where there is no such model."""
        ...

    def point(self, name: str, aliases: Mapping[str, int | None]) -> Mapping[str, int]:
        """Let each alias stand for a version, or for nothing where that is None; what is so already is left alone.

        Returns:
            What all aliases of the model stood for until then.
        """
        ...
