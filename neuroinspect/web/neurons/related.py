"""The classes a neuron belongs to most, so that a reviewer can look at it in them."""

from collections import OrderedDict
from threading import Lock
from typing import Final

import numpy as np
import torch

from neuroinspect.artifacts import RunFolder, read_array
from neuroinspect.illusion import related_classes
from neuroinspect.settings import Params
from neuroinspect.stages.models import classifier_of_run

_KEPT: Final = 8
_lock = Lock()
_weights: OrderedDict[str, tuple[torch.Tensor, torch.Tensor, tuple[str, ...]]] = OrderedDict()


def related_class_names(run: RunFolder, params: Params, neuron: int, *, count: int) -> list[str]:
    """Names of the classes whose logit a neuron raises most on their own pictures, the most related first.

    Raises:
        StageOrderError: extract has not run, or ran with another model.
        ModelError: the classifier cannot be loaded, or does not have the neuron.
    """
    key = f"{run.root.resolve()}\0{run.upstream_hash('extract')}"
    with _lock:
        if key not in _weights:
            folder = run.require("extract")
            weight = classifier_of_run(run, params).decision_layer.weight.detach().cpu()
            means = torch.from_numpy(np.array(read_array(folder / "representatives.npy")))
            names = tuple((run.stage_record("extract") or {})["summary"]["classes"])
            _weights[key] = (weight, means, names)
            while len(_weights) > _KEPT:
                _weights.popitem(last=False)
        weight, means, names = _weights[key]
    return [names[index] for index in related_classes(neuron, weight, means, count=count)]
