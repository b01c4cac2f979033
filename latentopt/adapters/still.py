"""Copies of models whose weights stay where they are, so that threads may share them."""

import copy

from compressai.layers import CheckerboardMaskedConv2d, MaskedConv2d
from torch import Tensor, nn


class _Still(MaskedConv2d):
    """Masks its weights where it uses them.

    CompressAI's masked convolutions put masked weights in place of their own whenever they run: the
    memory that another thread's convolution reads is freed under it.
    """

    def forward(self, x: Tensor) -> Tensor:
        return self._conv_forward(x, self.weight * self.mask, self.bias)


class _StillCheckerboard(_Still, CheckerboardMaskedConv2d):
    """The same with a checkerboard's mask."""


_STILL = {MaskedConv2d: _Still, CheckerboardMaskedConv2d: _StillCheckerboard}


def still_copy(model: nn.Module) -> nn.Module:
    """A copy of a model that computes the same and never writes to its weights."""
    own = copy.deepcopy(model)
    for module in own.modules():
        module.__class__ = _STILL.get(type(module), type(module))
    return own
