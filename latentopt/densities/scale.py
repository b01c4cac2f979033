"""Densities of one shape with a table of scales: Gaussians and Laplace densities, with tails."""

from abc import abstractmethod
from collections.abc import Sequence
from math import sqrt
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr, ndtr, ndtri

from latentopt.densities.base import RARE, TAIL, Density, Floats, fingerprint

TAILS = ((0.004, 2.5), (0.0001, 8.0))
"""Contamination of the Gaussians, (weight, ratio of scales): chosen on eight CLIC photographs and
the lab-mean ladder by scripts/fit_tails.py, where it saves 0.3 % of the rate of ``int``."""

LAPLACE_TAILS = ((0.0001, 8.0),)
"""Contamination of the Laplace densities, whose own tails are wide already: for broken models
rather than for the rate, of which it costs 0.00015 bits per element."""


class ScaleDensity(Density):
    """Zero-mean densities of one shape, one per entry of a table of scales.

    Trained codecs meet residuals that their densities call impossible, and a coder that believes
    it pays 24 bits and more for each (CompressAI's 16-bit tables cap the price at 16). So each
    density is contaminated (Tukey 1960) by wider ones: ``tails`` has (weight, ratio of scales).
    """

    kind: str
    """Name of the shape, for the fingerprint."""
    deviation: float
    """Standard deviation at scale 1."""

    def __init__(self, scales: Floats, tails: Sequence[tuple[float, float]]):
        self.scales = np.asarray(scales, dtype=np.float64)
        self.levels = len(self.scales)
        self._mixture = [(1 - sum(w for w, _ in tails), 1.0), *tails]

    # What a subclass says of its shape, at scale 1 unless there is a scale.

    @abstractmethod
    def _cumulative(self, t: Floats) -> Floats:
        """Cumulative distribution at ``t`` (any shape)."""

    @abstractmethod
    def _smoothed(self, t: Floats, scale: float, variance: float) -> Floats:
        """Density plus independent Gaussian noise of that variance, which may be 0, at ``t``."""

    @abstractmethod
    def _reach(self, tail: float) -> float:
        """Where ``tail``, at most 1/2, of the mass is beyond."""

    @abstractmethod
    def _draw(self, rng: np.random.Generator, size: int) -> Floats:
        """Random numbers (size,)."""

    @property
    def core(self) -> Self:
        return type(self)(self.scales, tails=())

    @property
    def ladder(self) -> range:
        return range(self.levels)

    @property
    def fingerprint(self) -> str:
        # Six digits: CompressAI computes its scale table, whose last bit depends on the machine.
        scales = [f"{scale:.5e}" for scale in self.scales]
        return fingerprint(f"{self.kind} {scales} {self._mixture}".encode())

    def pdf(self, level: int, t: Floats) -> Floats:
        return self.smoothed(level, t, 0.0)

    def cdf(self, level: int, t: Floats) -> Floats:
        parts = [w * self._cumulative(t / (r * self.scales[level])) for w, r in self._mixture]
        return np.sum(parts, axis=0)

    def smoothed(self, level: int, t: Floats, variance: float) -> Floats:
        scale = self.scales[level]
        return np.sum(
            [w * self._smoothed(t, r * scale, variance) for w, r in self._mixture], axis=0
        )

    def spread(self, level: int) -> float:
        return float(self.deviation * self.scales[level])

    def rescaled(self, levels: NDArray[np.integer], steps: NDArray[np.integer]) -> NDArray:
        return np.clip(levels + steps, 0, self.levels - 1)

    def support(self, level: int) -> tuple[float, float]:
        ends = [self._reach(min(TAIL / w, 0.5)) * r for w, r in self._mixture]
        reach = float(max(ends) * self.scales[level])
        return -reach, reach

    def draw(self, levels: NDArray[np.integer], rng: np.random.Generator) -> Floats:
        """Random residuals (n,), one of each level; without the tails."""
        return self.scales[levels] * self._draw(rng, len(levels))

    def integer_bits(self, scales: Floats, residual: Floats) -> float:
        """Total cost of residuals rounded to integers, with a scale for each: a quick estimate."""
        distance = np.abs(np.rint(residual))
        p = np.full(distance.shape, RARE)
        for weight, ratio in self._mixture:
            width = ratio * scales
            ends = [self._cumulative((side - distance) / width) for side in (0.5, -0.5)]
            p += weight * (ends[0] - ends[1])
        return float(-np.log2(p).sum())


class GaussianDensity(ScaleDensity):
    """Gaussians (CompressAI's GaussianConditional)."""

    kind, deviation = "gaussian", 1.0

    def __init__(self, scales: Floats, tails: Sequence[tuple[float, float]] = TAILS):
        super().__init__(scales, tails)

    def _cumulative(self, t: Floats) -> Floats:
        return ndtr(t)

    def _smoothed(self, t: Floats, scale: float, variance: float) -> Floats:
        return _normal_pdf(t, np.sqrt(scale**2 + variance))

    def _reach(self, tail: float) -> float:
        return -ndtri(tail)

    def _draw(self, rng: np.random.Generator, size: int) -> Floats:
        return rng.standard_normal(size)

    def score(self, levels: NDArray[np.integer], t: Floats) -> Floats:
        return t / (self.scales**2)[levels][:, None]  # of the core: the paper's closed form


class LaplaceDensity(ScaleDensity):
    """Laplace densities exp(-|t| / scale) / (2 scale): the DCVC family's video codecs.

    The cusp at 0 is on the edge of the pieces over which cells are integrated, in all lattices:
    no cell but that of a coordinate 0 reaches beyond 0 (tests/densities/test_laplace.py).
    """

    kind, deviation = "laplace", sqrt(2)

    def __init__(self, scales: Floats, tails: Sequence[tuple[float, float]] = LAPLACE_TAILS):
        super().__init__(scales, tails)

    def _cumulative(self, t: Floats) -> Floats:
        below = 0.5 * np.exp(-np.abs(t))
        return np.where(t < 0, below, 1 - below)

    def _smoothed(self, t: Floats, scale: float, variance: float) -> Floats:
        if variance == 0:
            return np.exp(-np.abs(t) / scale) / (2 * scale)
        deviation = np.sqrt(variance)
        sides = [
            np.exp(
                variance / (2 * scale**2) + u / scale + log_ndtr(-u / deviation - deviation / scale)
            )
            for u in (t, -t)
        ]  # noise that ends below 0, and above
        return np.sum(sides, axis=0) / (2 * scale)

    def _reach(self, tail: float) -> float:
        return -np.log(2 * tail)

    def _draw(self, rng: np.random.Generator, size: int) -> Floats:
        return rng.laplace(size=size)

    def score(self, levels: NDArray[np.integer], t: Floats) -> Floats:
        return np.sign(t) / self.scales[levels][:, None]  # of the core, as the Gaussian's


def _normal_pdf(t: Floats, sigma: float) -> Floats:
    return np.exp(-0.5 * np.square(t / sigma)) / (sigma * np.sqrt(2 * np.pi))
