import shutil

import pytest

from neuroinspect.artifacts import read_json, write_json
from neuroinspect.errors import ArtifactError, StageOrderError
from neuroinspect.report import read_material
from tests.report_run import Variant, build_run

CLEAN = Variant(status="nothing_to_explain")


def test_a_clean_model_leaves_empty_parts(tmp_path):
    material = read_material(*build_run(tmp_path, CLEAN), data_root=tmp_path)
    assert material.mistakes.empty
    assert material.illusions.empty
    assert material.visualized is None
    assert material.decision is None
    assert material.chosen == frozenset()


def test_pictures_and_decision_of_an_earlier_finding_are_left_out_where_nothing_is_to_explain(tmp_path):
    run, params = build_run(tmp_path, Variant())
    found = read_json(run.stage("diagnose") / "stage.json")
    found["summary"]["status"] = "nothing_to_explain"
    write_json(run.stage("diagnose") / "stage.json", found)
    material = read_material(run, params, data_root=tmp_path)
    assert material.decision is None
    assert material.visualized is None
    assert material.illusions.empty
    assert not {"visualize", "review"} & set(material.hashes)


def test_the_decision_names_the_chosen_neurons(material_of):
    assert material_of().chosen == {12, 31, 44}


def test_a_rejection_chooses_none(material_of):
    assert material_of(status="nothing_found").chosen == frozenset()


def test_the_provenance_is_read_from_the_run(material_of):
    material = material_of()
    assert material.fingerprint == "9f2c" * 16
    assert material.data_version == "md5:4be1d0c2a1"
    assert material.versions["torch"] == "2.8.0"
    assert list(material.hashes)[:3] == ["validate", "extract", "diagnose"]


def test_without_a_note_the_provenance_is_left_open(tmp_path):
    run, params = build_run(tmp_path, CLEAN)
    (run.root / "run.json").unlink()
    material = read_material(run, params, data_root=tmp_path)
    assert material.fingerprint is None
    assert "torch" in material.versions


@pytest.mark.parametrize("stage", ["extract", "edit", "evaluate"])
def test_a_stage_that_has_not_run_is_named(tmp_path, stage):
    run, params = build_run(tmp_path, CLEAN)
    shutil.rmtree(run.stage(stage))
    with pytest.raises(StageOrderError, match=stage):
        read_material(run, params, data_root=tmp_path)


def test_a_damaged_file_is_named(tmp_path):
    run, params = build_run(tmp_path, CLEAN)
    (run.stage("evaluate") / "metrics.json").write_text("{")
    with pytest.raises(ArtifactError, match=r"metrics\.json"):
        read_material(run, params, data_root=tmp_path)


def test_the_warnings_of_validate_and_diagnose_are_kept(tmp_path):
    run, params = build_run(tmp_path, CLEAN)
    for stage in ("validate", "diagnose"):
        record = {"stage": stage, "inputs_hash": "0", "version": 1, "summary": {"warnings": [f"from {stage}"]}}
        write_json(run.stage(stage) / "stage.json", record)
    assert read_material(run, params, data_root=tmp_path).warnings == ["from validate", "from diagnose"]
