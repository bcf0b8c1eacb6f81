"""Put a patch into the model it is for, and take it out again. The tensors are enough: no code of the network is loaded."""

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from neuroinspect.errors import PatchError
from neuroinspect.model_spec import read_state, unwrapped
from neuroinspect.patch.file import Patch
from neuroinspect.patch.hashes import Fingerprints, fingerprints, state_hash

State = Mapping[str, Tensor]


def read_model(path: Path, patch: Patch) -> State:
    """State dict of a model a patch may be for, under the names the patch knows.

    Raises:
        WeightsError: there is no such file, or it is damaged or pickled.
    """
    return unwrapped(read_state(path), patch.edited)


def apply_patch(patch: Patch, state: State) -> dict[str, Tensor]:
    """The edited model; every tensor but those of the decision layer is the given one.

    Raises:
        PatchError: the model is not the one the patch was made for, or has the patch already.
    """
    known = fingerprints(state)
    came, record = state_hash(known), patch.record
    if came == record.result:
        raise PatchError(
            f"this model has the patch already (its hash is {came}); there is nothing to apply, `neuroinspect patch revert` "
            "takes it out"
        )
    if came != record.parent:
        raise PatchError(
            f"the patch is for a model with the hash {record.parent}, this one has {came}: {_difference(patch, known)}. "
            f"Give the weights of {_parent_of(patch)} as they were when the edit was made"
        )
    edited = {**state, **patch.edited}
    _see(edited, record.result, "result")
    return edited


def revert_patch(patch: Patch, state: State) -> dict[str, Tensor]:
    """The model as it was before the patch, every tensor of it bit-identical.

    Raises:
        PatchError: the model is not what came of the patch.
    """
    known = fingerprints(state)
    came, record = state_hash(known), patch.record
    if came == record.parent:
        raise PatchError(f"this model does not have the patch: it is the parent itself (its hash is {came})")
    if came != record.result:
        raise PatchError(
            f"the patch makes a model with the hash {record.result}, this one has {came}: {_difference(patch, known)}. It is not "
            "what came of this patch, so it cannot be taken out; give the file that `neuroinspect patch apply` wrote"
        )
    parent = {name: tensor for name, tensor in state.items() if name not in patch.edited} | dict(patch.parent)
    _see(parent, record.parent, "parent")
    return parent


def _see(state: State, expected: str, what: str) -> None:
    """What was made must be what the patch says; a signed patch can be wrong too."""
    made = state_hash(fingerprints(state))
    if made != expected:
        raise PatchError(
            f"the patch says its {what} has the hash {expected}, but its tensors make {made}; nothing was written, make "
            "the patch again"
        )


def _difference(patch: Patch, known: Fingerprints) -> str:
    """In words, how another model differs from the one expected."""
    if state_hash(known, without=patch.edited.keys()) == patch.record.rest:
        return "the rest of the network is the same, but its decision layer is another, as after another edit"
    missing = [name for name in patch.parent if name not in known]
    if missing:
        return f"it has no {', '.join(missing)}, so it is another architecture"
    for name, (dtype, shape, _) in fingerprints(patch.parent).items():
        if known[name][:2] != (dtype, shape):
            return f"{name} is {known[name][0]} {known[name][1]}, expected {dtype} {shape}"
    return "the rest of the network differs too, as after another training"


def _parent_of(patch: Patch) -> str:
    made = patch.record.provenance
    return made.model_origin or made.model_spec
