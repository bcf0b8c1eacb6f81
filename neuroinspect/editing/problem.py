"""What an edit starts from, and what one try of a method asks of the training loop."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import torch
from torch import Tensor, nn

from neuroinspect.errors import FeaturesError, ReviewError

_CHECKED_ELEMENTS = 4_000_000  # values looked at together: 16 MB
RatioForm = Literal["sum", "mean"]


@dataclass(frozen=True, slots=True, eq=False)
class EditProblem:
    """A decision layer, the features it is refitted on, and the features that select.

    Attributes:
        features, labels: training set (N, F) float32 and (N,).
        validation_features, validation_labels: the split that selects.
        weight, bias: the original decision layer (C, F), (C,).
        neurons: chosen neurons by class index; those of one class act together.
        shared: what a method computed from the data alone, under a name of its own, for all problems over the same data.
    """

    features: Tensor
    labels: Tensor
    validation_features: Tensor
    validation_labels: Tensor
    weight: Tensor
    bias: Tensor
    neurons: Mapping[int, tuple[int, ...]]
    shared: dict[str, Any] = field(default_factory=dict)

    def with_neurons(self, neurons: Mapping[int, Sequence[int]]) -> "EditProblem":
        """The same problem with other neurons chosen."""
        return replace(self, neurons={index: tuple(chosen) for index, chosen in neurons.items()})


@dataclass(frozen=True, slots=True, eq=False)
class Projection:
    """A linear map of features that the refit sees in their place: f' = kept * (f - left right^T (f - offset)).

    Attributes:
        kept: (F,) 1 where a neuron is kept, 0 where it is silenced.
        left, right: (F, k) the erased directions and what they are read with; k may be 0.
        offset: (F,) the point that does not move.
    """

    kept: Tensor
    left: Tensor
    right: Tensor
    offset: Tensor


@dataclass(frozen=True, slots=True, eq=False)
class RatioPenalty:
    """The second term of eq. (8), for one class or several.

    Attributes:
        weight: lambda3.
        target_ratio: o.
        neurons: by class those silenced together.
        form: "sum": over the classes of || P_c - o ||_2; "mean": |mean of P_c over the batch and the classes - o|.
    """

    weight: float
    target_ratio: float
    neurons: Mapping[int, tuple[int, ...]]
    form: RatioForm = "sum"


@dataclass(frozen=True, slots=True, eq=False)
class ContributionPenalty:
    """Eq. (9), for one class or several: the mean over the batch of relu(W_c,S f_S + b_c), times the weight."""

    weight: float
    neurons: Mapping[int, tuple[int, ...]]


@dataclass(frozen=True, slots=True, eq=False)
class BiasShift:
    """A last step after the training: raise the bias of some classes by a quantile of what they lack, see `editing.bias`."""

    quantile: float
    classes: tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Try:
    """One setting of a method: where the layer starts, what it sees, and what it is trained for.

    Attributes:
        settings: what the records say of it.
        weight, bias: the layer it starts from (C, F), (C,).
        trained: False: the layer is taken as it is.
        weight_decay: of the squared norm of the weight, in the loss.
        projection: of the features.
        ratio, contribution: penalties.
        class_weights: (C,) of the cross-entropy; None: all 1.
        focal: the gamma of the focal loss; 0 is cross-entropy.
        shift: of the bias, after the training.
    """

    settings: Mapping[str, Any]
    weight: Tensor
    bias: Tensor
    trained: bool = True
    weight_decay: float = 0.0
    projection: Projection | None = None
    ratio: RatioPenalty | None = None
    contribution: ContributionPenalty | None = None
    class_weights: Tensor | None = None
    focal: float = 0.0
    shift: BiasShift | None = None


def make_problem(
    training: tuple[Tensor, Tensor],
    validation: tuple[Tensor, Tensor],
    decision_layer: nn.Linear,
    *,
    neurons: Mapping[int, Sequence[int]],
) -> EditProblem:
    """Check everything and put it on one device; float32 features that lie there already are not copied.

    Raises:
        FeaturesError: shapes that do not fit the layer, values that are not finite, labels out of range.
        ReviewError: no neuron, a neuron or class that does not exist.
    """
    weight = decision_layer.weight.detach().float()
    classes, width = weight.shape
    bias = (
        torch.zeros(classes, device=weight.device)
        if decision_layer.bias is None
        else decision_layer.bias.detach().float()
    )
    arrays: list[Tensor] = []
    for name, (features, labels) in (("training", training), ("validation", validation)):
        if features.dim() != 2 or features.shape[1] != width or len(features) == 0:
            raise FeaturesError(f"{name} features: expected (N, {width}) with N > 0, got {tuple(features.shape)}")
        if labels.shape != (len(features),):
            raise FeaturesError(f"{name} labels: expected ({len(features)},), got {tuple(labels.shape)}")
        if not all(bool(torch.isfinite(part).all()) for part in _parts(features)):
            raise FeaturesError(f"{name} features hold values that are not finite; extract them again")
        if labels.min() < 0 or labels.max() >= classes:
            raise FeaturesError(
                f"{name} labels must lie in 0..{classes - 1}, got {int(labels.min())}..{int(labels.max())}"
            )
        arrays += [features.to(weight.device, torch.float32), labels.to(weight.device, torch.int64)]
    for index, chosen in neurons.items():
        if not 0 <= index < classes:
            raise ReviewError(f"class {index} does not exist; the decision layer has classes 0..{classes - 1}")
        if not chosen or len(set(chosen)) != len(chosen) or min(chosen) < 0 or max(chosen) >= width:
            raise ReviewError(f"class {index}: expected different neurons in 0..{width - 1}, got {list(chosen)}")
    chosen_neurons = {index: tuple(chosen) for index, chosen in neurons.items()}
    return EditProblem(arrays[0], arrays[1], arrays[2], arrays[3], weight, bias, chosen_neurons)


def silenced_mask(neurons: Sequence[int], width: int, device: torch.device) -> Tensor:
    """(F,) True for the given neurons."""
    mask = torch.zeros(width, dtype=torch.bool, device=device)
    mask[list(neurons)] = True
    return mask


def _parts(features: Tensor) -> Iterator[Tensor]:
    """Views of some rows: what is computed of all of them at once would take the memory of a second copy."""
    return iter(features.split(max(1, _CHECKED_ELEMENTS // features.shape[1])))
