"""Soft rounding (Agustsson and Theis 2020): between the identity and rounding, and undone again.

Equations are those of *Universally Quantized Neural Compression*, NeurIPS 2020.
"""

import math

import torch
from torch import Tensor

from latentopt.errors import InputError
from latentopt.quantizers.noise import Noise

_IDENTITY = 1e-3
"""Below it soft rounding is the identity but for what float32 has no digits for."""
SHARPEST = 64.0


def soft_round(y: Tensor, alpha: float) -> Tensor:
    """s_alpha (eq. 10 and 11): the identity for 0, rounding towards infinity; in any shape.

    Raises:
        InputError: ``alpha`` is not from 0 to 64.
    """
    _check(alpha)
    if alpha < _IDENTITY:
        return y
    cell = torch.floor(y)
    r = y - cell - 0.5
    return cell + 0.5 * torch.tanh(alpha * r) / math.tanh(alpha / 2) + 0.5


def soft_round_inverse(z: Tensor, alpha: float) -> Tensor:
    """The inverse of :func:`soft_round` (eq. 12).

    Raises:
        InputError: ``alpha`` is not from 0 to 64.
    """
    _check(alpha)
    if alpha < _IDENTITY:
        return z
    cell = torch.floor(z)
    r = z - cell - 0.5
    x = 2 * math.tanh(alpha / 2) * r
    if alpha < 1:
        return cell + 0.5 + torch.atanh(x) / alpha
    # atanh(|x|), with 1 - |x| from its two parts: where alpha is large the difference is lost.
    size = r.abs()
    rest = (1 - 2 * size) + 2 * size * (2 / (math.exp(alpha) + 1))
    return cell + 0.5 + r.sign() * (torch.log1p(x.abs()) - rest.log()) / (2 * alpha)


def soft_reconstruction(z: Tensor, alpha: float) -> Tensor:
    """r_alpha (eq. 14), the mean of y given ``z`` = s_alpha(y) + u for a u uniform about 0.

    Raises:
        InputError: ``alpha`` is not from 0 to 64.
    """
    return soft_round_inverse(z - 0.5, alpha) + 0.5


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
        _check(alpha)
        self._alpha = alpha

    def relaxed(self, y: Tensor, means: Tensor | None = None) -> Tensor:
        """What arrives for ``y``; without noise it would be ``y`` itself."""
        centred = y if means is None else y - means
        z = super().relaxed(soft_round(centred, self.alpha))
        found = soft_reconstruction(z.detach() if self.expected else z, self.alpha)
        if self.expected:
            found = found + (z - z.detach())
        return found if means is None else found + means


def _check(alpha: float) -> None:
    if not 0 <= alpha <= SHARPEST:  # true for NaN, too
        raise InputError(f"alpha {alpha}: soft rounding takes 0 to {SHARPEST:g}")
