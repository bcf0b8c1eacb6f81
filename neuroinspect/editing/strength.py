"""Strength of an edit: how far the decision layer goes from the original to what the training made of it.

Reference: Wortsman et al. 2022, "Robust fine-tuning of zero-shot models" (linear interpolation of weights).
"""

import math

from torch import Tensor

from neuroinspect.errors import SettingsError

FULL = 1.0


def check_strength(strength: float) -> None:
    """Refuse what is no strength.

    Raises:
        SettingsError: it is not above 0 and at most 1.
    """
    if not (math.isfinite(strength) and 0.0 < strength <= FULL):
        raise SettingsError(
            f"the strength of an edit lies above 0 and at most at 1, got {strength!r}; 1 is the whole edit, and to "
            "leave the model as it is, reject the finding"
        )


def blend(original: tuple[Tensor, Tensor], edited: tuple[Tensor, Tensor], strength: float) -> tuple[Tensor, Tensor]:
    """The layer that lies a part of the way from the original to the edited one; at full strength the edited one itself.

    Args:
        original: weight (C, F) and bias (C,).
        edited: the same of the edited layer.
        strength: above 0, at most 1.
    """
    if strength == FULL:
        return edited
    weight, bias = (before + strength * (after - before) for before, after in zip(original, edited, strict=True))
    return weight, bias
