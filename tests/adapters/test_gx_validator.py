"""Each kind of bad data, judged by great-expectations itself, on a run that the real stages made."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from neuroinspect.adapters.gx_tables import split_features
from neuroinspect.adapters.gx_validator import GxValidator
from neuroinspect.artifacts import RunFolder, read_array, read_json, read_table, write_array, write_json, write_table
from neuroinspect.chain import carry_out, run_chain
from neuroinspect.errors import ArtifactError, DataCheckError, StageOrderError
from neuroinspect.ports import Tools
from neuroinspect.settings import ChecksSettings, load_params
from tests.tiny import make_project

CHECKED = ("validate", "extract", "diagnose")
THRESHOLDS = ChecksSettings()


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """Params of a project whose run has the three stages that are checked."""
    path = make_project(tmp_path_factory.mktemp("project") / "project")
    params = load_params(path)
    run = RunFolder(params.runs / "run")
    for stage in CHECKED:
        carry_out(stage, run, params)
    return path


@pytest.fixture
def run(project: Path, tmp_path: Path) -> Path:
    """A copy of its run folder, to be spoilt."""
    shutil.copytree(project.parent / "runs" / "run", tmp_path / "run")
    return tmp_path / "run"


def check(run: Path, stage: str, **thresholds: float) -> None:
    GxValidator().check(run, stage, ChecksSettings(**thresholds))


def complaint(run: Path, stage: str, **thresholds: float) -> str:
    """The message that a check stops with."""
    with pytest.raises(DataCheckError) as raised:
        check(run, stage, **thresholds)
    return str(raised.value)


def failed(run: Path, stage: str) -> dict[tuple[str, str], str]:
    """Expectation and columns of what does not hold -> the rows, as the record has them."""
    record = read_json(run / "checks" / f"{stage}.json")
    assert not record["success"]
    return {
        (each["expectation"].removeprefix("expect_"), ", ".join(each["columns"])): ", ".join(
            str(value) for row in each["unexpected_rows"] for value in row["row"].values()
        )
        for each in record["expectations"]
        if not each["success"]
    }


def change(path: Path, row: int, **values: object) -> str:
    """Give a row of a table other values; the name of what stands there."""
    table = read_table(path)
    for column, value in values.items():
        column_values = table[column].astype(object)
        column_values.iloc[row] = value
        table[column] = column_values.infer_objects()
    write_table(path, table)
    return str(table.iloc[row]["path" if "path" in table.columns else "neuron"])


# a healthy run


def test_a_healthy_run_passes_and_leaves_the_same_records_wherever_it_lies(run, tmp_path):
    other = tmp_path / "another" / "place"
    shutil.copytree(run, other)
    for stage in CHECKED:
        check(run, stage)
        check(other, stage)
        record = (run / "checks" / f"{stage}.json").read_bytes()
        assert record == (other / "checks" / f"{stage}.json").read_bytes()
        assert str(tmp_path).encode() not in record
    page = (run / "checks" / "data_docs" / "index.html").read_text(encoding="utf-8")
    assert page.count("✓ holds") == sum(
        len(read_json(run / "checks" / f"{stage}.json")["expectations"]) for stage in CHECKED
    )
    assert "✗ fails" not in page


def test_a_class_without_mistakes_has_an_empty_ranking_and_passes(tmp_path):
    params = load_params(make_project(tmp_path / "project", perfect=True))
    run = RunFolder(params.runs / "run")
    for stage in CHECKED:
        result = carry_out(stage, run, params, tools=Tools(validator=GxValidator()))
    assert result.summary["status"] == "nothing_to_explain"
    assert read_table(run.stage("diagnose") / "neurons.parquet").empty
    assert read_json(run.root / "checks" / "diagnose.json")["success"]


def test_a_gap_that_has_nothing_to_compare_with_is_no_gap_in_the_data(run):
    path = run / "diagnose" / "neurons.parquet"
    write_table(path, read_table(path).assign(activation_gap=np.nan))
    complaint(run, "diagnose")
    assert list(failed(run, "diagnose")) == [("column_values_to_not_be_null", "activation_gap")]
    record = read_json(run / "diagnose" / "stage.json")
    record["summary"]["mistakes"] = record["summary"]["class_size"]
    write_json(run / "diagnose" / "stage.json", record)
    check(run, "diagnose")
    assert read_json(run / "checks" / "diagnose.json")["success"]


# validate


def test_a_picture_with_a_wrong_value_is_named_at_the_expectation_it_breaks(run):
    manifest = run / "validate" / "manifest.parquet"
    spoilt = {
        ("column_values_to_be_in_set", "label"): change(manifest, 7, label="zebra"),
        ("column_values_to_not_be_null", "label"): change(manifest, 8, label=None),
        ("column_values_to_be_in_set", "split"): change(manifest, 9, split="holdout"),
        ("column_values_to_match_regex", "sha256"): change(manifest, 10, sha256="abc"),
        ("column_values_to_match_regex", "pixels_sha256"): change(manifest, 11, pixels_sha256="A" * 64),
        ("column_values_to_not_be_null", "pixels_sha256"): change(manifest, 12, pixels_sha256=None),
    }
    message = complaint(run, "validate")
    assert spoilt.items() <= failed(run, "validate").items()
    assert all(path in message for path in spoilt.values())


def test_the_same_image_in_two_splits_is_named_twice(run):
    manifest = run / "validate" / "manifest.parquet"
    table = read_table(manifest)
    judge = int(np.flatnonzero(table["split"] == "judge")[0])
    copy = change(manifest, judge, pixels_sha256=table["pixels_sha256"].iloc[0])
    message = complaint(run, "validate")
    both = f"{table['path'].iloc[0]}, {copy}"
    assert failed(run, "validate") == {
        ("column_values_to_be_unique", "pixels_sha256"): both,
        ("column_values_to_be_between", "splits_with_it"): both,
    }
    assert "the same image does not lie in two splits" in message


def test_the_same_image_twice_in_a_split_is_no_leak_but_no_second_picture_either(run):
    manifest = run / "validate" / "manifest.parquet"
    change(manifest, 1, sha256=read_table(manifest)["sha256"].iloc[0])
    complaint(run, "validate")
    assert list(failed(run, "validate")) == [("column_values_to_be_unique", "sha256")]


def test_a_missing_row_is_missed_in_its_split(run):
    path = run / "validate" / "manifest.parquet"
    table = read_table(path)
    write_table(path, table.drop(index=table.index[table["split"] == "select"][0]))
    message = complaint(run, "validate")
    assert list(failed(run, "validate")) == [("column_pair_values_to_be_equal", "pictures, noted")]
    assert "split select" in message


def test_a_missing_split_is_named(run):
    path = run / "validate" / "manifest.parquet"
    table = read_table(path)
    write_table(path, table[table["split"] != "judge"])
    message = complaint(run, "validate")
    assert ("column_values_to_be_between", "pictures") in failed(run, "validate")
    assert "split judge (pictures 0)" in message


def test_an_empty_manifest_does_not_pass(run):
    path = run / "validate" / "manifest.parquet"
    write_table(path, read_table(path).iloc[:0])
    message = complaint(run, "validate")
    assert ("table_row_count_to_be_between", "") in failed(run, "validate")
    assert "expected that the table is not empty" in message


def test_a_missing_column_is_named_and_nothing_that_needs_it_is_tried(run):
    path = run / "validate" / "manifest.parquet"
    write_table(path, read_table(path).drop(columns="pixels_sha256"))
    message = complaint(run, "validate")
    assert list(failed(run, "validate")) == [("column_to_exist", "pixels_sha256")]
    assert "there is a column pixels_sha256" in message


def test_a_class_that_is_too_small_is_named_with_its_split(run):
    message = complaint(run, "validate", min_class_count=11)
    assert list(failed(run, "validate")) == [("column_values_to_be_between", "pictures")]
    assert "label boat, split select (pictures 10)" in message
    assert "`checks` of the params" in message


def test_too_many_files_in_quarantine_stop_the_run_and_the_first_ten_are_named(run):
    names = [f"train/{number:02d}.bmp" for number in range(30)]
    rows = pd.DataFrame({"path": names, "reason": "damaged: x"})
    rows.to_csv(run / "validate" / "quarantine.csv", index=False)
    record = read_json(run / "validate" / "stage.json")
    record["summary"]["quarantined"] = 30
    write_json(run / "validate" / "stage.json", record)
    message = complaint(run, "validate")
    assert list(failed(run, "validate")) == [("column_values_to_be_between", "share")]
    assert [name for name in names if name in message] == names[:10]
    assert "and 20 more" in message
    check(run, "validate", max_quarantined_share=0.2)
    assert read_json(run / "checks" / "validate.json")["success"]


# extract


def test_a_feature_that_cannot_be_is_found_in_its_picture(run):
    path = run / "extract" / "features.judge.npy"
    features = np.array(read_array(path))
    features[[4, 5, 6, 7, 8], 3] = (np.nan, np.inf, -np.inf, 2e6, -2e6)
    write_array(path, features)
    message = complaint(run, "extract")
    names = read_table(run / "extract" / "samples.judge.parquet")["path"]
    assert failed(run, "extract") == {
        ("column_values_to_be_between", "not_finite"): f"{names[4]}, {names[5]}, {names[6]}",
        ("column_values_to_be_between", "largest"): names[7],
        ("column_values_to_be_between", "smallest"): names[8],
    }
    assert "got 3 rows: " in message


def test_features_are_judged_a_chunk_at_a_time(run, monkeypatch):
    monkeypatch.setattr("neuroinspect.adapters.gx_tables._CHUNK_BYTES", 1000)
    path = run / "extract" / "features.judge.npy"
    features = np.array(read_array(path))
    features[-1] = np.nan
    write_array(path, features)
    message = complaint(run, "extract")
    assert list(failed(run, "extract")) == [("column_values_to_be_between", "not_finite")]
    assert read_table(run / "extract" / "samples.judge.parquet")["path"].iloc[-1] in message


@pytest.mark.parametrize(
    ("change_features", "expectation"),
    [
        (lambda features: features[:-1], ("column_pair_values_to_be_equal", "feature_rows, manifest_rows")),
        (lambda features: features[:, :-1], ("column_pair_values_to_be_equal", "width, noted_width")),
        (lambda features: features.astype(np.int64), ("column_values_to_be_between", "feature_rows")),
        (lambda features: features[0], ("column_values_to_be_between", "feature_rows")),
    ],
    ids=["a row less", "a column less", "integers", "no matrix"],
)
def test_features_of_another_shape_are_named_by_their_split(run, change_features, expectation):
    path = run / "extract" / "features.select.npy"
    write_array(path, change_features(np.array(read_array(path))))
    message = complaint(run, "extract")
    assert expectation in failed(run, "extract")
    assert "split select" in message


def test_a_sample_with_a_wrong_value_is_named_at_the_expectation_it_breaks(run):
    samples = run / "extract" / "samples.train.parquet"
    spoilt = {
        ("column_values_to_be_between", "prediction"): change(samples, 3, prediction=99),
        ("column_values_to_be_between", "target"): change(samples, 4, target=-1),
        ("column_values_to_be_in_set", "label"): change(samples, 5, label="zebra"),
        ("column_pair_values_to_be_equal", "sha256, manifest_sha256"): change(samples, 6, sha256="0" * 64),
    }
    complaint(run, "extract")
    found = failed(run, "extract")
    assert spoilt.items() <= found.items()
    pair = found["column_pair_values_to_be_equal", "target_label, label"]
    assert pair == f"{change(samples, 4)}, {change(samples, 5)}"


def test_samples_of_a_split_that_are_gone_are_missed(run):
    (run / "extract" / "samples.judge.parquet").unlink()
    message = complaint(run, "extract")
    assert ("column_values_to_be_between", "sample_rows") in failed(run, "extract")
    assert "split judge" in message


def test_a_column_the_samples_lack_is_named_with_the_file(run):
    path = run / "extract" / "samples.select.parquet"
    write_table(path, read_table(path).drop(columns="prediction"))
    message = complaint(run, "extract")
    assert list(failed(run, "extract")) == [("column_to_exist", "prediction")]
    assert "extract/samples.select.parquet" in message


def test_numbers_written_as_words_cannot_be_judged_and_the_message_says_so(run):
    path = run / "extract" / "samples.train.parquet"
    write_table(path, read_table(path).assign(prediction="one"))
    assert "it cannot be judged" in complaint(run, "extract")
    assert ("column_values_to_be_between", "prediction") in failed(run, "extract")


# diagnose


def test_a_neuron_with_a_wrong_value_is_named_at_the_expectation_it_breaks(run):
    neurons = run / "diagnose" / "neurons.parquet"
    spoilt = {
        ("column_values_to_be_between", "vote_share"): change(neurons, 0, vote_share=1.5),
        ("column_values_to_be_between", "vote_share_excessive"): change(neurons, 1, vote_share_excessive=-0.1),
        ("column_values_to_be_between", "neuron"): change(neurons, 2, neuron=10_000),
        ("column_values_to_be_between", "rank"): change(neurons, 3, rank=0),
        ("column_values_to_be_in_set", "direction"): change(neurons, 4, direction="sideways"),
        ("column_values_to_be_in_set", "class"): change(neurons, 5, **{"class": "zebra"}),
        ("column_values_to_not_be_null", "weight"): change(neurons, 6, weight=np.nan),
        ("column_values_to_be_between", "weight"): change(neurons, 7, weight=np.inf),
        ("column_values_to_not_be_null", "probability_ratio"): change(neurons, 8, probability_ratio=np.nan),
    }
    message = complaint(run, "diagnose")
    assert failed(run, "diagnose") == spoilt
    assert all(f"neuron {neuron}" in message for neuron in spoilt.values())


def test_a_neuron_that_stands_twice_is_named(run):
    path = run / "diagnose" / "neurons.parquet"
    neuron = int(read_table(path)["neuron"].iloc[0])
    change(path, 1, neuron=neuron)
    message = complaint(run, "diagnose")
    assert list(failed(run, "diagnose")) == [("compound_columns_to_be_unique", "class, neuron")]
    assert f"neuron {neuron}" in message


def test_a_ranking_that_lost_its_rows_does_not_pass(run):
    path = run / "diagnose" / "neurons.parquet"
    write_table(path, read_table(path).iloc[:0])
    assert "got 0 rows" in complaint(run, "diagnose")
    assert list(failed(run, "diagnose")) == [("table_row_count_to_equal", "")]


# judged once


def test_what_passed_is_not_judged_again_and_great_expectations_is_not_loaded(run):
    for stage in CHECKED:
        check(run, stage)
    code = (
        "import sys; from pathlib import Path; from neuroinspect.adapters.gx_validator import GxValidator;"
        "from neuroinspect.settings import ChecksSettings;"
        f"[GxValidator().check(Path(sys.argv[1]), stage, ChecksSettings()) for stage in {CHECKED}];"
        "print('great_expectations' in sys.modules, 'matplotlib' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(run)], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
    assert done.stderr == ""


def test_a_table_that_changed_is_judged_again(run):
    check(run, "diagnose")
    path = run / "diagnose" / "neurons.parquet"
    sound = path.read_bytes()
    change(path, 0, vote_share=1.5)
    complaint(run, "diagnose")
    complaint(run, "diagnose")
    path.write_bytes(sound)
    check(run, "diagnose")
    assert read_json(run / "checks" / "diagnose.json")["success"]


def test_other_thresholds_are_judged_anew(run):
    check(run, "validate")
    complaint(run, "validate", min_class_count=11)
    check(run, "validate")
    assert read_json(run / "checks" / "validate.json")["success"]


def test_a_record_that_was_cut_off_is_made_again(run):
    check(run, "diagnose")
    path = run / "checks" / "diagnose.json"
    whole = path.read_bytes()
    path.write_bytes(whole[:100])
    check(run, "diagnose")
    assert path.read_bytes() == whole


# edges


def test_a_stage_that_has_not_run_is_named(tmp_path):
    with pytest.raises(StageOrderError, match="extract"):
        check(tmp_path, "extract")


def test_a_damaged_table_is_named(run):
    (run / "diagnose" / "neurons.parquet").write_bytes(b"PAR1")
    with pytest.raises(ArtifactError, match=r"neurons\.parquet"):
        check(run, "diagnose")


def test_features_are_mapped_and_not_read(run):
    assert all(isinstance(array, np.memmap) for array in split_features(RunFolder(run)).values())


def test_the_page_shows_what_failed_first_and_asks_nothing_of_the_network(run):
    path = change(run / "validate" / "manifest.parquet", 7, label="<b>zebra</b>")
    complaint(run, "validate")
    page = (run / "checks" / "data_docs" / "index.html").read_text(encoding="utf-8")
    assert page.index("✗ fails") < page.index("✓ holds")
    assert path in page
    assert "&lt;b&gt;zebra&lt;/b&gt;" in page
    assert "<b>zebra" not in page
    assert "http://" not in page
    assert "https://" not in page


def test_judging_says_nothing_on_the_console(run, capfd, recwarn):
    check(run, "validate")
    shown = capfd.readouterr()
    assert (shown.out, shown.err) == ("", "")
    assert [str(warning.message) for warning in recwarn if warning.category is not DeprecationWarning] == []


# in the chain


def test_a_finished_stage_that_was_spoilt_stops_the_chain_there(project, tmp_path):
    shutil.copytree(project.parent, tmp_path / "project")
    params = load_params(tmp_path / "project" / "params.yaml")
    run = RunFolder(params.runs / "run")
    shutil.rmtree(run.stage("diagnose"))
    path = change(run.stage("extract") / "samples.select.parquet", 0, prediction=99)
    with pytest.raises(DataCheckError, match=r"prediction is the number of a class") as raised:
        run_chain(run, params, auto_review=True, tools=Tools(validator=GxValidator()))
    assert path in str(raised.value)
    assert read_json(run.root / "checks" / "validate.json")["success"]
    assert not run.stage("diagnose").exists()
