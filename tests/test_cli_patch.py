"""`neuroinspect patch`: what it prints, what it writes, and what it refuses."""

import json
import os
import shutil
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from neuroinspect.artifacts import read_tensors
from neuroinspect.cli import app
from tests.tiny import make_project

pytest.importorskip("cryptography", reason="signatures need it: pip install 'neuroinspect[team]'")


def call(*words: object, **variables: object):
    given = {f"NEUROINSPECT_{name.upper()}": str(value) for name, value in variables.items()}
    return CliRunner().invoke(app, [str(word) for word in words], env=given)


def printed(result) -> dict:
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """A project with a finished run, its patch, and a signed one; tests write beside them."""
    folder = tmp_path_factory.mktemp("finished")
    params = make_project(folder / "project")
    printed(call("run", "--no-flow", "--params", params, "--review", "auto", "--json"))
    printed(call("patch", "make", "run", "--out", folder / "fish.safetensors", "--params", params, "--json"))
    printed(call("patch", "keygen", "--out", folder / "ada", "--params", params, "--json"))
    words = ("patch", "make", "run", "--out", folder / "signed.safetensors", "--params", params, "--json")
    printed(call(*words, signing_key=folder / "ada"))
    return folder


@pytest.fixture
def weights(finished) -> Path:
    return finished / "project" / "classifier.safetensors"


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch) -> None:
    """Where neither a params file nor the network's code is."""
    monkeypatch.chdir(tmp_path)


def test_a_patch_gives_what_apply_gives_and_reverting_gives_the_parent(finished, weights, tmp_path):
    params = finished / "project" / "params.yaml"
    whole = printed(call("apply", "run", "--out", tmp_path / "whole.safetensors", "--params", params, "--json"))
    applied = call(
        "patch", "apply", finished / "fish.safetensors", "--weights", weights, "--out", "edited.safetensors", "--json"
    )
    assert printed(applied)["kind"] == "checksummed"
    assert Path("edited.safetensors").read_bytes() == Path(whole["model"]).read_bytes()
    assert Path("edited.safetensors").read_bytes() != weights.read_bytes()
    reverted = call(
        "patch",
        "revert",
        finished / "fish.safetensors",
        "--weights",
        "edited.safetensors",
        "--out",
        "parent.safetensors",
    )
    assert reverted.exit_code == 0
    assert "as before the patch" in reverted.stdout
    parent, original = read_tensors(Path("parent.safetensors")), read_tensors(weights)
    assert parent.keys() == original.keys()
    assert all(
        torch.equal(parent[name].view(torch.uint8), original[name].view(torch.uint8))
        for name in parent
        if parent[name].dim()
    )


def test_the_weights_may_lie_in_another_kind_of_file(finished, weights):
    torch.save(read_tensors(weights), "parent.pt")
    words = ("patch", "apply", finished / "fish.safetensors", "--out", "edited.safetensors", "--json", "--weights")
    from_torch = printed(call(*words, "parent.pt"))["hash"]
    assert from_torch == printed(call(*words, weights))["hash"]


def test_show_says_what_it_is_for_whom_and_who_signed_it(finished):
    key = printed(call("patch", "show", finished / "signed.safetensors", "--json"))["key"]
    shown = call("patch", "show", finished / "signed.safetensors", trusted_keys=finished / "ada.pub").stdout
    for part in (
        "for class fish",
        "classifier.weight (6, 128)",
        "approved by auto (unverified)",
        "scene_net",
        f"signed by {key}, trusted",
    ):
        assert part in shown
    assert str(finished) not in shown
    unsigned = call("patch", "show", finished / "fish.safetensors").stdout
    assert "checksummed, not signed" in unsigned
    assert "signed by" not in unsigned


def test_where_keys_are_named_only_their_patches_are_applied_and_nothing_is_written_otherwise(finished, weights):
    def apply(name: str, **variables: object):
        words = ("patch", "apply", finished / name, "--weights", weights, "--out", "edited.safetensors", "--json")
        return call(*words, **variables)

    printed(call("patch", "keygen", "--out", "bob", "--json"))
    for name, trusted in [("fish.safetensors", finished / "ada.pub"), ("signed.safetensors", "bob.pub")]:
        refused = apply(name, trusted_keys=Path(trusted).resolve())
        assert refused.exit_code == 1
        assert json.loads(refused.stdout)["kind"] == "SignatureError"
        assert not Path("edited.safetensors").exists()
    assert printed(apply("signed.safetensors", trusted_keys=finished / "ada.pub"))["trusted"] is True


def test_a_setting_of_keys_is_meant_from_the_folder_of_its_file(finished, weights):
    Path("project").mkdir()
    shutil.copy(finished / "ada.pub", "project/ours.pub")
    Path("project/neuroinspect.env").write_text("NEUROINSPECT_TRUSTED_KEYS=ours.pub\n")
    shown = printed(call("patch", "show", finished / "signed.safetensors", "--params", "project/params.yaml", "--json"))
    assert shown["trusted"] is True


def test_applying_twice_and_to_the_wrong_model_is_said_and_writes_nothing(finished, weights):
    words = ("patch", "apply", finished / "fish.safetensors", "--weights")
    printed(call(*words, weights, "--out", "edited.safetensors", "--json"))
    before = Path("edited.safetensors").read_bytes()
    again = call(*words, "edited.safetensors", "--out", "twice.safetensors")
    assert (again.exit_code, "has the patch already" in again.stderr) == (1, True)
    wrong = call(*words, finished / "signed.safetensors", "--out", "wrong.safetensors")
    assert (wrong.exit_code, "another architecture" in wrong.stderr) == (1, True)
    assert [path.name for path in Path().iterdir()] == ["edited.safetensors"]
    assert Path("edited.safetensors").read_bytes() == before


def test_an_output_that_is_an_input_or_a_link_is_refused(finished, weights):
    shutil.copy(weights, "mine.safetensors")
    os.link("mine.safetensors", "same.safetensors")
    Path("link.safetensors").symlink_to("elsewhere.safetensors")
    shutil.copy(finished / "fish.safetensors", "fish.safetensors")
    for out in ("mine.safetensors", "same.safetensors", "./fish.safetensors", "link.safetensors"):
        refused = call("patch", "apply", "fish.safetensors", "--weights", "mine.safetensors", "--out", out)
        assert refused.exit_code == 1, out
        assert "give another file" in refused.stderr or "is a link" in refused.stderr
    assert Path("mine.safetensors").read_bytes() == weights.read_bytes()
    assert not Path("elsewhere.safetensors").exists()


def test_a_run_whose_edit_did_not_help_has_no_patch(finished, tmp_path):
    shutil.copytree(finished / "project", tmp_path / "project")
    file = tmp_path / "project" / "runs" / "run" / "edit" / "edit.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"recommended": "original"}))
    refused = call("patch", "make", "--params", tmp_path / "project" / "params.yaml")
    assert (refused.exit_code, "there is no patch" in refused.stderr) == (1, True)


def test_the_password_of_a_key_is_never_shown(finished, tmp_path):
    made = call("patch", "keygen", "--out", "key", signing_password="swordfish")
    params = finished / "project" / "params.yaml"
    wrong = call(
        "patch",
        "make",
        "--params",
        params,
        "--out",
        "a.safetensors",
        signing_key=tmp_path / "key",
        signing_password="tuna-42",
    )
    right = call(
        "patch",
        "make",
        "--params",
        params,
        "--out",
        "a.safetensors",
        signing_key=tmp_path / "key",
        signing_password="swordfish",
    )
    assert (made.exit_code, wrong.exit_code, right.exit_code) == (0, 2, 0)
    assert "(private, encrypted" in made.stdout
    for word in ("swordfish", "tuna-42", "PRIVATE"):
        assert word not in made.output + wrong.output + right.output
