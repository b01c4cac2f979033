"""Soft rounding as a quantizer (Agustsson and Theis 2020), noise included.

Equations are those of *Universally Quantized Neural Compression*, NeurIPS 2020.
"""

import torch
from torch import Tensor

from latentopt.latents.dither.soft import (
    check_alpha,
    soft_reconstruction,
    soft_round,
    soft_round_inverse,
)
from latentopt.quantizers.noise import Noise

__all__ = ["SoftRound", "soft_reconstruction", "soft_round", "soft_round_inverse"]


class SoftRound(Noise):
    """In training: soft rounding, noise, and the reconstruction of what was there before them.

        y - means ──► s_alpha ──► + noise ──► r_alpha ──► + means

    >>> quantizer = SoftRound(torch.Generator().manual_seed(0), alpha=16.0)
    >>> quantizer(torch.tensor([0.2, 1.9]))
    tensor([-4.5949e-04,  2.0374e+00])

    Args:
        generator: of the noise, see :class:`Noise`.
        alpha: how sharp rounding is, 0 to 64; training goes from 1 to 16.
        expected: in the backward pass, the gradient expected over the noise (eq. 17 to 20) in place
            of that of the noise that was drawn, which is large near half-integers. As r_alpha rises
            by 1 from z - 1/2 to z + 1/2, that of what follows the noise is the identity.

    Raises:
        InputError: ``alpha`` is not from 0 to 64; also where it is changed.
    """

    def __init__(self, generator: torch.Generator, alpha: float, expected: bool = False):
        super().__init__(generator)
        self.alpha, self.expected = alpha, expected

    @property
    def alpha(self) -> float:
        """How sharp rounding is; a training may change it at any time."""
        return self._alpha

    @alpha.setter
    def alpha(self, alpha: float) -> None:
        check_alpha(alpha)
        self._alpha = alpha

    def relaxed(self, y: Tensor, means: Tensor | None = None) -> Tensor:
        """What arrives for ``y``; without noise it would be ``y`` itself."""
        centred = y if means is None else y - means
        z = super().relaxed(soft_round(centred, self.alpha))
        found = soft_reconstruction(z.detach() if self.expected else z, self.alpha)
        if self.expected:
            found = found + (z - z.detach())
        return found if means is None else found + means
