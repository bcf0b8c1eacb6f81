"""Try edits of candidates ahead of the review. No stage needs it, and it fills in no decision."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from neuroinspect.artifacts import RunFolder, StageResult, read_json, read_table, run_stage, write_json
from neuroinspect.editing.problem import make_problem
from neuroinspect.editing.suggest import Suggestions, suggest_neurons
from neuroinspect.errors import ReviewError
from neuroinspect.ports import Progress, silent
from neuroinspect.settings import Params
from neuroinspect.stages.edit import read_split
from neuroinspect.stages.models import classifier_of_run

STAGE_VERSION = 1


def suggest(run: RunFolder, params: Params, *, progress: Progress = silent) -> StageResult:
    """Write suggest/suggest.json: what an edit of candidates, their families and a union of them gives on the select split.

    Raises:
        StageOrderError: diagnose has not run.
        ReviewError: there is no candidate.
        SettingsError: `suggest.method` is unknown, or edits no neurons.
        EvidenceError: the method refuses every set.
    """
    diagnosis = run.require("diagnose")
    summary = read_json(diagnosis / "stage.json")["summary"]
    if summary["status"] == "nothing_to_explain":
        raise ReviewError(f"class {summary['class']!r} has no mistakes; there is nothing to suggest")
    classifier = classifier_of_run(run, params)
    inputs = {
        "extract": run.upstream_hash("extract"),
        "diagnose": run.upstream_hash("diagnose"),
        "model": classifier.fingerprint,
        "settings": params.suggest.model_dump(mode="json"),
        "edit": params.edit.model_dump(mode="json"),
        "seed": params.seed,
    }

    def compute(folder: Path) -> Mapping[str, Any]:
        problem = make_problem(
            read_split(run, "train"), read_split(run, "select"), classifier.decision_layer, neurons={}
        )
        found = suggest_neurons(
            problem,
            read_candidates(run),
            params.suggest,
            class_index=summary["class_index"],
            edit_settings=params.edit,
            seed=params.seed,
            progress=progress,
        )
        record = {"class": summary["class"], "method": params.suggest.method, "diagnose": inputs["diagnose"]}
        write_json(folder / "suggest.json", record | _record(found))
        return {"class": summary["class"], "sets": len(found.sets), "refused": len(found.refused)}

    return run_stage(run, "suggest", version=STAGE_VERSION, inputs=inputs, compute=compute)


def read_candidates(run: RunFolder) -> list[int]:
    """Neurons the diagnosis named: insufficient ones first, the most voted first.

    Raises:
        StageOrderError: diagnose has not run.
        ArtifactError: its table is missing or damaged.
    """
    table = read_table(run.require("diagnose") / "neurons.parquet")
    neurons = table.sort_values(["vote_share", "neuron"], ascending=[False, True])
    insufficient = neurons["direction"] != "excessive"
    return [int(neuron) for part in (insufficient, ~insufficient) for neuron in neurons[part]["neuron"]]


def _record(found: Suggestions) -> dict[str, Any]:
    return {
        "original": asdict(found.original),
        "sets": [
            {
                "neurons": list(one.neurons),
                "kind": one.kind,
                **asdict(one.figures),
                "auroc_gain": one.auroc_gain,
                "eligible": one.eligible,
            }
            for one in found.sets
        ],
        "refused": [{"neurons": list(neurons), "reason": reason} for neurons, reason in found.refused.items()],
    }
