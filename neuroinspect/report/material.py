"""Everything the page is made from, read from a run folder; parts that the run does not have come out empty."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from neuroinspect.artifacts import STAGES, RunFolder, read_json, read_table
from neuroinspect.report.checks import read_checks
from neuroinspect.report.provenance import installed_versions, skipped_stages
from neuroinspect.settings import Params


@dataclass(frozen=True, slots=True, eq=False)
class Material:
    """What the stages before the report left.

    Attributes:
        params: the settings of the run.
        data_root: folder the paths of pictures are relative to.
        visualized: folder of the pictures drawn for the neurons, or None.
        performance: the original classifier on every split (extract/performance.json).
        diagnosis: summary of the diagnose stage; {} where there is none.
        mistakes: diagnose/mistakes.parquet; may be empty.
        neurons: diagnose/neurons.parquet; may be empty.
        illusions: visualize/illusions.parquet; may be empty.
        real: visualize/real.parquet; may be empty.
        names: visualize/names.parquet, a word for each neuron; empty without a text guide.
        decision: review/decision.json, or None.
        edit: edit/edit.json.
        metrics: evaluate/metrics.json.
        retest: evaluate/retest.json; {} where there is none.
        suggestions: suggest/suggest.json, where sets of candidates were tried for this diagnosis; or None.
        fingerprint: SHA-256 of the classifier, or None where no stage noted it.
        data_version: version of the data, or None where no stage noted it.
        versions: package -> version the run was computed with; what is installed now where run.json does not say.
        warnings: what validate and diagnose warned of.
        quarantined: files of the data that were left out.
        checks: stage -> checks/<stage>.json, in the order of the chain; {} where the data were not checked.
        hashes: stage -> hash of its inputs, in the order of the chain.
    """

    params: Params
    data_root: Path
    visualized: Path | None
    performance: Mapping[str, Any]
    diagnosis: Mapping[str, Any]
    mistakes: pd.DataFrame
    neurons: pd.DataFrame
    illusions: pd.DataFrame
    real: pd.DataFrame
    names: pd.DataFrame
    decision: Mapping[str, Any] | None
    edit: Mapping[str, Any]
    metrics: Mapping[str, Any]
    retest: Mapping[str, Any]
    suggestions: Mapping[str, Any] | None
    fingerprint: str | None
    data_version: str | None
    versions: Mapping[str, str]
    warnings: Sequence[str]
    quarantined: int
    checks: Mapping[str, Mapping[str, Any]]
    hashes: Mapping[str, str]

    @property
    def class_name(self) -> str | None:
        """The class under study, or None on a clean model."""
        name = self.metrics.get("class") or self.diagnosis.get("class")
        return None if name is None else str(name)

    @property
    def chosen(self) -> frozenset[int]:
        """Neurons of the class that the decision names."""
        if self.decision is None or self.decision.get("verdict") != "approved":
            return frozenset()
        named = self.decision.get("neurons", {})
        return frozenset(int(neuron) for neuron in named.get(self.class_name, ()))


def read_material(run: RunFolder, params: Params, *, data_root: Path) -> Material:
    """Read a run folder whose evaluate stage is finished.

    Raises:
        StageOrderError: extract, edit or evaluate is missing.
        ArtifactError: a file is damaged.
    """
    extract, edit, evaluate = run.require("extract"), run.require("edit"), run.require("evaluate")
    skipped = skipped_stages(run)
    records = {stage: run.stage_record(stage) for stage in STAGES if stage not in {"report", *skipped}}
    summaries = {stage: record.get("summary", {}) for stage, record in records.items() if record is not None}
    request, decision = (
        None if skipped else _json(run.stage("review") / name) for name in ("request.json", "decision.json")
    )
    provenance = _json(run.root / "run.json") or {}
    noted = [provenance.get("model", {}), provenance, request or {}, *summaries.values()]
    diagnose, visualize = run.stage("diagnose"), run.stage("visualize")
    return Material(
        params=params,
        data_root=data_root,
        visualized=visualize if "visualize" in summaries else None,
        performance=read_json(extract / "performance.json"),
        diagnosis=summaries.get("diagnose", {}),
        mistakes=_table(diagnose / "mistakes.parquet"),
        neurons=_table(diagnose / "neurons.parquet"),
        illusions=pd.DataFrame() if skipped else _table(visualize / "illusions.parquet"),
        real=pd.DataFrame() if skipped else _table(visualize / "real.parquet"),
        names=pd.DataFrame() if skipped else _table(visualize / "names.parquet"),
        decision=decision,
        edit=read_json(edit / "edit.json"),
        metrics=read_json(evaluate / "metrics.json"),
        retest=_json(evaluate / "retest.json") or {},
        suggestions=None if skipped else suggestions_of(run),
        fingerprint=_first(noted, "fingerprint") or _first(noted, "model"),
        data_version=_first(noted, "data_version"),
        versions=provenance.get("versions") or installed_versions(),
        warnings=[
            str(text) for stage in ("validate", "diagnose") for text in summaries.get(stage, {}).get("warnings", [])
        ],
        quarantined=int(summaries.get("validate", {}).get("quarantined", 0)),
        checks=read_checks(run),
        hashes={stage: str(record["inputs_hash"]) for stage, record in records.items() if record is not None},
    )


def suggestions_of(run: RunFolder) -> dict[str, Any] | None:
    """suggest/suggest.json where it was made for the diagnosis that stands, or None.

    Raises:
        ArtifactError: a file is damaged.
    """
    found, diagnosis = _json(run.stage("suggest") / "suggest.json"), run.stage_record("diagnose")
    answers = found is not None and diagnosis is not None and found["diagnose"] == diagnosis["inputs_hash"]
    return found if answers else None


def _json(path: Path) -> dict[str, Any] | None:
    return dict(read_json(path)) if path.exists() else None


def _table(path: Path) -> pd.DataFrame:
    return read_table(path) if path.exists() else pd.DataFrame()


def _first(records: list[dict[str, Any]], key: str) -> str | None:
    return next((record[key] for record in records if isinstance(record.get(key), str)), None)
