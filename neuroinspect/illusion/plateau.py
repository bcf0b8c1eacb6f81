"""Stop a picture that no longer improves; its neighbours go on."""

import torch
from torch import Tensor

# Of the score: what another window has to add.
_GAIN = 0.01


class Plateau:
    """Compares the mean score of each window of steps with that of the window before, picture by picture.

    A picture that has stopped is frozen, so that it does not depend on how long its neighbours need.
    """

    def __init__(self, window: int, count: int, *, device: torch.device) -> None:
        """Watch `count` pictures; a window of 0 steps never stops one."""
        self.stopped = torch.zeros(count, dtype=torch.bool, device=device)
        self._window = window
        self._sum = torch.zeros(count, device=device)
        self._before = torch.full((count,), -torch.inf, device=device)

    @property
    def watches(self) -> bool:
        """Whether any picture can ever stop."""
        return self._window > 0

    def all_stopped(self, step: int, scores: Tensor) -> bool:
        """Take in the scores (N,) of a step; asks the device at the end of a window only."""
        if not self.watches:
            return False
        self._sum += scores.detach()
        if (step + 1) % self._window:
            return False
        mean = self._sum / self._window
        self.stopped |= mean <= self._before + _GAIN * self._before.abs()
        self._before = mean
        self._sum = torch.zeros_like(self._sum)
        return bool(self.stopped.all())
