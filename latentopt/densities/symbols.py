"""Densities of symbols: numbers without an order, each with a probability."""

from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from latentopt.densities.base import Density, Floats, fingerprint

ABSENT = -1
"""What stands for a symbol that did not arrive."""


class SymbolDensity(Density):
    """Each symbol's probability, spread evenly over the numbers that round to it.

    So integers have just the symbols' probabilities.

    >>> density = SymbolDensity(np.log([[0.75, 0.25]]))
    >>> density.cdf(0, np.array([-0.5, 0.5, 1.5]))
    array([0.  , 0.75, 1.  ])

    Args:
        log_p: (levels, symbols) log-probabilities in nats.
    """

    def __init__(self, log_p: NDArray[np.floating]):
        p = np.exp(np.asarray(log_p, np.float64))
        self._p = p / p.sum(axis=1, keepdims=True)
        self.levels, self.symbols = self._p.shape
        self._edges = np.pad(np.cumsum(self._p, axis=1), [(0, 0), (1, 0)])  # (levels, symbols + 1)
        self._fingerprint = fingerprint(b"symbols", np.asarray(log_p).astype("<f4"))

    @property
    def fingerprint(self) -> str:
        return self._fingerprint

    @cached_property
    def absent(self) -> Floats:
        """None of the symbols."""
        return np.full(self.levels, float(ABSENT))

    def pdf(self, level: int, t: Floats) -> Floats:
        symbol = np.floor(np.asarray(t) + 0.5).astype(np.int64)
        inside = (symbol >= 0) & (symbol < self.symbols)
        return np.where(inside, self._p[level, symbol.clip(0, self.symbols - 1)], 0.0)

    def cdf(self, level: int, t: Floats) -> Floats:
        edges = np.arange(self.symbols + 1) - 0.5
        return np.interp(t, edges, self._edges[level])

    def smoothed(self, level: int, t: Floats, variance: float) -> Floats:
        edges = np.arange(self.symbols + 1) - 0.5
        below = ndtr((np.asarray(t)[..., None] - edges) / np.sqrt(variance))
        return np.asarray((below[..., :-1] - below[..., 1:]) @ self._p[level])

    def spread(self, level: int) -> float:
        """That of as many equally likely numbers as the entropy is worth."""
        p = self._p[level]
        entropy = -(p * np.log(np.maximum(p, 1e-300))).sum()
        return float(np.exp(entropy) / np.sqrt(12))

    def score(self, levels: NDArray[np.integer], t: Floats) -> Floats:
        """0: symbols have no neighbours to be shifted to."""
        return np.zeros(np.shape(t))

    def rescaled(self, levels: NDArray[np.integer], steps: NDArray[np.integer]) -> NDArray:
        return levels

    def draw(self, levels: NDArray[np.integer], rng: np.random.Generator) -> Floats:
        above = rng.random(len(levels))[:, None] >= self._edges[levels][:, 1:-1]
        return above.sum(axis=1).astype(np.float64)

    def support(self, level: int) -> tuple[float, float]:
        return -0.5, self.symbols - 0.5
