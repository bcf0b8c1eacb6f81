"""A store with a champion and a candidate that every rule lets pass, and ways to spoil the candidate."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from neuroinspect.adapters.mlflow_promotion import MlflowShelf
from neuroinspect.adapters.mlflow_registry import MlflowRegistry
from neuroinspect.adapters.mlflow_tracker import MlflowTracker
from neuroinspect.adapters.sql_promotions import SqlPromotions
from neuroinspect.adapters.sql_reviews import SqlReviews
from neuroinspect.artifacts import read_json, read_tensors, write_json, write_tensors
from neuroinspect.machinery import Machinery
from neuroinspect.ports import RegisteredVersion
from neuroinspect.promotion import Policy, Promotions
from neuroinspect.settings import Params

NAME = "neuroinspect.demo.backbone.scene_net-classifier"
METHOD = "cue_erasure"
GAINS = {"worst_class": 0.3, "class_auroc": 0.05, "average": 0.02, "class_accuracy": 0.3, "cross_cue_auroc": 0.05}
Spoil = Callable[[dict[str, Any]], None]


def desk_of(machinery: Machinery, policy: Policy | None = None) -> Promotions:
    return Promotions(SqlPromotions(machinery.review_store), MlflowShelf(machinery), policy or Policy())


def good_run(finished: Path, folder: Path, *, spoil: Spoil | None = None, by: str = "ada") -> Path:
    """A copy of a finished run in which a person approved, and cue erasure was recommended and helped beyond its controls."""
    shutil.copytree(finished, folder)
    decision = read_json(folder / "review" / "decision.json")
    write_json(folder / "review" / "decision.json", {**decision, "by": by, "unverified": by == "auto", "rule": None})
    edit, stage = read_json(folder / "edit" / "edit.json"), read_json(folder / "edit" / "stage.json")
    write_json(folder / "edit" / "edit.json", {**edit, "recommended": METHOD})
    stage["summary"]["recommended"] = METHOD
    write_json(folder / "edit" / "stage.json", stage)
    layers = read_tensors(folder / "edit" / "layers.safetensors")
    layer = {part: layers[f"{METHOD}.{part}"] for part in ("weight", "bias")}
    write_tensors(folder / "edit" / "decision_layer.safetensors", layer)
    metrics = read_json(folder / "evaluate" / "metrics.json")
    split = metrics["splits"]["judge"]
    rows = {row["name"]: row for row in split["rows"]}
    for one in split["differences"]:
        if one["name"] == METHOD:
            gain = GAINS[one["metric"]]
            one |= {"value": gain, "low": gain / 2, "high": 2 * gain}
    rows[METHOD]["per_class"] = {
        name: {**cell, "value": min(1.0, cell["value"] + 0.1)} for name, cell in rows["original"]["per_class"].items()
    }
    metrics["recommended"] = METHOD
    if spoil is not None:
        spoil(metrics)
    (folder / "evaluate" / "metrics.json").write_text(json.dumps(metrics))
    return folder


def register(machinery: Machinery, run: Path, params: Params) -> RegisteredVersion:
    """Register a run; where a person decided, the review store knows it as well."""
    request, decision = (read_json(run / "review" / f"{name}.json") for name in ("request", "decision"))
    reviews = SqlReviews(machinery.review_store)
    reviews.open(request, run=run)
    if not decision["unverified"] and reviews.decision(request["id"]) is None:
        reviews.decide(decision)
    tracked = MlflowTracker(machinery).track(run, params)
    made = MlflowRegistry(machinery).register(run, params, tracked=tracked)
    assert made is not None
    return made


def baseline(machinery: Machinery, run: Path, params: Params) -> RegisteredVersion:
    data = read_json(run / "run.json")["data_version"]
    return MlflowRegistry(machinery).register_untouched(params, data_version=data, by="ada")
