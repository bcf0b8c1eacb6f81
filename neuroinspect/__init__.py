"""Find out why an image classifier is wrong, edit its decision layer, and measure whether that helped.

The names below are loaded when they are first used, so `import neuroinspect` costs nothing.
"""

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from neuroinspect.classifier import Classifier, load_classifier
    from neuroinspect.counterfactual import Counterfactuals, explain_mistakes
    from neuroinspect.editing.edit import Edit, edit_decision_layer
    from neuroinspect.errors import NeuroInspectError
    from neuroinspect.illusion import Illusion, core_relevance, pixel_masks, synthesize
    from neuroinspect.masking import neuron_family, probability_ratio
    from neuroinspect.ranking import Ranking, rank_neurons
    from neuroinspect.settings import CounterfactualSettings, EditSettings, IllusionSettings
    from neuroinspect.text_guide import TextGuide

__version__ = version("neuroinspect")

__all__ = [
    "Classifier",
    "CounterfactualSettings",
    "Counterfactuals",
    "Edit",
    "EditSettings",
    "Illusion",
    "IllusionSettings",
    "NeuroInspectError",
    "Ranking",
    "TextGuide",
    "__version__",
    "core_relevance",
    "edit_decision_layer",
    "explain_mistakes",
    "load_classifier",
    "neuron_family",
    "pixel_masks",
    "probability_ratio",
    "rank_neurons",
    "synthesize",
]

_HOMES = {
    "classifier": ("Classifier", "load_classifier"),
    "counterfactual": ("Counterfactuals", "explain_mistakes"),
    "editing.edit": ("Edit", "edit_decision_layer"),
    "errors": ("NeuroInspectError",),
    "illusion": ("Illusion", "core_relevance", "pixel_masks", "synthesize"),
    "masking": ("neuron_family", "probability_ratio"),
    "ranking": ("Ranking", "rank_neurons"),
    "settings": ("CounterfactualSettings", "EditSettings", "IllusionSettings"),
    "text_guide": ("TextGuide",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME_OF[name]}"), name)


def __dir__() -> list[str]:
    return __all__
