"""Gaussian noise by a dither: uniform noise of a width that is drawn, too (eq. 29).

    y / S ──► dithered integers ──► times S:  y + S U,  of the distribution of y + N(0, sigma^2)

With S = 2 sigma sqrt(G), G ~ Gamma(3/2, 1/2), and U uniform on [-1/2, 1/2), S U is Gaussian
(Agustsson and Theis 2020). Both sides draw S from 16 widths, each for a 16th of G's distribution:
what arrives is a mixture of 16 uniform ones, whose distribution is within 0.002 of the Gaussian's.
"""

import hashlib

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammainc, gammaincinv

from latentopt.densities import Density, Floats, RescaledDensity
from latentopt.latents.channel import Point
from latentopt.latents.dither.channel import DitherChannel
from latentopt.latents.dither.dithered import DitheredLatent
from latentopt.latents.dither.philox import places
from latentopt.latents.lattice.placed import PLACES
from latentopt.latents.prior import Prior
from latentopt.latents.walk import Carry, Walk
from latentopt.lattices import RULES
from latentopt.pmf.tables import Ints

WIDTHS = 16
_DIGITS = 2.0**16
_STREAM = 1  # of the generator: places have 0


def widths(sigma: float) -> Floats:
    """(16,) the widths S: of each 16th of G, the one that has its variance.

    Multiples of 1/65536, which every machine computes alike.
    """
    ends = gammaincinv(1.5, np.arange(WIDTHS + 1) / WIDTHS)  # of G / 2
    mean = 3 * WIDTHS * np.diff(gammainc(2.5, ends))  # of G, within each 16th
    found: Floats = (2 * sigma * np.sqrt(mean) * _DIGITS).round() / _DIGITS
    return found


class GaussChannel:
    """Delivers y + N(0, sigma^2), whatever y is, at the rate I[Y, (Y + S U, S)].

    Args:
        density: of the residual, per level.
        seed: of the noise, 0 to 2^32 - 1.
        sigma: standard deviation of the noise, in units of the residual.
        mean: see :class:`Reconstruction`; of Gaussian noise of a known width.
    """

    def __init__(self, density: Density, seed: int, sigma: float, mean: bool = False):
        self.density, self.seed, self._sizes = density, seed, widths(sigma)
        in_widths = RescaledDensity(density, tuple(1 / self._sizes))
        self._inner = DitherChannel(in_widths, RULES["int"], seed, mean=mean)

    def send(self, walk: Walk, target: Point, /) -> DitheredLatent:
        """See :class:`DitherChannel`."""
        return self._inner.send(self._in_widths(walk), target)

    def receive(self, walk: Walk, string: bytes, /) -> DitheredLatent:
        """See :class:`DitherChannel`."""
        return self._inner.receive(self._in_widths(walk), string)

    def _in_widths(self, walk: Walk) -> "InWidths":
        return InWidths(walk, self._sizes, self.density.levels, self.seed)

    def dump(self) -> Ints:
        """Nothing besides the density, as of :class:`DitherChannel`."""
        return self._inner.dump()

    def digest(self) -> bytes:
        """Of density and widths; the seed is in the header."""
        return hashlib.sha256(b"gauss 1 " + self._inner.digest()).digest()


class InWidths:
    """A walk whose residuals are in units of widths that are drawn for each element.

    Levels are those of a :class:`RescaledDensity`, which has each at all widths.
    """

    def __init__(self, walk: Walk, sizes: Floats, levels: int, seed: int):
        self._walk, self._sizes, self._levels = walk, sizes, levels
        drawn = places(seed, walk.shape, _STREAM) // (PLACES // WIDTHS)
        self._drawn = drawn.astype(np.int64)

    @property
    def shape(self) -> tuple[int, ...]:
        """See :class:`Walk`."""
        return self._walk.shape

    def go(self, carry: Carry) -> None:
        """See :class:`Walk`."""

        def scaled(
            index: NDArray[np.int64],
            levels: NDArray[np.int16],
            centres: NDArray[np.floating],
            steps: NDArray[np.floating] | None = None,
            /,
        ) -> NDArray[np.floating]:
            return carry(index, *self._scaled(self._drawn[index], levels, centres, steps))

        self._walk.go(scaled)

    def estimate(self, y: NDArray[np.floating]) -> Prior:
        """See :class:`Walk`."""
        prior = self._walk.estimate(y)
        words = self._scaled(self._drawn, prior.levels, prior.centres, prior.steps)
        return Prior(prior.shape, *words)

    def _scaled(
        self,
        drawn: NDArray[np.int64],
        levels: NDArray[np.int16],
        centres: NDArray[np.floating],
        steps: NDArray[np.floating] | None,
    ) -> tuple[NDArray[np.int16], NDArray[np.floating], NDArray[np.floating]]:
        own = self._sizes[drawn].astype(centres.dtype)
        found = (levels + self._levels * (drawn + 1)).astype(np.int16)
        return found, centres, own if steps is None else own * steps
