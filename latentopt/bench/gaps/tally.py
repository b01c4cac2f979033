"""Counts of a latent's elements, and what they say of its quantizer and of its entropy model.

Everything is in quantization steps, about the centres that the entropy model gives.
"""

from collections.abc import Callable

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from latentopt.densities import RARE, Density
from latentopt.latents import Crossed

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]

BINS = 20
"""Of the histogram in each step: each is 0.05 steps wide, as in the paper's Figure 2."""
REACH = 128
"""Steps; what is farther from its centre is counted as being there."""

_INTEGERS = np.arange(-REACH, REACH + 1)
_SPAN = len(_INTEGERS)
_BORDERS = np.arange(_SPAN + 1) - (REACH + 0.5)  # between them
_BIN = np.arange(-REACH * BINS, REACH * BINS + 1)
_MIDDLES = _BIN / BINS  # of bins
_BETWEEN = _MIDDLES[:-1] + 0.5 / BINS  # where distributions are compared: at no integer


class Tally:
    """Counts of a latent's elements, of any number of images, in memory that does not grow.

    Args:
        density: of the latent; its levels are those that elements have.
        channels: of the latent.
    """

    def __init__(self, density: Density, channels: int):
        self._density = density
        self._fine: Counts = np.zeros((channels, len(_BIN)), np.int64)
        self._levels: Counts = np.zeros((density.levels, _SPAN), np.int64)
        self._mixed: Counts = np.zeros((channels, density.levels), np.int64)
        self._whole: Counts = np.zeros((channels, _SPAN), np.int64)
        self._away: Floats = np.zeros((2, channels))

    def add(self, latent: Crossed, y: Floats) -> None:
        """Count an image's latent ``y`` (n,), which crossed as integers."""
        channels = len(self._mixed)
        channel = np.repeat(np.arange(channels), len(y) // channels)
        about, rounded = latent.prior.residual(y), latent.residual
        level, away = latent.prior.levels.astype(np.int64), np.abs(about - rounded)
        integer = _place(rounded, 1)
        _count(self._fine, channel, _place(about, BINS))
        _count(self._whole, channel, integer)
        _count(self._levels, level, integer)
        _count(self._mixed, channel, level)
        self._away += [np.bincount(channel, away), np.bincount(channel, away**2)]

    @property
    def elements(self) -> int:
        """How many were counted."""
        return int(self._whole.sum())

    @property
    def zeros(self) -> float:
        """The share that was rounded to the model's own guess."""
        return float(self._whole[:, REACH].sum() / self.elements)

    @property
    def histogram(self) -> tuple[Floats, Counts]:
        """Middles of bins, and how many elements were in each before they were rounded."""
        return _MIDDLES, self._fine.sum(axis=0)

    @property
    def discrete(self) -> tuple[float, float]:
        """Mean of \\|y - round(y)\\|^p, p = 1 and 2 (eq. 3)."""
        first, second = self._away.sum(axis=1) / self.elements
        return float(first), float(second)

    @property
    def wasserstein(self) -> float:
        """Between all rounded elements and the densities that the model has of them."""
        return float(self._distances(self._whole.sum(0)[None], self._mixed.sum(0)[None])[0])

    @property
    def kl_bits(self) -> float:
        """Mean of the channels' divergences, by their elements."""
        return _mean(_divergences(self._whole, self._expected(self._mixed)), self._whole)

    @property
    def kl_levels_bits(self) -> float:
        """Mean of the levels' divergences, by their elements."""
        own = np.eye(self._density.levels, dtype=np.int64)
        return _mean(_divergences(self._levels, self._expected(own)), self._levels)

    def channels(self) -> pd.DataFrame:
        """The same of each channel."""
        elements = self._whole.sum(axis=1)
        first, second = self._away / elements
        return pd.DataFrame(
            {
                "channel": np.arange(len(elements)),
                "elements": elements,
                "zeros": self._whole[:, REACH] / elements,
                "discrete_1": first,
                "discrete_2": second,
                "wasserstein": self._distances(self._whole, self._mixed),
                "kl_bits": _divergences(self._whole, self._expected(self._mixed)),
            }
        )

    def _expected(self, mixed: Counts) -> Floats:
        """Probabilities of the integers (k, integers) in mixtures of levels (k, levels)."""
        return _shares(mixed) @ self._by_level(
            lambda level: np.diff(self._density.cdf(level, _BORDERS))
        )

    def _distances(self, whole: Counts, mixed: Counts) -> Floats:
        """Wasserstein distances (k,) of integers (k, integers) to mixtures (k, levels)."""
        below = self._by_level(lambda level: self._density.cdf(level, _BETWEEN))
        passed = np.searchsorted(_INTEGERS, _BETWEEN)  # how many integers are below
        steps = np.pad(np.cumsum(_shares(whole), axis=1), ((0, 0), (1, 0)))[:, passed]
        return np.abs(steps - _shares(mixed) @ below).sum(axis=1) / BINS

    def _by_level(self, compute: Callable[[int], Floats]) -> Floats:
        """What is computed of each level (levels, …) that elements have; 0 of the others."""
        used = self._mixed.any(axis=0)
        found = [compute(level) if used[level] else None for level in range(len(used))]
        shape = next(row.shape for row in found if row is not None)
        return np.stack([np.zeros(shape) if row is None else row for row in found])


def _place(values: Floats, bins: int) -> Counts:
    """Which of the bins, so many in a step, values are in, of those in reach."""
    return np.rint(np.clip(values, -REACH, REACH) * bins).astype(np.int64) + REACH * bins


def _count(counts: Counts, rows: Counts, columns: Counts) -> None:
    """Add how often each row meets each column."""
    places = rows * counts.shape[1] + columns
    counts += np.bincount(places, minlength=counts.size).reshape(counts.shape)


def _shares(counts: Counts) -> Floats:
    """Each row divided by its sum; a row of nothing stays."""
    return counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)


def _divergences(counts: Counts, expected: Floats) -> Floats:
    """Kullback-Leibler divergences (k,) of rows of counts from probabilities, in bits an element.

    What is too rare for a table costs as much as it does in one.
    """
    shares = _shares(counts)
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = shares * np.log2(shares / np.maximum(expected, RARE))
    return np.where(counts > 0, terms, 0.0).sum(axis=1)


def _mean(values: Floats, counts: Counts) -> float:
    return float(np.average(values, weights=counts.sum(axis=1)))
