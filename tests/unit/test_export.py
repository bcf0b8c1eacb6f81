"""The edited model as a state dict."""

import pytest
import torch
from torch import nn

from neuroinspect.artifacts import RunFolder, write_json
from neuroinspect.classifier import Classifier
from neuroinspect.errors import ModelError, RunFolderError, StageOrderError
from neuroinspect.export import edited_state, export_edited_model
from neuroinspect.settings import PreprocessingSettings, parse_params
from neuroinspect.stages.models import classifier_of

PARAMS = parse_params(
    {"model": {"spec": "neuroinspect.demo.backbone:scene_net"}, "data": {"table": "t.csv"}, "device": "cpu"}
)


def classifier() -> Classifier:
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    model = nn.Sequential(*layers, nn.Linear(4, 2))
    return Classifier(model, preprocessing=PreprocessingSettings(image_size=16), device="cpu")


def edit_folder(folder, *, recommended: str) -> RunFolder:
    run = RunFolder(folder / "run")
    own = classifier_of(PARAMS).fingerprint
    write_json(run.root / "run.json", {"model": {"fingerprint": own}})
    write_json(run.stage("edit") / "stage.json", {"summary": {"model": "another model"}})
    write_json(run.stage("edit") / "edit.json", {"recommended": recommended})
    return run


def test_only_the_decision_layer_changes_and_the_model_itself_does_not():
    model = classifier()
    before = {name: tensor.clone() for name, tensor in model.module.state_dict().items()}
    state = edited_state(model, weight=torch.ones(2, 4), bias=torch.tensor([1.0, 2.0]))
    assert torch.equal(state["5.weight"], torch.ones(2, 4))
    assert torch.equal(state["5.bias"], torch.tensor([1.0, 2.0]))
    assert state.keys() == before.keys()
    assert all(torch.equal(state[name], before[name]) for name in before if not name.startswith("5."))
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.module.state_dict().items())


def test_a_layer_of_another_shape_is_refused():
    with pytest.raises(ModelError, match=r"\(3, 4\)"):
        edited_state(classifier(), weight=torch.ones(3, 4), bias=torch.zeros(3))


def test_a_format_that_can_run_code_is_refused(tmp_path):
    with pytest.raises(RunFolderError, match=r"\.safetensors"):
        export_edited_model(RunFolder(tmp_path), PARAMS, tmp_path / "model.pt")


def test_a_run_that_recommends_the_original_has_nothing_to_export(tmp_path):
    with pytest.raises(StageOrderError, match="nothing to apply"):
        export_edited_model(edit_folder(tmp_path, recommended="original"), PARAMS, tmp_path / "model.safetensors")


def test_an_edit_of_another_model_is_refused_though_the_run_has_gone_on_with_this_one(tmp_path):
    with pytest.raises(ModelError, match="another model"):
        export_edited_model(edit_folder(tmp_path, recommended="ratio"), PARAMS, tmp_path / "model.safetensors")
    assert not (tmp_path / "model.safetensors").exists()
