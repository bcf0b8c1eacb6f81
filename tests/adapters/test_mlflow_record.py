"""What MLflow is to remember of a decision: who, what and why, also where nothing is edited."""

import shutil

from neuroinspect.adapters.mlflow_record import RunRecord, read_record, run_key
from neuroinspect.adapters.mlflow_store import KEY
from neuroinspect.artifacts import RunFolder, read_json, write_json
from neuroinspect.review import Decision, decide
from neuroinspect.stages.review import read_request


def recorded(finished, folder, **answer) -> tuple[RunRecord, Decision]:
    """What is remembered of the finished run as if it had been decided so."""
    run = RunFolder(folder / "fish")
    shutil.copytree(finished.run, run.root)
    decision = decide(read_request(run), by="ada", **answer)
    write_json(run.stage("review") / "decision.json", decision.record())
    return read_record(run, finished.params), decision


def test_a_rejection_ends_with_its_reason(finished, tmp_path):
    note = "The forest is part of how <b>fish</b> are seen.\n# No reason to edit."
    record, _ = recorded(finished, tmp_path, verdict="rejected", neurons={}, note=note)
    tags = record.parent.tags
    assert (tags["review"], tags["reviewer"], tags["review_note"]) == ("rejected", "ada", note)
    assert "strength" not in tags
    description = tags["mlflow.note.content"]
    assert "The review: rejected by ada:" in description
    # Four blanks: it is shown as it was written, not as headings and markup.
    assert description.endswith("\n    The forest is part of how <b>fish</b> are seen.\n    # No reason to edit.")


def test_a_note_longer_than_a_tag_is_kept_whole_beside_it(finished, tmp_path):
    note = "why " * 2_000
    record, decision = recorded(finished, tmp_path, verdict="rejected", neurons={}, note=note)
    assert 4_900 < len(record.parent.tags["review_note"]) <= 5_000
    assert len(record.parent.tags["mlflow.note.content"]) <= 5_000
    [kept] = [path for path, place in record.files if path.name == "decision.json" and place == "review"]
    assert read_json(kept)["note"] == decision.note == note


def test_an_approval_is_kept_with_its_strength(finished, tmp_path):
    neuron = read_request(RunFolder(finished.run)).candidates[0].neuron
    answer = {"verdict": "approved", "neurons": {"fish": (neuron,)}, "strength": 0.5}
    tags = recorded(finished, tmp_path, **answer)[0].parent.tags
    assert (tags["review"], tags["strength"]) == ("approved", "0.5")
    assert "review_note" not in tags
    assert tags["mlflow.note.content"].endswith("The review: approved by ada.")


def test_children_are_told_apart_in_a_chart_of_several_runs_and_say_what_they_are_about(finished):
    record = read_record(RunFolder(finished.run), finished.params)
    assert record.parent.name == "fish (fish)"
    assert record.children["original"].name == "Original, fish (fish)"
    assert len({child.name for child in record.children.values()}) == len(record.children)
    told = ("run", "model", "class", "data_version", "request", "review", "unverified")
    for child in record.children.values():
        assert {name: child.tags[name] for name in told} == {name: record.parent.tags[name] for name in told}
    assert record.parent.tags["model"] == "neuroinspect.demo.backbone.scene_net-classifier"


def test_the_review_is_a_link_where_the_page_has_an_address_and_its_id_otherwise(finished):
    request = read_request(RunFolder(finished.run)).id
    alone = read_record(RunFolder(finished.run), finished.params)
    linked = read_record(RunFolder(finished.run), finished.params, page_of="https://reviews.example/reviews/{}".format)
    page = f"https://reviews.example/reviews/{request}"
    for entry in (linked.parent, *linked.children.values()):
        assert entry.tags["review_page"] == page
    assert f"Review `{request[:12]}`: [on the review page](<{page}>)." in linked.parent.tags["mlflow.note.content"]
    assert f"Review `{request[:12]}`.\n" in alone.parent.tags["mlflow.note.content"]
    assert not [entry for entry in (alone.parent, *alone.children.values()) if "review_page" in entry.tags]


def test_names_and_links_do_not_change_which_run_it_is(finished):
    linked = read_record(RunFolder(finished.run), finished.params, page_of="https://reviews.example/{}".format)
    assert linked.parent.tags[KEY] == run_key(RunFolder(finished.run), finished.params)
    assert {child.tags[KEY] for child in linked.children.values()} == {
        f"{linked.parent.tags[KEY]}:{name}" for name in linked.children
    }
