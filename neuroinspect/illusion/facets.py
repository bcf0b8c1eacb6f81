"""One neuron in the classes it belongs to most.

Reference: Ju, Park, Lee 2023, "NeuroInspect", section III-D, which draws a neuron in its k most related classes and leaves open
how they are found. Ours are those whose logit the neuron raises most on their own pictures.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from neuroinspect.classifier import Classifier
from neuroinspect.errors import FeaturesError, ModelError
from neuroinspect.illusion.synthesize import Illusion, synthesize
from neuroinspect.settings import IllusionSettings
from neuroinspect.text_guide import GuidedTexts, TextGuide


def related_classes(neuron: int, decision_weight: Tensor, class_features: Tensor, *, count: int) -> list[int]:
    """The classes a neuron speaks for most: the largest W_cj * mean f_j, the mean over the pictures of class c.

    The weight alone would also name classes whose pictures never excite the neuron, the mean alone those it speaks against.

    Args:
        neuron: j.
        decision_weight: (C, F), W of the decision layer.
        class_features: (C, F), mean features of each class, such as the representatives of extract.
        count: how many, at least 1; all classes where there are fewer.

    Returns:
        Class indices, the most related first; of equal ones the lower index.

    Raises:
        FeaturesError: the mean features have another shape than the weights, or count is under 1.
        ModelError: the model does not have the neuron.
    """
    if class_features.shape != decision_weight.shape:
        raise FeaturesError(
            f"expected mean features of shape {tuple(decision_weight.shape)}, got {tuple(class_features.shape)}"
        )
    if count < 1:
        raise FeaturesError(f"expected at least one class, got {count}")
    if not 0 <= neuron < decision_weight.shape[1]:
        raise ModelError(f"there is no neuron {neuron}; the model has those from 0 to {decision_weight.shape[1] - 1}")
    contribution = (decision_weight[:, neuron] * class_features[:, neuron].to(decision_weight.device)).cpu()
    return torch.argsort(contribution, descending=True, stable=True)[:count].tolist()


def facets(
    classifier: Classifier,
    neuron: int,
    class_features: Tensor,
    *,
    count: int = 4,
    guide: GuidedTexts | TextGuide | None,
    settings: IllusionSettings,
    generator: torch.Generator,
    floors: Sequence[float] | None = None,
) -> list[Illusion]:
    """Illusions of one neuron in its most related classes.

    Args:
        classifier: the model.
        neuron: which.
        class_features: (C, F), mean features of each class.
        count: of classes.
        guide: as for `synthesize`.
        settings: of the loop.
        generator: its seed is the seed of all pictures.
        floors: activation each picture has to reach, one for each class; None: more than its start.

    Returns:
        One illusion for each class, the most related first.

    Raises:
        FeaturesError: the mean features have another shape, or count is under 1.
        ModelError: the model does not have the neuron.
    """
    classes = related_classes(neuron, classifier.decision_layer.weight, class_features, count=count)
    pairs = [(neuron, class_index) for class_index in classes]
    return synthesize(classifier, pairs, guide=guide, settings=settings, generator=generator, floors=floors)
