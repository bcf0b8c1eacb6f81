from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from neuroinspect.artifacts import RunFolder, read_array, read_json, read_table, read_tensors
from neuroinspect.errors import StageOrderError
from neuroinspect.settings import Params
from neuroinspect.stages.edit import edit
from neuroinspect.stages.evaluate import evaluate
from tests.stages.judged_run import CUE_NEURONS, judged_run, make_params, margin_auroc


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunFolder, Params, Mapping[str, Any]]:
    folder = tmp_path_factory.mktemp("evaluate")
    run, params = judged_run(folder), make_params(folder)
    edit(run, params)
    return run, params, read_json(evaluate(run, params).folder / "metrics.json")


def test_the_cue_is_named_from_the_training_groups(finished: tuple[RunFolder, Params, Mapping[str, Any]]) -> None:
    assert finished[2]["cue_group"] == "water"


def test_the_erasure_of_the_cue_is_found_and_helps(finished: tuple[RunFolder, Params, Mapping[str, Any]]) -> None:
    metrics = finished[2]
    assert metrics["verdict"]["status"] == "found_and_helped"
    rows = {row["name"]: row for row in metrics["splits"]["judge"]["rows"]}
    assert rows["cue_erasure"]["cross_cue_auroc"]["value"] > rows["retrain"]["cross_cue_auroc"]["value"] + 0.1
    assert rows["bias"]["class_auroc"]["value"] == rows["original"]["class_auroc"]["value"]


def test_a_figure_equals_the_slow_count_over_pairs(finished: tuple[RunFolder, Params, Mapping[str, Any]]) -> None:
    run, _, metrics = finished
    layers = read_tensors(run.stage("edit") / "layers.safetensors")
    features = torch.from_numpy(np.array(read_array(run.stage("extract") / "features.judge.npy")))
    labels = torch.tensor(read_table(run.stage("extract") / "samples.judge.parquet")["target"].to_numpy())
    for row in metrics["splits"]["judge"]["rows"]:
        if not row["name"].startswith("placebo."):
            expected = margin_auroc(layers[f"{row['name']}.weight"], layers[f"{row['name']}.bias"], features, labels)
            assert row["class_auroc"]["value"] == pytest.approx(expected, abs=1e-5)


def test_the_draws_of_a_placebo_are_one_row_with_their_range(
    finished: tuple[RunFolder, Params, Mapping[str, Any]],
) -> None:
    rows = [row for row in finished[2]["splits"]["judge"]["rows"] if row["name"].startswith("placebo.")]
    assert {row["name"] for row in rows} == {"placebo.ratio", "placebo.ablate_refit", "placebo.cue_erasure"}
    assert all(row["kind"] == "control" for row in rows)
    assert all(row["average"]["low"] <= row["average"]["value"] <= row["average"]["high"] for row in rows)


def test_the_summary_and_its_tables_repeat_the_metrics(
    finished: tuple[RunFolder, Params, Mapping[str, Any]],
) -> None:
    run, _, metrics = finished
    summary = read_json(run.stage("evaluate") / "summary.json")
    rows = {row["name"]: row for row in metrics["splits"]["judge"]["rows"]}
    assert summary["worst_class_accuracy_before"] == rows["original"]["worst_class"]["value"]
    assert summary["cross_cue_auroc_after"] == rows[metrics["recommended"]]["cross_cue_auroc"]["value"]
    methods = pd.read_csv(run.stage("evaluate") / "methods.csv").set_index("method")
    assert methods["class_auroc"].to_dict() == {row["title"]: row["class_auroc"]["value"] for row in rows.values()}
    classes = pd.read_csv(run.stage("evaluate") / "per_class.csv").set_index(["layer", "class"])["accuracy"]
    after = rows[metrics["recommended"]]["per_class"]
    assert classes["after"].to_dict() == {name: cell["value"] for name, cell in after.items()}


def test_confusions_count_every_sample(finished: tuple[RunFolder, Params, Mapping[str, Any]]) -> None:
    table = read_table(finished[0].stage("evaluate") / "confusion.judge.parquet")
    assert table.groupby("layer")["count"].sum().tolist() == [600] * table["layer"].nunique()


def test_an_evaluated_run_is_not_evaluated_again(finished: tuple[RunFolder, Params, Mapping[str, Any]]) -> None:
    run, params, _ = finished
    assert evaluate(run, params).reused


def test_other_votes_are_another_retest(tmp_path: Path) -> None:
    run, params = judged_run(tmp_path, verdict="rejected"), make_params(tmp_path)
    edit(run, params)
    evaluate(run, params)
    votes = params.model_copy(update={"diagnose": params.diagnose.model_copy(update={"top_k": 2})})
    assert not evaluate(run, votes).reused
    fewer = params.model_copy(update={"diagnose": params.diagnose.model_copy(update={"max_neurons": 2})})
    evaluate(run, params)
    assert evaluate(run, fewer).reused


def test_nothing_to_explain_is_the_verdict_of_a_class_without_mistakes(tmp_path: Path) -> None:
    run, params = judged_run(tmp_path, verdict=None, explained=False), make_params(tmp_path)
    edit(run, params)
    assert evaluate(run, params).summary["status"] == "nothing_to_explain"


def test_evaluate_before_edit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StageOrderError, match="neuroinspect edit"):
        evaluate(judged_run(tmp_path), make_params(tmp_path))


def test_the_mistakes_that_are_left_are_explained_again(
    finished: tuple[RunFolder, Params, Mapping[str, Any]],
) -> None:
    run, _, metrics = finished
    record = read_json(run.stage("evaluate") / "retest.json")
    assert set(record["layers"]) == {metrics["recommended"], "cue_erasure"}
    erased = record["layers"]["cue_erasure"]
    assert [one["neuron"] for one in erased["chosen"]] == list(CUE_NEURONS)
    assert abs(erased["margin_after"]) < 0.3 < erased["margin_before"]
    others = {one["kind"]: one for one in erased["by_group"]}["others_with_cue"]
    assert others["called_after"] < others["called_before"]
    table = read_table(run.stage("evaluate") / "confusion.judge.parquet")
    wrong = table[(table["layer"] == "original") & (table["true"] == "boat") & (table["predicted"] != "boat")]
    assert erased["of_class"]["before"] == wrong["count"].sum()
    summary = read_json(run.stage("evaluate") / "stage.json")["summary"]
    assert summary["retest"][-1] == erased["sentences"][0]


def test_where_nothing_is_edited_nothing_is_tested_again(tmp_path: Path) -> None:
    run, params = judged_run(tmp_path, verdict="rejected"), make_params(tmp_path)
    edit(run, params)
    evaluate(run, params)
    assert read_json(run.stage("evaluate") / "retest.json")["layers"] == {}
