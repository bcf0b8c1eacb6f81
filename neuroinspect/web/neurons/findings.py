"""What a run folder knows of the neurons of one review: its tables, read once and kept while the folder stays the same."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Final, TypeVar

import pandas as pd

from neuroinspect.artifacts import RunFolder, read_array, read_table
from neuroinspect.errors import FeaturesError, RunFolderError
from neuroinspect.ranking import vote_shares
from neuroinspect.report.material import suggestions_of
from neuroinspect.review import ReviewRequest
from neuroinspect.settings import DiagnoseSettings
from neuroinspect.web.desk import OpenReview

_STAGES: Final = ("extract", "diagnose", "visualize", "suggest")
_KEPT: Final = 8
Line = Mapping[str, Any]
Answer = TypeVar("Answer")
log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Findings:
    """The tables of a run folder about the class of a review; what cannot be read comes out empty, with a problem noted.

    Attributes:
        root: the run folder; None where none is left.
        settings: how the mistakes voted; None where that is not known.
        diagnosis: summary of the diagnose stage.
        neurons: neuron to its joined lines in the tables of neurons, names and illusions; drawn ones have a `picture`.
        real: neuron to its real pictures, the strongest first.
        mistakes: the misclassified pictures, in the order of the shifts.
        tried: suggest/suggest.json; None where sets of candidates were not tried.
        fits: whether the folder still shows the candidates of the review.
        problems: what could not be read.
    """

    root: Path | None
    settings: DiagnoseSettings | None
    diagnosis: Line = field(default_factory=dict)
    neurons: Mapping[int, Line] = field(default_factory=dict)
    real: Mapping[int, Sequence[Line]] = field(default_factory=dict)
    mistakes: Sequence[Line] = ()
    tried: Line | None = None
    fits: bool = False
    problems: tuple[str, ...] = ()

    @property
    def visualized(self) -> Path | None:
        """Folder of the pictures."""
        return None if self.root is None else RunFolder(self.root).stage("visualize")

    @cached_property
    def voters(self) -> Mapping[int, Sequence[tuple[int, float]]]:
        """Neuron to (place in `mistakes`, shift) of each mistake that had it in its top k, the largest shift first."""
        if self.root is None or self.settings is None or not self.mistakes:
            return {}
        try:
            shifts = read_array(RunFolder(self.root).stage("diagnose") / "shifts.npy")
            if len(shifts) != len(self.mistakes):
                return {}
            found: dict[int, list[tuple[int, float]]] = {}
            for place, shift in enumerate(shifts):
                one = vote_shares(shift[None], top_k=self.settings.top_k, strict_sign=self.settings.strict_sign)
                for neuron in (one.insufficient + one.excessive).nonzero()[0]:
                    found.setdefault(int(neuron), []).append((place, float(shift[neuron])))
        except (RunFolderError, FeaturesError) as error:
            log.warning("the page cannot say which mistakes rank which neurons: %s", error)
            return {}
        return {neuron: sorted(votes, key=lambda vote: -abs(vote[1])) for neuron, votes in found.items()}

    @cached_property
    def mistake_rows(self) -> Mapping[int, Line]:
        """Row in the select split to its mistake."""
        return {int(mistake["row"]): mistake for mistake in self.mistakes}


def findings_of(opened: OpenReview) -> Findings:
    """What the run folder of a review knows of its class."""
    settings = None if opened.params is None else opened.params.diagnose
    if opened.run is None:
        return Findings(None, settings)
    request = opened.stored.request
    root = opened.run.root
    top = None if settings is None else settings.model_dump_json()
    return _read(root, tuple(map(_stamp, (root / stage / "stage.json" for stage in _STAGES))), top, request)


@lru_cache(maxsize=_KEPT)
def _read(root: Path, stamps: tuple[object, ...], settings: str | None, request: ReviewRequest) -> Findings:  # noqa: ARG001 (of the cache)
    run, problems = RunFolder(root), list[str]()

    def attempt(read: Callable[[], Answer], otherwise: Answer) -> Answer:
        try:
            return read()
        except (RunFolderError, KeyError, TypeError, ValueError) as error:
            log.warning("the page goes without a part of %s: %s", root, error)
            problems.append(
                str(error) if isinstance(error, RunFolderError) else f"a table of {root} is not as expected"
            )
            return otherwise

    def table(stage: str, name: str) -> pd.DataFrame:
        path = run.stage(stage) / name
        return attempt(lambda: read_table(path) if path.exists() else pd.DataFrame(), pd.DataFrame())

    record = attempt(lambda: run.stage_record("diagnose"), None)
    ranked = _of_class(table("diagnose", "neurons.parquet"), request.class_name)
    illusions = _of_class(table("visualize", "illusions.parquet"), request.class_name)
    real = _of_class(table("visualize", "real.parquet"), request.class_name)
    joined: dict[int, dict[str, Any]] = {}
    for part in (ranked, _lines(table("visualize", "names.parquet")), illusions):
        for line in part:
            joined.setdefault(int(line["neuron"]), {}).update(line)
    photos: dict[int, list[Line]] = {}
    for line in sorted(real, key=lambda line: int(line["rank"])):
        photos.setdefault(int(line["neuron"]), []).append(line)
    summary = (record or {}).get("summary")
    return Findings(
        root=root,
        settings=None if settings is None else DiagnoseSettings.model_validate_json(settings),
        diagnosis=summary if isinstance(summary, dict) and summary.get("class") == request.class_name else {},
        neurons=joined,
        real=photos,
        mistakes=_lines(table("diagnose", "mistakes.parquet")) if ranked else (),
        tried=attempt(lambda: suggestions_of(run), None),
        fits=_shows(ranked, request),
        problems=tuple(dict.fromkeys(problems)),
    )


def _shows(ranked: Sequence[Line], request: ReviewRequest) -> bool:
    """Whether the table of ranked neurons holds the candidates as they were asked about."""
    found = {(int(line["neuron"]), str(line["direction"]), float(line["vote_share"])) for line in ranked}
    return found == {(one.neuron, one.direction, one.vote_share) for one in request.candidates}


def _of_class(table: pd.DataFrame, name: str) -> list[dict[str, Any]]:
    return _lines(table[table["class"] == name]) if "class" in table else []


def _lines(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(key): value for key, value in line.items()} for line in table.to_dict("records")]


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns
