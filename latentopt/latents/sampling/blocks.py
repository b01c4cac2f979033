"""Blocks: both sides draw candidates from the prior; the index of the chosen one crosses.

    both      candidates  x_0  x_1  x_2  …  x_N-1   of a block of elements, from the prior p
    encoder   arrivals    T_0  T_1  T_2  …  T_N-1
              weights     q(x_i) / p(x_i);   the winner is  argmin  T_i p(x_i) / q(x_i)  ──► ANS
    decoder   x_winner

              T_i                        block                   the winner
    astar     those of a Poisson process one element             exact: N is never needed
    ordered   those of a Poisson process about 6 bits of KL      near q; early ones are likelier
    importance  independent              about 6 bits of KL      near q; all are as likely

The Poisson functional representation (Li and El Gamal 2018), which is A* coding (Flamich, Markou
and Hernandez-Lobato 2022); cut after N candidates it is ordered random coding (Theis and Yosri
2022), and without the order MIRACLE (Havasi et al. 2019). What N candidates cannot do crosses in
layers, at the price of a symbol: a block of large KL cannot hold up the encoder.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
from numpy.typing import NDArray

from latentopt.bitstream.ans import SymbolDecoder, SymbolEncoder
from latentopt.densities import Density, Floats
from latentopt.latents.dither.philox import Words
from latentopt.latents.sampling.drawn import Drawn
from latentopt.latents.sampling.layers import Ints64, LayerCoder, Layered, gaussian_widths
from latentopt.latents.sampling.staircase import Levels, Steps
from latentopt.pmf import Counts

CANDIDATES = 1024
BLOCK = 6.0
"""Bits of information that elements are expected to have which make a block."""
_BATCH = 4
_FINEST = 64.0
_LIKELY = 16  # times the largest weight is how many candidates suffice, but for e^-16
_EXPONENTS = (
    *(4.9, 4.5, 4.15, 3.8, 3.5, 3.2, 2.97, 2.75, 2.53, 2.33),
    *(2.15, 1.98, 1.78, 1.7, 1.5, 1.31, 1.15, 0.97, 0.8),
)
"""Of Zipf's law for the indices of each rank, fitted to those of Gaussian latents by
scripts/sampling.py --exponents; higher ranks have the last."""
_NODES, _NODE_WEIGHTS = np.polynomial.hermite_e.hermegauss(9)
_LOOK = np.linspace(-8.0, 8.0, 65)  # spreads from the mean where the largest weight is looked for
_CAUTION = 0.05  # nats that it may be larger between them


@dataclass(frozen=True)
class Kind:
    """One of the coders in the picture."""

    name: str
    block: float
    """Bits of a block; 0: each element is one."""
    is_ordered: bool = True
    is_exact: bool = False


KINDS = (
    Kind("astar", 0.0, is_exact=True),
    Kind("ordered", BLOCK),
    Kind("importance", BLOCK, is_ordered=False),
)


@dataclass(frozen=True)
class Cut:
    """How elements are cut into blocks, which both sides know."""

    starts: Ints64  # (b,) the first element of each
    block: Ints64  # (n,) of each element
    rank: Ints64  # (b,) of information: each is worth sqrt(2) of the one before

    @staticmethod
    def of(information: Floats, size: float) -> "Cut":
        """Of elements (n,) that are expected to have so many bits, multiples of 1/64."""
        middle = np.cumsum(information) - information / 2  # exact
        number = np.floor(middle / size) if size else np.arange(len(information))
        is_first = np.diff(number, prepend=-1.0) != 0
        starts = np.flatnonzero(is_first)
        bits = np.add.reduceat(information, starts) if len(starts) else information
        rank = np.frexp(np.square(bits * _FINEST))[1].astype(np.int64) - 1
        return Cut(starts, np.cumsum(is_first) - 1, rank)

    def elements(self, blocks: NDArray[np.bool_]) -> Ints64:
        """Those of some blocks."""
        return np.flatnonzero(blocks[self.block])

    def sums(self, values: Floats, blocks: NDArray[np.bool_]) -> Floats:
        """Of each of some blocks, of values (..., k) that belong to their elements."""
        sizes = np.diff(self.starts, append=len(self.block))[blocks]
        starts = np.cumsum(sizes) - sizes
        summed: Floats = np.add.reduceat(values, starts, axis=-1)
        return summed

    def by_rank(self) -> Iterator[tuple[int, Ints64]]:
        """The blocks whose indices have one and the same alphabet."""
        for rank in np.unique(self.rank):
            yield int(rank), np.flatnonzero(self.rank == rank)


@dataclass(frozen=True)
class Blocked:
    """Elements that crossed in blocks."""

    kind: Kind
    cut: Cut
    index: Ints64  # (b,) of the candidate that won; CANDIDATES where none could
    rest: Layered
    """Elements of blocks for which none could."""
    values: Floats  # (n,)

    def bits(self) -> Floats:
        """(n,) cost of each element: each block's shared equally."""
        cost = np.empty(len(self.index))
        for rank, own in self.cut.by_rank():
            cost[own] = alphabet(self.kind, rank).bits[self.index[own]]
        sizes = np.diff(self.cut.starts, append=len(self.values))
        each = np.repeat(cost / sizes, sizes)
        each[self.index[self.cut.block] == CANDIDATES] += self.rest.bits()
        return each

    def escaped(self) -> int:
        """Blocks that crossed in layers."""
        return int((self.index == CANDIDATES).sum())

    def encode(self, encoder: SymbolEncoder) -> None:
        """Indices by rank, then the elements that crossed in layers."""
        for rank, own in self.cut.by_rank():
            encoder.run(alphabet(self.kind, rank), self.index[own].astype(np.int32))
        self.rest.encode(encoder)


class BlockCoder:
    """Samples by candidates of the prior: the density, with the posterior's own noise added.

    Args:
        kind: which of the coders.
        density: of the residual, per level.
        spread: the posterior's standard deviation.
    """

    def __init__(self, kind: Kind, density: Density, spread: float):
        self.kind, self._density, self._spread = kind, density, spread
        self._layers = LayerCoder(density, spread, gaussian_widths(), CANDIDATES)

    @cached_property
    def _steps(self) -> Steps:
        return Steps(self._density, self._spread)

    @cached_property
    def _information(self) -> Floats:
        """(levels,) bits that an element is expected to have, were all Gaussian."""
        bits = 0.5 * np.log2(1 + np.square(self._density.spreads / self._spread))
        return np.maximum(np.ceil(bits * _FINEST), 1) / _FINEST

    def send(self, levels: Levels, places: Ints64, mean: Floats, drawn: Drawn) -> Blocked:
        """A sample of each element's posterior around ``mean`` (n,)."""
        cut = Cut.of(self._information[levels], self.kind.block)
        posterior = Posterior(self._steps, levels, mean, self._spread)
        can = posterior.is_within_reach(cut, self.kind)
        index = np.full(len(cut.starts), CANDIDATES)
        index[can] = self._winners(cut, can, posterior, places, drawn)
        own = cut.elements(~can)
        rest = self._layers.send(levels[own], places[own], mean[own], drawn)
        return self._blocked(cut, index, rest, levels, places, drawn)

    def receive(
        self, levels: Levels, places: Ints64, decoder: SymbolDecoder, drawn: Drawn
    ) -> Blocked:
        """The mirror of :meth:`send` and :meth:`Blocked.encode`."""
        cut = Cut.of(self._information[levels], self.kind.block)
        index = np.empty(len(cut.starts), np.int64)
        for rank, own in cut.by_rank():
            index[own] = decoder.run(alphabet(self.kind, rank), len(own))
        own = cut.elements(index == CANDIDATES)
        rest = self._layers.receive(levels[own], places[own], decoder, drawn)
        return self._blocked(cut, index, rest, levels, places, drawn)

    def least_bits(self, levels: int) -> float:
        """None to speak of: blocks of what is all but certain cost next to nothing, and no time."""
        return 0.0

    def _blocked(
        self,
        cut: Cut,
        index: Ints64,
        rest: Layered,
        levels: Levels,
        places: Ints64,
        drawn: Drawn,
    ) -> Blocked:
        """With the samples of these indices."""
        words = drawn.words(places, index[cut.block])
        values = self._steps.inverse(levels, counted(words))
        values[index[cut.block] == CANDIDATES] = rest.values
        return Blocked(self.kind, cut, index, rest, values)

    def _winners(
        self,
        cut: Cut,
        can: NDArray[np.bool_],
        posterior: "Posterior",
        places: Ints64,
        drawn: Drawn,
    ) -> Ints64:
        """The candidates of blocks that ``can``: a batch at a time, of those not yet decided."""
        race = Race.of(len(can), self.kind, drawn.seed)
        largest = np.full(len(can), np.inf)
        if self.kind.is_ordered and can.any():
            largest[can] = cut.sums(posterior.largest()[cut.elements(can)], can)
        running = can.copy()
        for start in range(0, CANDIDATES, _BATCH):
            if not running.any():
                break
            own = cut.elements(running)
            words = drawn.batch(places[own], start)
            x = self._steps.inverse(levels := posterior.levels[own], counted(words))
            weights = posterior.at(own).log_weights(levels, x)
            race.run(running, cut.sums(weights, running), start)
            running &= race.is_open(largest)
        return race.index[can]


@dataclass(frozen=True)
class Posterior:
    """N(mean, spread^2) of each element, against the prior of its level. Only encoders know it."""

    steps: Steps
    levels: Levels  # (n,)
    mean: Floats  # (n,)
    spread: float

    def at(self, own: Ints64) -> "Posterior":
        """Of some elements."""
        return Posterior(self.steps, self.levels[own], self.mean[own], self.spread)

    def log_weights(self, levels: Levels, x: Floats) -> Floats:
        """log q / p at ``x`` (..., n), in nats."""
        log_q = -0.5 * np.square((x - self.mean) / self.spread)
        log_q -= np.log(self.spread * np.sqrt(2 * np.pi))
        return log_q - self.steps.log_density(levels, x)

    def divergence(self) -> Floats:
        """(n,) KL[q | p] in bits, by quadrature."""
        x = self.mean + self.spread * _NODES[:, None]
        share = _NODE_WEIGHTS / _NODE_WEIGHTS.sum()
        nats: Floats = share @ self.log_weights(self.levels, x)
        return nats / np.log(2)

    def largest(self) -> Floats:
        """(n,) the largest log q / p, in nats."""
        found = np.full(len(self.mean), -np.inf)
        for look in _LOOK:
            np.maximum(found, self.log_weights(self.levels, self.mean + look * self.spread), found)
        return found + _CAUTION

    def is_within_reach(self, cut: Cut, kind: Kind) -> NDArray[np.bool_]:
        """(b,) whether so many candidates suffice for a block."""
        if not len(cut.starts):
            return np.zeros(0, np.bool_)
        whole = np.ones(len(cut.starts), np.bool_)
        if kind.is_exact:
            return cut.sums(self.largest(), whole) < np.log(CANDIDATES / _LIKELY)
        return cut.sums(self.divergence(), whole) < np.log2(CANDIDATES) - 1


@dataclass
class Race:
    """Which candidate of each block is ahead. Its times are the encoder's own."""

    kind: Kind
    rng: np.random.Generator
    time: Floats  # (b,) when the last candidate arrived
    best: Floats  # (b,) log of the winner's time over its weight
    index: Ints64  # (b,)

    @staticmethod
    def of(blocks: int, kind: Kind, seed: int) -> "Race":
        """Before it begins."""
        start = np.zeros(blocks), np.full(blocks, np.inf), np.zeros(blocks, np.int64)
        return Race(kind, np.random.default_rng([seed, 2]), *start)

    def run(self, running: NDArray[np.bool_], log_weights: Floats, start: int) -> None:
        """With the next candidates (k, r) of those blocks that are ``running``."""
        times = self.rng.exponential(size=log_weights.shape)
        if self.kind.is_ordered:
            times = self.time[running] + np.cumsum(times, axis=0)
            self.time[running] = times[-1]
        score = np.log(times) - log_weights
        best = score.min(axis=0)
        is_better = best < self.best[running]
        self.index[running] = np.where(is_better, start + score.argmin(axis=0), self.index[running])
        self.best[running] = np.minimum(best, self.best[running])

    def is_open(self, largest: Floats) -> NDArray[np.bool_]:
        """(b,) whether a later candidate could win, of weights of which the log is at most so."""
        with np.errstate(divide="ignore"):
            return np.log(self.time) - largest < self.best


def counted(words: Words) -> Floats:
    """Random words as what :meth:`Steps.inverse` takes: 2^24 with eight more bits."""
    return words.astype(np.float64) / 256


@cache
def alphabet(kind: Kind, rank: int) -> Counts:
    """Of the indices of blocks of a rank: Zipf's law, or uniform; the last says: in layers."""
    ranks = np.arange(1, CANDIDATES + 1, dtype=np.float64)
    exponent = _EXPONENTS[min(rank, len(_EXPONENTS) - 1)] if kind.is_ordered else 0.0
    p, escaped = ranks**-exponent, 2.0 ** -max(3.5, 14 - 0.65 * rank)
    return Counts.from_probabilities(np.append(p / p.sum() * (1 - escaped), escaped))
