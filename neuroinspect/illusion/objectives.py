"""What an illusion minimises, for each picture on its own.

Reference: Ju, Park, Lee 2023, "NeuroInspect", CLIP-Illusion, eq. (2) to (4). The released code multiplies (B,) by (B, 1) and so
couples the pictures of a batch, and its loss turns round where a factor is negative; ours does neither.
"""

from enum import StrEnum

import torch
from torch import Tensor


class Objective(StrEnum):
    """Which picture is made: CLIP-Illusion (eq. 4), neuron and class without the guide (eq. 2), or the neuron alone."""

    ILLUSION = "illusion"
    WITHOUT_GUIDE = "without_guide"
    FEATURE_VISUALIZATION = "feature_visualization"


def pair_score(activation: Tensor, class_logit: Tensor, *, class_weight: float) -> Tensor:
    """A_n + gamma z_c of eq. (2), before the sign.

    Args:
        activation: (N,), pooled activation of each picture's neuron.
        class_logit: (N,), logit of each picture's class.
        class_weight: gamma; 0 is plain feature visualization.

    Returns:
        (N,).
    """
    return activation + class_weight * class_logit if class_weight else activation


def illusion_loss(score: Tensor, similarity: Tensor | None, *, guide_offset: float) -> Tensor:
    """Loss of eq. (4), or of eq. (2) without a guide.

    A product of two factors rewards making both negative; so a score that is not positive is raised alone, and the
    similarity never counts for less than the offset.

    Args:
        score: (N,), from `pair_score`.
        similarity: (N,), cosine of the picture's and the class's embedding; None: no guide.
        guide_offset: epsilon; keeps the score going where the guide does not know the class.

    Returns:
        (N,).
    """
    if similarity is None:
        return -score
    agreement = (similarity + guide_offset).clamp_min(guide_offset)
    return -torch.where(score > 0, agreement * score, score)
