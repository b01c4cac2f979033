"""Which of a block's candidates the encoder takes: candidates x_0, x_1, … come from the prior p.

    Arrivals     argmin  T_i p(x_i) / q(x_i)   T_i of a Poisson process, or each by itself
    Rejection    the first that a coin accepts  Harsha et al. 2007, greedy
    Arrived      the first with  T_i < t(q/p)   Flamich 2023, greedy, in a Poisson process

The two greedy ones of one element share one function. What has been accepted of x once the level L
is reached is min(q, L p), so what is left over is e(L) = E_q[max(0, 1 - L p / q)], and L rises by
what is left: by L' = L + e(L) from one candidate to the next (Rejection), which accepts x with the
probability (q/p - L) / e(L), cut to 0 … 1; or by dL/dt = e(L) in time (Arrived), t(L) its inverse.
"""

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from latentopt.densities import Floats
from latentopt.latents.sampling.cut import Ints64
from latentopt.latents.sampling.posterior import Posterior

Mask = NDArray[np.bool_]

_OWN = 2  # the encoder's own randomness, of a seed
_NODES = 64
_STANDARD = ndtri((np.arange(_NODES) + 0.5) / _NODES)  # of equal mass of N(0, 1)


class Race(ABC):
    """The candidates of blocks, a batch at a time; only the encoder runs it."""

    index: Ints64  # (b,) of the candidate that is ahead

    @abstractmethod
    def run(self, running: Mask, log_weights: Floats, start: int) -> None:
        """With the next candidates, log q / p (k, r) of those r blocks that are ``running``."""

    @abstractmethod
    def is_open(self) -> Mask:
        """(b,) whether a later candidate could still be taken."""


class Least:
    """Of each block, the candidate with the least score so far, of equal ones the first."""

    def __init__(self, blocks: int):
        self.index = np.zeros(blocks, np.int64)
        self.score = np.full(blocks, np.inf)

    def offer(self, some: Mask, scores: Floats, start: int) -> None:
        """The next candidates' scores (k, r), of those r blocks."""
        best = scores.min(axis=0)
        is_better = best < self.score[some]
        self.index[some] = np.where(is_better, start + scores.argmin(axis=0), self.index[some])
        self.score[some] = np.minimum(best, self.score[some])


class Arrivals(Least, Race):
    """The Poisson functional representation, or importance sampling.

    Args:
        largest: (b,) log of the largest q / p, infinite where that is not asked for.
        is_ordered: whether times are those of a Poisson process; else each is by itself.
    """

    def __init__(self, largest: Floats, is_ordered: bool, seed: int):
        super().__init__(len(largest))
        self._largest, self._is_ordered = largest, is_ordered
        self._rng = np.random.default_rng([seed, _OWN])
        self._time = np.zeros(len(largest))

    def run(self, running: Mask, log_weights: Floats, start: int) -> None:
        """See :class:`Race`."""
        times = self._rng.exponential(size=log_weights.shape)
        if self._is_ordered:
            times = self._time[running] + np.cumsum(times, axis=0)
            self._time[running] = times[-1]
        self.offer(running, np.log(times) - log_weights, start)

    def is_open(self) -> Mask:
        """See :class:`Race`."""
        with np.errstate(divide="ignore"):
            return np.log(self._time) - self._largest < self.score


class FirstAccepted(Race):
    """Of blocks of one element: the first candidate that is accepted, ``none`` where none was."""

    def __init__(self, elements: int, none: int, seed: int):
        self.index = np.full(elements, none, np.int64)
        self._none, self._rng = none, np.random.default_rng([seed, _OWN])

    @abstractmethod
    def accepts(self, own: Ints64, weight: Floats) -> Mask:
        """Whether the next candidates of elements ``own`` (r,) are taken, whose q / p are these."""

    def run(self, running: Mask, log_weights: Floats, start: int) -> None:
        """See :class:`Race`."""
        own = np.flatnonzero(running)
        for number, log_weight in enumerate(log_weights, start):
            left = self.index[own] == self._none
            taken = own[left][self.accepts(own[left], np.exp(log_weight[left]))]
            self.index[taken] = number

    def is_open(self) -> Mask:
        """See :class:`Race`."""
        return self.index == self._none


class Rejection(FirstAccepted):
    """Harsha's greedy rejection sampling."""

    def __init__(self, posterior: Posterior, none: int, seed: int):
        super().__init__(len(posterior.mean), none, seed)
        self._ratios = _ratios(posterior)
        self.reached = np.zeros(len(posterior.mean))
        """(n,) the level L before the next candidate."""

    def accepts(self, own: Ints64, weight: Floats) -> Mask:
        """See :class:`FirstAccepted`."""
        reached = self.reached[own]
        left = np.maximum(0.0, 1 - reached * self._ratios[:, own]).mean(axis=0)
        self.reached[own] = reached + left
        return self._rng.random(len(own)) * left < weight - reached


class Arrived(FirstAccepted):
    """Greedy Poisson rejection sampling.

    Between two values of q / p at the nodes e(L) is a line, A - B L, and its reciprocal integrates
    to a logarithm.
    """

    def __init__(self, posterior: Posterior, none: int, seed: int):
        super().__init__(len(posterior.mean), none, seed)
        falling = np.sort(_ratios(posterior), axis=0)[::-1]  # p / q: levels 1 / these rise
        self._ends = 1 / falling
        self._count = np.arange(_NODES, 0, -1)[:, None] / _NODES  # A, up to each end
        self._slope = np.cumsum(falling[::-1], axis=0)[::-1] / _NODES  # B
        starts = np.concatenate([np.zeros_like(self._ends[:1]), self._ends[:-1]])
        self._spent = np.cumsum(self._within(starts, self._ends), axis=0)
        self._time = np.zeros(len(posterior.mean))

    def accepts(self, own: Ints64, weight: Floats) -> Mask:
        """See :class:`FirstAccepted`."""
        self._time[own] += self._rng.exponential(size=len(own))
        return self._time[own] < self._times(own, weight)

    def _times(self, own: Ints64, level: Floats) -> Floats:
        """When elements ``own`` (r,) reach these levels; never, beyond the last end."""
        piece = (self._ends[:, own] < level).sum(axis=0)
        inside = np.minimum(piece, _NODES - 1)
        before = np.maximum(inside - 1, 0)
        start = np.where(inside > 0, self._ends[before, own], 0.0)
        spent = np.where(inside > 0, self._spent[before, own], 0.0)
        own_part = self._part(start, level, self._count[inside, 0], self._slope[inside, own])
        return np.where(piece == _NODES, np.inf, spent + own_part)

    def _within(self, start: Floats, stop: Floats) -> Floats:
        return self._part(start, stop, self._count, self._slope)

    @staticmethod
    def _part(start: Floats, stop: Floats, count: Floats, slope: Floats) -> Floats:
        """Time from one level to another of a piece, infinite to where nothing is left."""
        with np.errstate(divide="ignore", invalid="ignore"):
            left = np.maximum(count - slope * stop, 0) / (count - slope * start)
            return -np.log(left) / slope


def _ratios(posterior: Posterior) -> Floats:
    """p / q at the nodes (k, n), which have equal shares of q."""
    x = posterior.mean + posterior.spread * _STANDARD[:, None]
    ratios: Floats = np.exp(-posterior.log_weights(x))
    return ratios
