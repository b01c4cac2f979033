"""Straight-through rounding whose rate is taken where it is steepest nearby (Pan et al. 2021).

Equations are those of *Three Gaps for Quantisation in Learned Image Compression*, CVPR-W 2021.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from latentopt.quantizers.straight_through import StraightThrough

EPSILON = 1 / math.sqrt(12)
"""The standard deviation of noise uniform within half a step."""

_LEAST = 1e-9  # likelihood, as CompressAI bounds it


class SoftStraightThrough(StraightThrough):
    """In training: rounding for the synthesis, and for the rate a point beside it (eq. 6).

        y ──► round ──► y_hat ─────────────────────────────► synthesis
                          └──► + epsilon sign(rate'(y_hat)) ──► rate

    So the rate is that of the dearer neighbour, as by the fast gradient sign method: what is coded
    has to be cheap all around. Gradients pass as if nothing had been added or rounded.

    >>> y = torch.tensor([0.9, -2.2])
    >>> SoftStraightThrough().priced(y.round(), lambda y: torch.exp(-y.abs()))
    tensor([ 1.2887, -2.2887])

    Args:
        epsilon: how far that is, in steps.
    """

    def __init__(self, epsilon: float = EPSILON):
        super().__init__()
        self.epsilon = epsilon

    def priced(self, y_hat: Tensor, likelihood: Callable[[Tensor], Tensor]) -> Tensor:
        """``y_hat`` plus xi, whose gradient is the identity."""
        with torch.enable_grad():
            leaf = y_hat.detach().requires_grad_()
            rate = -likelihood(leaf).clamp(min=_LEAST).log().sum()
            [slope] = torch.autograd.grad(rate, leaf)
        return y_hat + self.epsilon * slope.sign()
