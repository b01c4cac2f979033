"""A density as steps: integer counts on a grid, with cumulatives and inverses in exact arithmetic.

    p(t)    ┌─┐          C(t) = cum[j] + (t - t_j) / width * count[j],     in counts of 2^24
          ┌─┘ └─┐        C is a line in each cell, and so is its inverse: products, sums and
      ──┬─┴┬─┬─┬┴─┬──    quotients of float64, which are the same on every machine
       t_j

What is drawn from a prior is C^-1 of a random number. Steps stand in for the codec's density on
both sides: samples are those of the posterior whatever the steps, which only make them dearer.
"""

import numpy as np
from numpy.typing import NDArray

from latentopt.densities import Density, Floats
from latentopt.latents.dither.philox import Words
from latentopt.pmf import TOTAL, Counts

CELLS = 2048
_MARGIN = 6.0
_REACH = 6.0
"""Spreads to each side that alphabets reach; what is beyond is escaped."""
_FINE = 64.0

Levels = NDArray[np.integer]


class Steps:
    """All levels of a density, with Gaussian noise of standard deviation ``noise`` added."""

    def __init__(self, density: Density, noise: float):
        self._density, self._noise = density, noise
        each = [self._grid(level) for level in range(density.levels)]
        self._start, self._width = (np.array(values) for values in zip(*each))
        counts = [self._counts(level).counts for level in range(density.levels)]
        self._count = np.array(counts, np.int64)
        self._cum = np.zeros((density.levels, CELLS + 1))
        self._cum[:, 1:] = self._count.cumsum(axis=1)
        ends = self._cum[:, 1:] + TOTAL * np.arange(density.levels)[:, None]
        self._ends = ends.ravel()  # of all levels one after the other: sorted
        self.reach = np.ceil(_REACH * density.spreads * _FINE) / _FINE
        """(levels,) how far from 0 a residual commonly is."""

    def _grid(self, level: int) -> tuple[float, float]:
        """Where the first cell begins, and how wide cells are: a power of two."""
        low, high = self._density.support(level)
        low, high = low - _MARGIN * self._noise, high + _MARGIN * self._noise
        width = 2.0 ** np.ceil(np.log2((high - low) / (CELLS - 1)))
        return float(np.floor((low + high - CELLS * width) / 2 / width) * width), float(width)

    def _counts(self, level: int) -> Counts:
        edges = self._start[level] + self._width[level] * np.arange(CELLS + 1)
        if self._noise == 0:
            mass = np.diff(self._density.cdf(level, edges))
        else:
            middles = edges[:-1] + self._width[level] / 2
            mass = self._density.smoothed(level, middles, self._noise**2)
        return Counts.from_probabilities(mass, self._density.lift)

    def _cells(self, levels: Levels, t: Floats) -> tuple[Floats, NDArray[np.int64]]:
        x = np.clip((t - self._start[levels]) / self._width[levels], 0, CELLS)
        return x, np.minimum(x, CELLS - 1).astype(np.int64)

    def cumulative(self, levels: Levels, t: Floats) -> Floats:
        """C at ``t``, for levels of the same shape or one that broadcasts: 0 to 2^24."""
        x, cell = self._cells(levels, t)
        return self._cum[levels, cell] + (x - cell) * self._count[levels, cell]

    def inverse(self, levels: Levels, c: Floats) -> Floats:
        """The mirror of :meth:`cumulative`, for ``c`` from 0 to below 2^24."""
        row = np.asarray(levels, np.int64)
        place = np.searchsorted(self._ends, c + TOTAL * row, side="right") - CELLS * row
        part = (c - self._cum[row, place]) / self._count[row, place]
        return self._start[row] + self._width[row] * (place + part)

    def samples(self, levels: Levels, words: Words) -> Floats:
        """Of the levels, one by each random word: all of its 32 bits count."""
        return self.inverse(levels, words.astype(np.float64) / 256)

    def log_density(self, levels: Levels, t: Floats) -> Floats:
        """log p at ``t``, in nats; of the outermost cell beyond them. For encoders only."""
        cell = self._cells(levels, t)[1]
        return np.log(self._count[levels, cell] / (TOTAL * self._width[levels]))
