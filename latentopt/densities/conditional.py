"""A density with a table of scales besides its own levels, for elements whose scale is known."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from latentopt.densities.base import Density, Floats, fingerprint
from latentopt.densities.scale import GaussianDensity, ScaleDensity

_SCALES = np.exp(np.linspace(np.log(0.11), np.log(256), 64))
"""CompressAI's table."""


class ConditionalDensity(Density):
    """The levels of a factorized prior, as they are or at several widths, and then Gaussians.

    A factorized density is a mixture over all that a channel may hold; given what has crossed
    around an element, what remains is narrower, wider, and nearer to a Gaussian.
    """

    def __init__(self, density: Density, scaled: ScaleDensity | None = None):
        self._own, self._scaled = density, scaled or GaussianDensity(_SCALES)
        self.levels, self.lift = density.levels + self._scaled.levels, density.lift

    @property
    def parts(self) -> tuple[Density, ...]:
        return self._own, self._scaled

    @property
    def ladder(self) -> range:
        return range(self._own.levels, self.levels)

    @property
    def core(self) -> Density:
        return ConditionalDensity(self._own.core, self._scaled.core)

    @property
    def fingerprint(self) -> str:
        prints = self._own.fingerprint, self._scaled.fingerprint
        return fingerprint(f"conditional {prints}".encode())

    def _of(self, level: int) -> tuple[Density, int]:
        if level < self._own.levels:
            return self._own, level
        return self._scaled, level - self._own.levels

    def pdf(self, level: int, t: Floats) -> Floats:
        density, own = self._of(level)
        return density.pdf(own, t)

    def cdf(self, level: int, t: Floats) -> Floats:
        density, own = self._of(level)
        return density.cdf(own, t)

    def smoothed(self, level: int, t: Floats, variance: float) -> Floats:
        density, own = self._of(level)
        return density.smoothed(own, t, variance)

    def spread(self, level: int) -> float:
        density, own = self._of(level)
        return density.spread(own)

    def support(self, level: int) -> tuple[float, float]:
        density, own = self._of(level)
        return density.support(own)

    def score(self, levels: NDArray[np.integer], t: Floats) -> Floats:
        return self._by_part(levels, lambda part, own, where: part.score(own, t[where]), t.shape)

    def rescaled(self, levels: NDArray[np.integer], steps: NDArray[np.integer]) -> NDArray:
        own = levels < self._own.levels
        ours = self._own.rescaled(np.where(own, levels, 0), steps)
        theirs = self._scaled.rescaled(np.where(own, 0, levels - self._own.levels), steps)
        return np.where(own, ours, theirs + self._own.levels)

    def draw(self, levels: NDArray[np.integer], rng: np.random.Generator) -> Floats:
        return self._by_part(levels, lambda part, own, where: part.draw(own, rng), levels.shape)

    def _by_part(
        self,
        levels: NDArray[np.integer],
        compute: Callable[[Density, NDArray[np.integer], NDArray[np.bool_]], Floats],
        shape: tuple[int, ...],
    ) -> Floats:
        """What each part says of the elements (n,) that are at its levels."""
        out, ours = np.empty(shape), levels < self._own.levels
        for part, where, first in (
            (self._own, ours, 0),
            (self._scaled, ~ours, self._own.levels),
        ):
            if where.any():
                out[where] = compute(part, levels[where] - first, where)
        return out
