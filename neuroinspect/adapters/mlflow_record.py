"""What MLflow is to remember of a run: a parent, a child for each method and control, tables, files. No MLflow in here."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pandas as pd

from neuroinspect.adapters.mlflow_store import KEY, as_tags, model_name, shortened
from neuroinspect.artifacts import STAGES, RunFolder, content_hash, read_json, read_table
from neuroinspect.report.provenance import settings_without_folders, skipped_stages
from neuroinspect.review import Decision
from neuroinspect.settings import Params
from neuroinspect.stages.evaluate import FIGURES
from neuroinspect.stages.review import read_decision

_FIGURES: Final = {**FIGURES, "group_weighted_average": "group_weighted_accuracy"}
_LONGEST_PARAM: Final = 500
_ILLUSIONS: Final = 6
_TOLD_BY_CHILDREN: Final = ("run", "model", "class", "data_version", "request", "review", "unverified")
Table = Mapping[str, list[Any]]
"""`columns` and `data`, as MLflow keeps a table."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One run of MLflow."""

    name: str
    tags: Mapping[str, str]
    params: Mapping[str, str]
    metrics: Mapping[str, float]


@dataclass(frozen=True, slots=True, eq=False)
class RunRecord:
    """Everything that is remembered of one run folder.

    Attributes:
        parent: the run as a whole.
        children: by name, each method and control.
        tables: by name, tables that MLflow shows and compares.
        files: file or folder, and the folder of the artifacts it goes to.
        settings: all of them, whole.
        manifest: path, label, group, split and hash of every picture.
        manifest_hash: of the manifest.
        data_version: under which version the data is kept.
    """

    parent: Entry
    children: Mapping[str, Entry]
    tables: Mapping[str, Table]
    files: tuple[tuple[Path, str], ...]
    settings: Mapping[str, Any]
    manifest: pd.DataFrame
    manifest_hash: str
    data_version: str


def run_key(run: RunFolder, params: Params) -> str:
    """Hash by which a run is found again: its name, its stages, its decision and its settings.

    Model and data count by the hashes of the stages alone, so that `models:/NAME@alias` and what it stands for are one run.

    Raises:
        StageOrderError: the report is missing.
    """
    run.require("report")
    decision = _decision(run)
    records = {stage: run.stage_record(stage) for stage in STAGES if stage not in skipped_stages(run)}
    return content_hash(
        {
            "run": run.root.resolve().name,
            "stages": {stage: record["inputs_hash"] for stage, record in records.items() if record is not None},
            "decision": None if decision is None else decision.record(),
            "settings": _settings(params),
        }
    )


def name_of_model(run: RunFolder) -> str:
    """What the model of a run is called in MLflow.

    Raises:
        ArtifactError: run.json is missing or damaged.
    """
    model = read_json(run.root / "run.json")["model"]
    return model_name(spec=model["spec"], weights=model["weights"], origin=model["origin"])


def run_tags(run: RunFolder) -> dict[str, Any]:
    """Where a run comes from and what came of it, for the run and for the version made from it.

    Raises:
        StageOrderError: evaluate has not run.
        ArtifactError: a file of the run folder is missing or damaged.
    """
    provenance, judged = read_json(run.root / "run.json"), read_json(run.require("evaluate") / "stage.json")["summary"]
    edited = read_json(run.require("edit") / "stage.json")["summary"]
    drawn = None if "visualize" in skipped_stages(run) else run.stage_record("visualize")
    decision, model = _decision(run), provenance["model"]
    return {
        "run": run.root.resolve().name,
        "model": name_of_model(run),
        "class": edited["class"],
        "recommended": edited["recommended"],
        "verdict": judged["status"],
        "surely_better": judged["surely_better"],
        "data_version": provenance["data_version"],
        "model_spec": model["spec"],
        "model_origin": model["origin"],
        "model_fingerprint": edited["model"],
        "guide": provenance["guide"],
        "guide_fingerprint": None if drawn is None else drawn["summary"].get("guide"),
        "request": None if decision is None else decision.request,
        "review": None if decision is None else decision.verdict,
        "reviewer": None if decision is None else decision.by,
        "unverified": None if decision is None else decision.unverified,
        "review_note": None if decision is None else decision.note or None,
        "strength": decision.strength if decision is not None and decision.verdict == "approved" else None,
    }


def read_record(run: RunFolder, params: Params, *, page_of: Callable[[str], str] | None = None) -> RunRecord:
    """Read a run folder that has come to its report.

    Args:
        run: the run folder.
        params: settings of all stages.
        page_of: where a review is on the page, by its id; None where the page has no address that others can open.

    Raises:
        StageOrderError: the report is missing.
        ArtifactError: a file of the run folder is missing or damaged.
    """
    key, tags = run_key(run, params), run_tags(run)
    provenance = read_json(run.root / "run.json")
    edit, metrics = read_json(run.stage("edit") / "edit.json"), read_json(run.stage("evaluate") / "metrics.json")
    rows = {split: {row["name"]: row for row in judged["rows"]} for split, judged in metrics["splits"].items()}
    sides = {"before": "original", "after": edit["recommended"]}
    verdict, decision = metrics["verdict"], _decision(run)
    page = None if decision is None or page_of is None else page_of(decision.request)
    told = {name: tags[name] for name in _TOLD_BY_CHILDREN} | {"review_page": page}
    parent = Entry(
        name=f"{tags['run']} ({tags['class']})",
        tags=as_tags(
            {
                KEY: key,
                **tags,
                "review_page": page,
                **{f"version.{name}": version for name, version in provenance["versions"].items()},
                "mlflow.source.name": "neuroinspect",
                "mlflow.note.content": "\n\n".join(
                    [verdict["sentence"], *verdict["details"], *_where(decision, page), *_reason(decision)]
                ),
            }
        ),
        params=dict(_flat(_settings(params))),
        metrics={
            name: value
            for split, known in rows.items()
            for side, layer in sides.items()
            for name, value in _figures(known[layer], f"{split}/{side}/")
        },
    )
    return RunRecord(
        parent=parent,
        children={name: _child(name, parent, edit, metrics, told=told) for name in rows["judge"]},
        tables=_tables(rows, sides),
        files=tuple(_files(run)),
        settings=settings_without_folders(params),
        manifest=read_table(run.require("validate") / "manifest.parquet"),
        manifest_hash=provenance["manifest"],
        data_version=provenance["data_version"],
    )


def _decision(run: RunFolder) -> Decision | None:
    return None if "review" in skipped_stages(run) else read_decision(run)


def _where(decision: Decision | None, page: str | None) -> list[str]:
    """Which review it was, and a link to it where there is one; MLflow shows a description as markdown, and tags as text."""
    if decision is None:
        return []
    return [f"Review `{decision.request[:12]}`" + ("." if page is None else f": [on the review page](<{page}>).")]


def _reason(decision: Decision | None) -> list[str]:
    """Who decided what, and why, for the description of the run; the whole note is in review/decision.json beside it."""
    if decision is None:
        return []
    said = f"The review: {decision.verdict} by {decision.by}"
    if not decision.note.strip():
        return [f"{said}."]
    # As a block of code: what somebody writes is shown as it is, and is no markup.
    return [f"{said}:", "\n".join(f"    {line}" for line in decision.note.splitlines())]


def _settings(params: Params) -> dict[str, Any]:
    return {name: value for name, value in settings_without_folders(params).items() if name != "model"}


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in values.items():
        if isinstance(value, Mapping) and value and all(str(one).isidentifier() for one in value):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            yield f"{prefix}{name}", shortened(text, _LONGEST_PARAM)


def _figures(row: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, float]]:
    for figure, name in _FIGURES.items():
        yield from _estimate(row[figure], prefix + name)


def _estimate(estimate: Mapping[str, float] | None, name: str) -> Iterator[tuple[str, float]]:
    if estimate is not None:
        yield name, estimate["value"]
        yield f"{name}_low", estimate["low"]
        yield f"{name}_high", estimate["high"]


def _child(
    name: str, parent: Entry, edit: Mapping[str, Any], metrics: Mapping[str, Any], *, told: Mapping[str, Any]
) -> Entry:
    draws = [made for made in edit["methods"] if made == name or made.rpartition(".")[0] == name]
    first, count = edit["methods"][draws[0]], len(draws)
    figures: dict[str, float] = {}
    if "score" in first and count == 1:
        figures |= {f"select/{_FIGURES[figure]}": score for figure, score in first["score"].items()}
    for split, judged in metrics["splits"].items():
        row = next(row for row in judged["rows"] if row["name"] == name)
        figures |= _figures(row, f"{split}/")
        for one in judged["differences"]:
            if one["name"] == name:
                figures |= _estimate(one, f"{split}/{_FIGURES[one['metric']]}_over_{one['against']}")
    made = {**first["settings"], "neurons": first["neurons"]} if count == 1 else {"draws": count}
    return Entry(
        # With the parent's: side by side in a chart, children of several runs are told apart by nothing else.
        name=f"{first['title']}, {parent.name}",
        tags=as_tags(
            {
                KEY: f"{parent.tags[KEY]}:{name}",
                "method": name,
                "kind": first["kind"],
                **told,
                "recommended": edit["recommended"] == name,
            }
        ),
        params=dict(_flat(made)),
        metrics=figures,
    )


def _tables(rows: Mapping[str, Mapping[str, Any]], sides: Mapping[str, str]) -> dict[str, Table]:
    tables: dict[str, Table] = {}
    for what, cells in (("class", "per_class"), ("group", "per_group")):
        ends = ("value", "low", "high") if what == "class" else ("value",)
        columns = ["split", what, "count"]
        columns += [side if end == "value" else f"{side}_{end}" for side in sides for end in ends]
        data = [
            [split, cell, known["original"][cells][cell]["count"]]
            + [known[layer][cells][cell][end] for layer in sides.values() for end in ends]
            for split, known in rows.items()
            for cell in known["original"].get(cells) or ()
        ]
        if data:
            tables[f"per_{what}"] = {"columns": columns, "data": data}
    return tables


def _files(run: RunFolder) -> Iterator[tuple[Path, str]]:
    yield run.root / "run.json", ""
    skipped = skipped_stages(run)
    for name in ("validate/manifest.parquet", "review/request.json", "review/decision.json"):
        if Path(name).parent.name not in skipped:
            yield run.root / name, Path(name).parent.name
    yield run.stage("edit") / "edit.json", "edit"
    yield run.stage("evaluate") / "metrics.json", "evaluate"
    yield run.stage("report"), "report"
    yield run.root / "checks", "checks"
    drawn = run.stage("visualize")
    if "visualize" not in skipped and (drawn / "illusions.parquet").exists():
        table = read_table(drawn / "illusions.parquet").sort_values(["rank", "direction"], kind="stable")
        for picture in table["picture"].head(_ILLUSIONS):
            yield drawn / picture, f"illusions/{Path(picture).parent}"
