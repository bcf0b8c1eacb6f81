"""Take the edited model out of a run."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from neuroinspect.artifacts import RunFolder, read_json, read_tensors, write_tensors
from neuroinspect.classifier import Classifier
from neuroinspect.errors import ModelError, RunFolderError, StageOrderError
from neuroinspect.settings import Params
from neuroinspect.stages.models import classifier_of


@dataclass(frozen=True, slots=True, eq=False)
class EditedModel:
    """The model of a run with the recommended decision layer in it.

    Attributes:
        method: what the layer comes from.
        classifier: the model as it was; it is not changed.
        weight: (C, F) of the edited layer.
        bias: (C,).
    """

    method: str
    classifier: Classifier
    weight: Tensor
    bias: Tensor

    def state(self) -> dict[str, Tensor]:
        """State dict of the whole edited model.

        Raises:
            ModelError: the layer does not fit into the model.
        """
        return edited_state(self.classifier, weight=self.weight, bias=self.bias)


def edited_model(run: RunFolder, params: Params, *, method: str | None = None) -> EditedModel | None:
    """The recommended model of a run; None where the original is recommended.

    Args:
        run: a run with a finished edit.
        params: names the model the run was computed with.
        method: the model with another layer of the run in its place; None where the run made none of this name.

    Raises:
        StageOrderError: the run has no edit.
        ModelError: the run was computed with another model.
    """
    folder = run.require("edit")
    recommended = str(read_json(folder / "edit.json")["recommended"])
    if recommended == "original":
        return None
    classifier = classifier_of(params)
    # not run.json: it is written before the stages, so an edit of an earlier model may still lie there
    if read_json(folder / "stage.json")["summary"]["model"] != classifier.fingerprint:
        raise ModelError(
            f"the edit in {run.root} was made for another model than {params.model.spec} is now; run `neuroinspect run` "
            "again, or give the params file of that model"
        )
    if method is not None:
        layers = read_tensors(folder / "layers.safetensors")
        if f"{method}.weight" not in layers:
            return None
        return EditedModel(method, classifier, weight=layers[f"{method}.weight"], bias=layers[f"{method}.bias"])
    layer = read_tensors(folder / "decision_layer.safetensors")
    return EditedModel(recommended, classifier, weight=layer["weight"], bias=layer["bias"])


def untouched_model(classifier: Classifier) -> EditedModel:
    """A model with its own decision layer in it."""
    layer = classifier.decision_layer
    bias = torch.zeros(layer.out_features) if layer.bias is None else layer.bias
    return EditedModel("original", classifier, weight=layer.weight, bias=bias)


def export_edited_model(run: RunFolder, params: Params, path: Path) -> str:
    """Write the state dict of the whole model with the recommended decision layer in it, as safetensors.

    Args:
        run: a run with a finished edit.
        params: names the model the run was computed with.
        path: file to write, ending in .safetensors.

    Returns:
        Name of the recommended method.

    Raises:
        RunFolderError: the name of the file, or it cannot be written.
        StageOrderError: the run has no edit, or recommends the original decision layer.
        ModelError: the run was computed with another model, or the layer does not fit into it.
    """
    if path.suffix != ".safetensors":
        raise RunFolderError(f"{path} must end in .safetensors; other formats can run code when they are loaded")
    edited = edited_model(run, params)
    if edited is None:
        raise StageOrderError(f"{run.root} recommends the original decision layer: no edit helped, so nothing to apply")
    write_tensors(path, edited.state())
    return edited.method


def edited_state(classifier: Classifier, *, weight: Tensor, bias: Tensor) -> dict[str, Tensor]:
    """State dict of the model with another decision layer; every other tensor is a bit-identical copy.

    A last layer that is a convolution keeps its shape. One without a bias gets one, unless the edited bias is zero.

    Args:
        classifier: the model; it is not changed.
        weight: (C, F).
        bias: (C,).

    Raises:
        ModelError: the shapes differ.
    """
    own = classifier.decision_layer
    if weight.shape != own.weight.shape or bias.shape != own.bias.shape:
        raise ModelError(f"the edited layer is {tuple(weight.shape)}, the model's {tuple(own.weight.shape)}")
    state = {key: tensor.detach().cpu().clone() for key, tensor in classifier.module.state_dict().items()}
    return state | classifier.last_layer.state(weight, bias)
