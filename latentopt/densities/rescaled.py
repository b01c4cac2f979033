"""A density at several widths: how densities without a table of scales get corrected ones."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from latentopt.densities.base import Density, Floats, fingerprint
from latentopt.densities.conditional import ConditionalDensity

WIDTHS = [2.0 ** (k / 4) for k in (-1, 1, -2, 2, -3, 3, -4, 4)]
"""How densities without a table of scales are stretched where their scales are corrected."""


class RescaledDensity(Density):
    """Another density at several widths: p(t / s) / s of each of its levels, for each factor s.

    The first levels are those of the density itself, so levels that nobody rescales stay as they
    are; each later factor adds as many again.
    """

    def __init__(self, density: Density, factors: Sequence[float] = WIDTHS):
        self._density, self._factors = density, (1.0, *factors)
        self._by_width = np.argsort(self._factors)
        self.levels, self.lift = density.levels * len(self._factors), density.lift

    def _own(self, level: int) -> tuple[int, float]:
        return level % self._density.levels, self._factors[level // self._density.levels]

    @property
    def conditional(self) -> Density:
        return ConditionalDensity(self)

    @property
    def fingerprint(self) -> str:
        return fingerprint(f"rescaled {self._density.fingerprint} {self._factors}".encode())

    def pdf(self, level: int, t: Floats) -> Floats:
        own, s = self._own(level)
        return self._density.pdf(own, t / s) / s

    def cdf(self, level: int, t: Floats) -> Floats:
        own, s = self._own(level)
        return self._density.cdf(own, t / s)

    def smoothed(self, level: int, t: Floats, variance: float) -> Floats:
        own, s = self._own(level)
        return self._density.smoothed(own, np.asarray(t) / s, variance / s**2) / s

    def spread(self, level: int) -> float:
        own, s = self._own(level)
        return s * self._density.spread(own)

    def draw(self, levels: NDArray[np.integer], rng: np.random.Generator) -> Floats:
        own, width = levels % self._density.levels, levels // self._density.levels
        return np.array(self._factors)[width] * self._density.draw(own, rng)

    def score(self, levels: NDArray[np.integer], t: Floats) -> Floats:
        factors = np.array(self._factors)[levels // self._density.levels][:, None]
        return self._density.score(levels % self._density.levels, t / factors) / factors

    def support(self, level: int) -> tuple[float, float]:
        own, s = self._own(level)
        low, high = self._density.support(own)
        return s * low, s * high

    def rescaled(self, levels: NDArray[np.integer], steps: NDArray[np.integer]) -> NDArray:
        own, width = levels % self._density.levels, levels // self._density.levels
        rank = np.argsort(self._by_width)[width] + steps
        width = self._by_width[np.clip(rank, 0, len(self._factors) - 1)]
        return own + width * self._density.levels
