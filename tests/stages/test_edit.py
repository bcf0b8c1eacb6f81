from pathlib import Path

import pytest
import torch

from neuroinspect.artifacts import read_json, read_table, read_tensors, write_json, write_table
from neuroinspect.editing.edit import register_method
from neuroinspect.editing.problem import EditProblem, Try
from neuroinspect.errors import EvidenceError, ReviewError, StageOrderError
from neuroinspect.settings import EditSettings
from neuroinspect.stages.edit import edit
from neuroinspect.stages.evaluate import evaluate
from tests.stages.judged_run import backbone_bytes, judged_run, make_params


def test_every_method_and_control_is_made_and_one_is_recommended(tmp_path: Path) -> None:
    params = make_params(tmp_path)
    result = edit(judged_run(tmp_path), params)
    record = read_json(result.folder / "edit.json")
    methods = record["methods"]
    assert {"original", "retrain", "bias", "ratio", "ablate_refit", "cue_erasure"} <= set(methods)
    assert {f"placebo.{name}.{draw}" for name in ("ratio", "ablate_refit", "cue_erasure") for draw in (0, 1)} <= set(
        methods
    )
    assert record["neurons"] == [2, 3]
    assert not set(methods["placebo.ratio.0"]["neurons"]) & {2, 3}
    assert all(sum(one["chosen"] for one in made["tries"]) == 1 for made in methods.values() if made["tries"])
    assert {len(made["tries"]) for name, made in methods.items() if name != "original"} == {5}
    layers, best = (read_tensors(result.folder / name) for name in ("layers.safetensors", "decision_layer.safetensors"))
    assert torch.equal(best["weight"], layers[f"{record['recommended']}.weight"])
    assert not record["recommended"].startswith("placebo")


def test_the_backbone_stays_bit_identical(tmp_path: Path) -> None:
    params = make_params(tmp_path)
    before = backbone_bytes(params)
    edit(judged_run(tmp_path), params)
    assert backbone_bytes(params) == before


def test_the_same_inputs_give_the_same_layers_and_are_not_computed_twice(tmp_path: Path) -> None:
    params = make_params(tmp_path)
    (tmp_path / "again").mkdir()
    first, second = (edit(judged_run(folder), params) for folder in (tmp_path, tmp_path / "again"))
    for name in ("layers.safetensors", "edit.json"):
        assert (first.folder / name).read_bytes() == (second.folder / name).read_bytes()
    assert edit(judged_run(tmp_path), params).reused


def test_the_strength_of_the_decision_reaches_every_layer_and_the_record(tmp_path: Path) -> None:
    def to_zero(problem: EditProblem, _: EditSettings) -> list[Try]:
        return [Try({}, torch.zeros_like(problem.weight), torch.zeros_like(problem.bias), trained=False)]

    register_method("to_zero", to_zero)
    params = make_params(tmp_path)
    params = params.model_copy(update={"edit": params.edit.model_copy(update={"methods": ("to_zero",)})})
    (tmp_path / "whole").mkdir()
    quarter, whole = (
        edit(judged_run(folder, strength=strength), params)
        for folder, strength in ((tmp_path, 0.25), (tmp_path / "whole", 1.0))
    )
    assert [read_json(made.folder / "edit.json")["strength"] for made in (quarter, whole)] == [0.25, 1.0]
    assert quarter.inputs_hash != whole.inputs_hash
    layers = read_tensors(quarter.folder / "layers.safetensors")
    for name in ("to_zero", "placebo.to_zero.0", "placebo.to_zero.1"):
        assert torch.equal(layers[f"{name}.weight"], 0.75 * layers["original.weight"])


def test_a_rejected_review_keeps_the_original(tmp_path: Path) -> None:
    result = edit(judged_run(tmp_path, verdict="rejected"), make_params(tmp_path))
    record = read_json(result.folder / "edit.json")
    assert record["recommended"] == "original"
    assert list(record["methods"]) == ["original"]


def test_where_nothing_is_to_explain_nothing_is_edited(tmp_path: Path) -> None:
    run = judged_run(tmp_path, verdict=None, explained=False)
    assert edit(run, make_params(tmp_path)).summary["recommended"] == "original"


def test_without_a_decision_the_way_to_one_is_named(tmp_path: Path) -> None:
    with pytest.raises(StageOrderError, match="neuroinspect review decide"):
        edit(judged_run(tmp_path, verdict=None), make_params(tmp_path))


def test_a_decision_about_an_earlier_finding_is_not_acted_on(tmp_path: Path) -> None:
    run, params = judged_run(tmp_path), make_params(tmp_path)
    found = read_table(run.stage("diagnose") / "neurons.parquet")
    write_table(run.stage("diagnose") / "neurons.parquet", found.assign(neuron=[2, 3, 4]))
    with pytest.raises(ReviewError, match="decide again"):
        edit(run, params)


def test_a_method_from_outside_runs_beside_the_others_and_gets_its_placebo(tmp_path: Path) -> None:
    def silence(problem: EditProblem, _: EditSettings) -> list[Try]:
        weight = problem.weight.clone()
        for index, chosen in problem.neurons.items():
            weight[index, list(chosen)] = 0.0
        return [Try({}, weight, problem.bias, trained=False)]

    register_method("silence", silence)
    params = make_params(tmp_path)
    edit_settings = params.edit.model_copy(update={"methods": ("silence",)})
    result = edit(judged_run(tmp_path), params.model_copy(update={"edit": edit_settings}))
    methods = read_json(result.folder / "edit.json")["methods"]
    assert {"silence", "placebo.silence.0", "placebo.silence.1"} <= set(methods)
    layer = read_tensors(result.folder / "layers.safetensors")["silence.weight"]
    assert layer[0, [2, 3]].tolist() == [0.0, 0.0]


def test_a_refusal_reaches_the_record_the_summary_and_the_verdict(tmp_path: Path) -> None:
    def refuse(problem: EditProblem, _: EditSettings) -> list[Try]:
        raise EvidenceError("2 samples show the cue, 8 are needed.")

    register_method("refused_in_a_run", refuse)
    run, params = judged_run(tmp_path), make_params(tmp_path)
    edit_settings = params.edit.model_copy(update={"methods": ("bias", "refused_in_a_run")})
    params = params.model_copy(update={"edit": edit_settings})
    result = edit(run, params)
    expected = {"refused_in_a_run": "2 samples show the cue, 8 are needed."}
    assert read_json(result.folder / "edit.json")["refused"] == result.summary["refused"] == expected
    verdict = read_json(evaluate(run, params).folder / "metrics.json")["verdict"]
    assert verdict["details"][0] == "refused_in_a_run refused: 2 samples show the cue, 8 are needed."


def test_features_of_another_model_are_refused(tmp_path: Path) -> None:
    run, params = judged_run(tmp_path), make_params(tmp_path)
    record = {"stage": "extract", "inputs_hash": "extract", "version": 1, "summary": {"model": "of another model"}}
    write_json(run.stage("extract") / "stage.json", record)
    with pytest.raises(StageOrderError, match="neuroinspect extract"):
        edit(run, params)
