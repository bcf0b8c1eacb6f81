"""Make a patch: of two layers and a state dict, or out of a run."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from neuroinspect.artifacts import RunFolder, read_json
from neuroinspect.classifier import Classifier
from neuroinspect.errors import ModelError, PatchError, StageOrderError
from neuroinspect.export import EditedModel, edited_model
from neuroinspect.model_spec import read_state, unwrapped
from neuroinspect.patch.file import DTYPES, Patch
from neuroinspect.patch.hashes import fingerprints, state_hash
from neuroinspect.patch.record import FORMAT, PatchRecord, Provenance
from neuroinspect.report.provenance import skipped_stages
from neuroinspect.settings import ModelSettings, Params
from neuroinspect.stages.review import read_decision


def make_patch(run: RunFolder, params: Params) -> Patch:
    """The recommended edit of a run as a patch, not signed yet.

    Args:
        run: with a finished edit.
        params: names the model the run was computed with.

    Raises:
        StageOrderError: the run has no edit, or recommends the original decision layer.
        ModelError: the run was computed with another model.
        PatchError: the edit cannot be told from the parent in the parent's dtype, or does not fit into it.
    """
    edited = edited_model(run, params)
    if edited is None:
        raise StageOrderError(
            f"{run.root} recommends the original decision layer: no edit helped, so there is no patch"
        )
    return patch_of(edited, params.model, provenance_of(run, edited))


def patch_of(edited: EditedModel, model: ModelSettings, provenance: Provenance) -> Patch:
    """An edited model as a patch for the weights it was made from, in their own dtype.

    Raises:
        ModelError: the weights are not those of the model any more.
        PatchError: see `make_patch`.
    """
    parent = parent_state(edited.classifier, model)
    layer = edited.classifier.last_layer.state(edited.weight, edited.bias)
    return patch_between(parent, layer, provenance)


def patch_between(parent: Mapping[str, Tensor], layer: Mapping[str, Tensor], provenance: Provenance) -> Patch:
    """A patch that puts a layer into a model.

    Args:
        parent: state dict of the whole model.
        layer: entries of the decision layer, by their names in it and in their shapes, of any dtype; a bias may be new.
        provenance: where the layer comes from.

    Raises:
        PatchError: see `make_patch`.
    """
    own = {name: parent[name] for name in layer if name in parent}
    if not own:
        raise PatchError(f"the model has no {', '.join(layer)}; the edit is of another model")
    dtype = next(iter(own.values())).dtype
    edited = {name: _as_the_parent_has_it(name, tensor, own.get(name), dtype) for name, tensor in layer.items()}
    before = fingerprints(parent)
    after = {**before, **fingerprints(edited)}
    record = PatchRecord(
        format=FORMAT,
        parent=state_hash(before),
        rest=state_hash(before, without=edited.keys()),
        result=state_hash(after),
        provenance=provenance,
    )
    if record.result == record.parent:
        raise PatchError(f"in {dtype} the edited layer is the parent's, bit for bit; there is nothing to patch")
    return Patch(record, edited, {name: tensor.detach().cpu().clone() for name, tensor in own.items()})


def parent_state(classifier: Classifier, model: ModelSettings) -> dict[str, Tensor]:
    """State dict of a model as its file has it, or, where its factory makes the weights, as the module has it.

    Raises:
        ModelError: the file is not the model's any more.
    """
    own = classifier.module.state_dict()
    if model.weights is None:
        return {name: tensor.detach().cpu() for name, tensor in own.items()}
    state = dict(unwrapped(read_state(model.weights), own))
    # The classifier works in float32, whatever the file has; the patch is for the file.
    same = state.keys() == own.keys() and all(
        torch.equal(tensor.to(own[name].dtype), own[name].cpu()) for name, tensor in state.items()
    )
    if not same:
        raise ModelError(f"{model.weights} was changed since the model was loaded from it; run the same command again")
    return state


def provenance_of(run: RunFolder, edited: EditedModel) -> Provenance:
    """Where the recommended edit of a run comes from.

    Raises:
        StageOrderError: the run has no edit.
        ArtifactError: a file of the run folder is missing or damaged.
    """
    noted, made = read_json(run.root / "run.json"), read_json(run.require("edit") / "edit.json")
    decision = None if "review" in skipped_stages(run) else read_decision(run)
    judged = run.stage_record("evaluate")
    known: dict[str, Any] = {
        "request": None if decision is None else decision.request,
        "review": None if decision is None else decision.verdict,
        "reviewer": None if decision is None else decision.by,
        "unverified": None if decision is None else decision.unverified,
    }
    return Provenance(
        run=run.root.resolve().name,
        class_name=made["class"],
        method=edited.method,
        neurons=tuple(made["neurons"]),
        strength=float(made["strength"]),
        verdict=None if judged is None else judged["summary"]["status"],
        data_version=noted["data_version"],
        model_spec=noted["model"]["spec"],
        model_origin=noted["model"]["origin"],
        parent_fingerprint=edited.classifier.fingerprint,
        versions=noted["versions"],
        **known,
    )


def _as_the_parent_has_it(name: str, tensor: Tensor, own: Tensor | None, dtype: torch.dtype) -> Tensor:
    dtype = dtype if own is None else own.dtype
    if dtype not in DTYPES:
        raise PatchError(
            f"{name} of the model is {dtype}; expected {', '.join(str(one).removeprefix('torch.') for one in DTYPES)}"
        )
    if own is not None and own.shape != tensor.shape:
        raise PatchError(
            f"{name} of the edit is {tuple(tensor.shape)}, of the model {tuple(own.shape)}; it is another model"
        )
    cast = tensor.detach().cpu().to(dtype).clone()
    if not cast.isfinite().all():
        raise PatchError(
            f"{name} of the edit has values that {dtype} cannot hold; make the edit from float32 weights of the model"
        )
    return cast
