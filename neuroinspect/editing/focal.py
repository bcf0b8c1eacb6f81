"""Focal loss, a rival of the paper: retrain while samples count the less, the surer they are right.

Reference: Lin et al. 2017, "Focal Loss for Dense Object Detection", eq. (4); the paper compares with gamma 2.
"""

from neuroinspect.editing.problem import EditProblem, Try
from neuroinspect.settings import EditSettings


def focal_tries(problem: EditProblem, settings: EditSettings) -> list[Try]:
    """One try for each gamma."""
    return [
        Try({"focal_gamma": gamma}, problem.weight, problem.bias, weight_decay=settings.train.weight_decay, focal=gamma)
        for gamma in settings.focal_gammas
    ]
