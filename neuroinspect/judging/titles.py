"""What the layers are called wherever a person reads of them."""

from collections.abc import Mapping
from typing import Final

TITLES: Final[Mapping[str, str]] = {
    "original": "Original",
    "retrain": "Retrain-only",
    "bias": "Bias shift",
    "ratio": "The paper's edit",
    "con": "Contribution penalty",
    "ablate_refit": "Ablate and refit",
    "cue_erasure": "Cue erasure",
}


def title_of(method: str) -> str:
    """The title of a method; one from outside is called by its name."""
    return TITLES.get(method, method)


def refusals(refused: Mapping[str, str]) -> list[str]:
    """One sentence for each method that made no edit."""
    return [f"{title_of(method)} refused: {reason}" for method, reason in refused.items()]
