"""What the layers are called wherever a person reads of them."""

from collections.abc import Mapping
from typing import Final

TITLES: Final[Mapping[str, str]] = {
    "original": "Original",
    "retrain": "Retrain-only",
    "bias": "Bias shift",
    "cue_erasure": "Cue erasure",
    "ablate_refit": "Ablate and refit",
    "ratio": "The paper's edit",
    "con": "Contribution penalty",
    "silencing": "Silencing",
    "class_weighting": "Class weighting",
    "focal": "Focal loss",
}


def title_of(method: str) -> str:
    """The title of a method; one from outside is called by its name."""
    base = method.removesuffix("+bias")
    title = TITLES.get(base, base)
    return title if base == method else f"{title}, then a bias shift"


def refusals(refused: Mapping[str, str]) -> list[str]:
    """One sentence for each method that made no edit."""
    return [f"{title_of(method)} refused: {reason}" for method, reason in refused.items()]
