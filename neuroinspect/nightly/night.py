"""A night: the classes it debugs, and what came of each."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from neuroinspect.artifacts import RunFolder, content_hash, read_json
from neuroinspect.nightly.news import News
from neuroinspect.settings import ModelSettings, Params


@dataclass(frozen=True, slots=True)
class ClassNight:
    """What a night made of one class.

    Attributes:
        name: of the class.
        run: its run folder.
        status: "asked": a review is open; "nothing_new"; "nothing_to_explain": it has no mistakes; "failed".
        review: id of the review it opened, or None.
        news: what was new; None where it did not come that far.
        problem: why it failed, in words.
    """

    name: str
    run: Path
    status: Literal["asked", "nothing_new", "nothing_to_explain", "failed"]
    review: str | None = None
    news: News | None = None
    problem: str | None = None

    @property
    def sentence(self) -> str:
        """What it comes to, in words."""
        if self.status == "failed":
            return f"failed: {self.problem}"
        return "no mistakes to explain" if self.news is None else self.news.sentence


@dataclass(frozen=True, slots=True)
class Night:
    """One night.

    Attributes:
        key: equal for the same night of the same model on the same data, however often it is tried.
        date: on which it was planned, YYYY-MM-DD.
        folder: the run folder that holds what the classes share.
        model: which model it was, readable.
        classes: those debugged, the worst first.
    """

    key: str
    date: str
    folder: Path
    model: str
    classes: tuple[ClassNight, ...]

    @property
    def failed(self) -> tuple[ClassNight, ...]:
        """The classes that failed."""
        return tuple(one for one in self.classes if one.status == "failed")


def nightly_params(params: Params) -> Params:
    """Params with the model that is looked at every night."""
    spec = params.nightly.model
    return params if spec is None else params.model_copy(update={"model": ModelSettings(spec=spec)})


def of_class(params: Params, class_name: str) -> Params:
    """Params that debug one class."""
    return params.model_copy(update={"diagnose": params.diagnose.model_copy(update={"target": class_name})})


def night_key(night: RunFolder, date: str) -> str:
    """Equal for the same night of the same model on the same pictures.

    Raises:
        StageOrderError: the night has no finished extract.
    """
    found = read_json(night.require("extract") / "stage.json")
    return content_hash({"date": date, "extract": found["inputs_hash"]})


def worst_classes(night: RunFolder, *, count: int) -> list[str]:
    """The classes with the lowest accuracy on select that have mistakes, the worst first; ties as `metrics.worst_class`.

    Raises:
        StageOrderError: the night has no finished extract.
    """
    performance = read_json(night.require("extract") / "performance.json")
    cells = performance["splits"]["select"]["per_class"]
    known = [
        (cell["accuracy"], round(cell["count"] * (cell["accuracy"] - 1)), place, name)
        for place, name in enumerate(performance["classes"])
        if (cell := cells[name])["accuracy"] is not None and cell["accuracy"] < 1
    ]
    return [name for *_, name in sorted(known)[:count]]
