"""Additive uniform noise (Ballé et al. 2017): rounding errors without the rounding."""

import torch
from torch import Tensor

from latentopt.quantizers.base import Quantizer


class Noise(Quantizer):
    """In training, adds noise uniform within half a step of 0, whatever the means.

    >>> noise = Noise(torch.Generator().manual_seed(0))
    >>> y = torch.zeros(3)
    >>> noise(y)
    tensor([-0.0037,  0.2682, -0.4115])
    >>> noise.eval()(y + 0.7)
    tensor([1., 1., 1.])

    Args:
        generator: of the noise. On another device than the latent's, noise is made there and moved.
    """

    def __init__(self, generator: torch.Generator):
        super().__init__()
        self.generator = generator

    def relaxed(self, y: Tensor, means: Tensor | None = None) -> Tensor:
        """``y`` plus noise; its gradient is the identity."""
        return y + self._drawn(y)

    def reseed(self, seed: int) -> None:
        self.generator.manual_seed(seed)

    def _drawn(self, y: Tensor) -> Tensor:
        device = self.generator.device
        unit = torch.rand(y.shape, generator=self.generator, device=device, dtype=torch.float32)
        return (unit - 0.5).to(y)
