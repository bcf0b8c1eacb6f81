"""What was expected of the data, and whether it holds: a section of the report, and a page that lists everything."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from neuroinspect.artifacts import STAGES, RunFolder, read_json
from neuroinspect.report.environment import environment

PAGE: Final = "../checks/data_docs/index.html"  # seen from report/report.html
TABLES: Final[Mapping[str, str]] = {
    "validate": "the pictures and their splits",
    "extract": "features and predictions",
    "diagnose": "the ranking of the neurons",
}


@dataclass(frozen=True, slots=True)
class Expectation:
    """One line of the page.

    Attributes:
        holds: whether it does.
        table: what it is about.
        meaning: a sentence that says what should hold.
        kind: name of the expectation in great-expectations, with the columns.
        found: what came instead, or what was counted; "" where there is nothing to say.
    """

    holds: bool
    table: str
    meaning: str
    kind: str
    found: str


@dataclass(frozen=True, slots=True)
class StageChecks:
    """The expectations on what one stage left."""

    stage: str
    about: str
    expectations: tuple[Expectation, ...]

    @property
    def failed(self) -> tuple[Expectation, ...]:
        """Those that do not hold."""
        return tuple(each for each in self.expectations if not each.holds)

    @property
    def held(self) -> int:
        """How many hold."""
        return len(self.expectations) - len(self.failed)


def read_checks(run: RunFolder) -> dict[str, dict[str, Any]]:
    """checks/<stage>.json by stage, in the order of the chain; left out where the stage was made anew since.

    Raises:
        ArtifactError: a file is damaged.
    """
    records = {}
    for stage in STAGES:
        path, finished = run.root / "checks" / f"{stage}.json", run.stage_record(stage)
        if path.exists() and finished is not None:
            record = read_json(path)
            if record.get("inputs_hash") == finished["inputs_hash"]:
                records[stage] = dict(record)
    return records


def stage_checks(records: Mapping[str, Mapping[str, Any]]) -> list[StageChecks]:
    """The records as lines to show."""
    return [
        StageChecks(stage, TABLES.get(stage, stage), tuple(_line(each) for each in record["expectations"]))
        for stage, record in records.items()
    ]


def render_checks(records: Mapping[str, Mapping[str, Any]]) -> str:
    """The page that lists every expectation; it asks nothing of the network, and the same records give the same bytes."""
    stages = stage_checks({stage: records[stage] for stage in STAGES if stage in records})
    return environment().get_template("checks.html.j2").render(stages=stages)


def _line(each: Mapping[str, Any]) -> Expectation:
    columns = ", ".join(each["columns"])
    kind = f"{each['expectation']} ({columns})" if columns else str(each["expectation"])
    return Expectation(bool(each["success"]), each["table"], each["meaning"], kind, _found(each))


def _found(each: Mapping[str, Any]) -> str:
    if each["problem"] is not None:
        return f"it cannot be judged: {each['problem']}"
    rows: Sequence[Mapping[str, Any]] = each["unexpected_rows"]
    if each["unexpected_count"]:
        named = "; ".join(_named(row) for row in rows)
        more = each["unexpected_count"] - len(rows)
        count = f"{each['unexpected_count']:,} row{'' if each['unexpected_count'] == 1 else 's'}"
        return f"{count}: {named}" + (f"; and {more:,} more" if more > 0 else "")
    observed = each["observed"]
    return f"{observed:,} rows" if isinstance(observed, int) else "" if observed is None else str(observed)


def _named(row: Mapping[str, Mapping[str, Any]]) -> str:
    name, values = (
        ", ".join(f"{name} {_short(value)}" for name, value in row[part].items()) for part in ("row", "values")
    )
    return f"{name} ({values})" if values else name


def _short(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
