"""great-expectations between the stages: what a stage left is judged once, and a failing expectation stops the run.

The results lie beside the stage folders, in `checks/<stage>.json`, and as a page in `checks/data_docs/`. The page is ours:
Data Docs as great-expectations draws them load their styles, icons and scripts from nine hosts and are bare text without
a network (no mark says what failed), hold clocks, take 4 MB, and show only the stage that was judged last.
"""

import hashlib
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from neuroinspect.artifacts import RunFolder, content_hash, read_json, write_bytes, write_json
from neuroinspect.errors import ArtifactError, DataCheckError
from neuroinspect.settings import ChecksSettings

if TYPE_CHECKING:
    from neuroinspect.report.checks import StageChecks

CHECKS_VERSION: Final = 1  # raise it when the suites change: what is judged already is then judged again
_ROWS_NAMED: Final = 10
_JUDGED: Final[Mapping[str, tuple[str, ...]]] = {
    "validate": ("validate/stage.json", "validate/manifest.parquet", "validate/quarantine.csv"),
    "extract": (
        "extract/stage.json",
        "extract/samples.*.parquet",
        "extract/features.*.npy",
        "validate/manifest.parquet",
    ),
    "diagnose": ("diagnose/stage.json", "diagnose/neurons.parquet", "extract/stage.json"),
}


class GxValidator:
    """A DataValidator whose suites stand in code; see gx_suites."""

    def check(self, run: Path, stage: str, thresholds: ChecksSettings) -> None:
        """Judge the tables of a stage; nothing where the same files passed under the same thresholds before.

        Args:
            run: the run folder.
            stage: "validate", "extract" or "diagnose", finished.
            thresholds: section `checks` of the params.

        Raises:
            DataCheckError: an expectation does not hold; the message names it and the rows.
            StageOrderError: the stage has not run.
            ArtifactError: a file of it is damaged.
            RunFolderError: the results cannot be written.
        """
        folder = RunFolder(run)
        path, key = run / "checks" / f"{stage}.json", _key(folder, stage, thresholds)
        if _has_passed(path, key):
            return
        path.unlink(missing_ok=True)  # what it says is not known any more, also when this process is killed
        # Loaded here: the report package brings matplotlib.
        from neuroinspect.report.checks import read_checks, render_checks, stage_checks

        found = _judge(folder, stage, thresholds)
        record = {
            "stage": stage,
            "key": key,
            "inputs_hash": folder.upstream_hash(stage),
            "success": all(each["success"] for each in found),
            "expectations": found,
        }
        page = render_checks({**read_checks(folder), stage: record})
        write_bytes(run / "checks" / "data_docs" / "index.html", page.encode())
        write_json(path, record)
        if not record["success"]:
            raise DataCheckError(_message(run, stage_checks({stage: record})[0]))


def _key(run: RunFolder, stage: str, thresholds: ChecksSettings) -> str:
    run.require(stage)
    files = sorted(file for pattern in _JUDGED[stage] for file in run.root.glob(pattern))
    hashes = {file.relative_to(run.root).as_posix(): _sha256(file) for file in files}
    return content_hash(
        {"version": CHECKS_VERSION, "stage": stage, "files": hashes, "thresholds": thresholds.model_dump(mode="json")}
    )


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ArtifactError(f"{path} cannot be read: {error.strerror or error}") from error


def _has_passed(path: Path, key: str) -> bool:
    try:
        record = read_json(path)
    except ArtifactError:
        return False
    return bool(record.get("success")) and record.get("key") == key


def _judge(run: RunFolder, stage: str, thresholds: ChecksSettings) -> list[dict[str, Any]]:
    """Every expectation of a stage with its result, in the order of the suites."""
    import great_expectations as gx
    from great_expectations.data_context.types.base import (
        DataContextConfig,
        InMemoryStoreBackendDefaults,
        ProgressBarsConfig,
    )

    from neuroinspect.adapters.gx_suites import SUITES

    context = gx.get_context(
        mode="ephemeral",
        project_config=DataContextConfig(
            store_backend_defaults=InMemoryStoreBackendDefaults(init_temp_docs_sites=False),
            progress_bars=ProgressBarsConfig(globally=False),
            analytics_enabled=False,
        ),
    )
    frames = context.data_sources.add_pandas("run folder")
    found = []
    for number, suite in enumerate(SUITES[stage](run, thresholds)):
        asset = frames.add_dataframe_asset(f"{number} {suite.table}")
        batch = asset.add_batch_definition_whole_dataframe("all").get_batch({"dataframe": suite.rows})
        for place, expectation in enumerate(suite.expectations):
            expectation.meta = {**expectation.meta, "place": place}
        judged = batch.validate(
            gx.ExpectationSuite(name=suite.table, expectations=suite.expectations),
            result_format={
                "result_format": "COMPLETE",
                "unexpected_index_column_names": list(suite.named_by),
            },
        )
        # The results come in an order of their own.
        found += [
            {"table": suite.table, **_result(result, suite.named_by)} for result in sorted(judged.results, key=_place)
        ]
    return found


def _place(result: Any) -> int:
    return int(result.expectation_config.meta["place"])


def _result(result: Any, named_by: tuple[str, ...]) -> dict[str, Any]:
    """A result as JSON: rows and values of what is unexpected only where the expectation fails."""
    config = result.expectation_config
    values = {name: value for name, value in config.kwargs.items() if name != "batch_id"}
    columns = [values[name] for name in ("column", "column_A", "column_B") if name in values]
    details = {} if result.success else result.result
    rows = details.get("unexpected_index_list") or []
    return {
        "expectation": config.type,
        "meaning": config.meta["meaning"],
        "columns": columns or list(values.get("column_list", ())),
        "arguments": _plain(values),
        "success": bool(result.success),
        "observed": _plain(result.result.get("observed_value")),
        "unexpected_count": int(details.get("unexpected_count") or 0),
        "unexpected_rows": [_row(row, named_by) for row in rows[:_ROWS_NAMED]],
        "problem": None if result.success else _problem(result.exception_info),
    }


def _row(row: Mapping[str, Any], named_by: tuple[str, ...]) -> dict[str, Any]:
    """What names a row, and what is wrong in it."""
    return {
        "row": {name: _plain(row[name]) for name in sorted(named_by)},
        "values": {name: _plain(row[name]) for name in sorted(row.keys() - set(named_by))},
    }


def _problem(info: Any) -> str | None:
    """Why an expectation could not be judged at all, such as a column of another type."""
    if not isinstance(info, Mapping):
        return None
    each = [info] if "exception_message" in info else [one for one in info.values() if isinstance(one, Mapping)]
    return next((str(one["exception_message"]) for one in each if one.get("exception_message")), None)


def _plain(value: Any) -> Any:
    """A value as JSON takes it: numbers of numpy become those of Python, what is not finite becomes text."""
    if isinstance(value, Mapping):
        return {str(name): _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple | set):
        return [_plain(each) for each in value]
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value if isinstance(value, str | int | float | bool) or value is None else str(value)


def _message(run: Path, checks: "StageChecks") -> str:
    lines = [
        f"{len(checks.failed)} of the {len(checks.expectations)} expectations on what `{checks.stage}` left do not hold:",
        *(
            f"  {each.table}: expected that {each.meaning} [{each.kind}]"
            + (f"; got {each.found}" if each.found else "")
            for each in checks.failed
        ),
        f"{run / 'checks' / 'data_docs' / 'index.html'} lists them all. Correct the data, or the thresholds in the section "
        f"`checks` of the params; where files of {run / checks.stage} were changed, delete that folder to make it anew.",
    ]
    return "\n".join(lines)
