"""Soft rounding (Agustsson and Theis 2020): between the identity and rounding, and undone again.

Equations are those of *Universally Quantized Neural Compression*, NeurIPS 2020.
"""

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from latentopt.densities import Density, Floats, RescaledDensity
from latentopt.densities.base import fingerprint
from latentopt.errors import InputError
from latentopt.latents.lattice.placed import PLACES

_IDENTITY = 1e-3
"""Below it soft rounding is the identity but for what float32 has no digits for."""
SHARPEST = 64.0

_DIGITS = 2.0**16
"""What a decoder takes for r_alpha are multiples of 1/65536, which every machine computes alike."""


def soft_round(y: Tensor, alpha: float) -> Tensor:
    """s_alpha (eq. 10 and 11): the identity for 0, rounding towards infinity; in any shape.

    Raises:
        InputError: ``alpha`` is not from 0 to 64.
    """
    check_alpha(alpha)
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
    check_alpha(alpha)
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


def check_alpha(alpha: float) -> None:
    """Raises InputError unless it is from 0 to 64."""
    if not 0 <= alpha <= SHARPEST:  # true for NaN, too
        raise InputError(f"alpha {alpha}: soft rounding takes 0 to {SHARPEST:g}")


def soft_targets(y: Floats, alpha: float) -> Floats:
    """:func:`soft_round` of arrays of any shape: what an encoder does before the dither."""
    return soft_round(torch.from_numpy(y), alpha).numpy() if alpha else y


def soft_places(i: NDArray[np.integer], alpha: float) -> Floats:
    """:func:`soft_reconstruction` of points ``i`` (any shape), in 64ths: it follows the dither."""
    if not alpha:
        return i / PLACES
    whole, place = np.divmod(i, PLACES)
    z = torch.arange(PLACES, dtype=torch.float64) / PLACES
    within = (soft_reconstruction(z, alpha).numpy() * _DIGITS).round() / _DIGITS
    found: Floats = whole + within[place]
    return found


class SoftDensity(RescaledDensity):
    """Of s_alpha(y), of which a cell has what y has between the inverses of its ends (eq. 22)."""

    def __init__(self, density: Density, alpha: float):
        super().__init__(density, ())
        self._alpha = alpha

    @property
    def fingerprint(self) -> str:
        return fingerprint(f"soft {super().fingerprint} {self._alpha}".encode())

    def cdf(self, level: int, t: Floats) -> Floats:
        return super().cdf(level, soft_round_inverse(torch.from_numpy(t), self._alpha).numpy())
