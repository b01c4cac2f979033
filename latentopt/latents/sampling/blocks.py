"""Blocks: both sides draw candidates from the prior; the index of the chosen one crosses.

    both      candidates  x_0  x_1  x_2  …  x_N-1   of a block of elements, from the prior p
    encoder   a race by   q(x_i) / p(x_i), which one of them wins  ──► ANS
    decoder   x_winner

                block             the winner's law
    astar       one element       q: N is never needed (A* coding)
    rejection   one element       q: greedy rejection sampling
    poisson     one element       q: greedy Poisson rejection sampling
    ordered     about 6 bits      near q; early ones are likelier (ordered random coding)
    importance  about 6 bits      near q; all are as likely (MIRACLE)

The first and the last two are the Poisson functional representation (Li and El Gamal 2018): A*
coding (Flamich, Markou and Hernandez-Lobato 2022); cut after N candidates it is ordered random
coding (Theis and Yosri 2022), and without the order MIRACLE (Havasi et al. 2019). What N
candidates cannot do crosses in layers, at the price of a symbol: a block of large KL cannot hold up
the encoder. The races are in :mod:`latentopt.latents.sampling.races`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from latentopt.bitstream.ans import SymbolDecoder, SymbolEncoder
from latentopt.densities import Floats
from latentopt.latents.sampling.belief import Belief
from latentopt.latents.sampling.cut import Cut, Ints64
from latentopt.latents.sampling.drawn import Drawn
from latentopt.latents.sampling.layers import LayerCoder, Layered, gaussian_widths
from latentopt.latents.sampling.posterior import Normals, Posterior
from latentopt.latents.sampling.races import Arrivals, Arrived, Race, Rejection
from latentopt.latents.sampling.sampler import Sampler
from latentopt.latents.sampling.staircase import Levels
from latentopt.pmf import Counts

CANDIDATES = 1024
BLOCK = 6.0
"""Bits of information that elements are expected to have which make a block."""
BATCH = 4
_SLAB = 1 << 16  # blocks whose candidates are weighed at a time
_LIKELY = 16  # times the largest weight is how many candidates suffice, but for e^-16
_EXPONENTS = (
    *(4.9, 4.5, 4.15, 3.8, 3.5, 3.2, 2.97, 2.75, 2.53, 2.33),
    *(2.15, 1.98, 1.78, 1.7, 1.5, 1.31, 1.15, 0.97, 0.8),
)
"""Of Zipf's law for the indices of each rank, fitted to those of Gaussian latents by
scripts/sampling.py --exponents; higher ranks have the last."""


@dataclass(frozen=True)
class Kind:
    """One of the coders in the picture."""

    name: str
    block: float
    """Bits of a block; 0: each element is one."""
    candidates: int = CANDIDATES
    most: float = np.inf
    """Elements of a block."""
    is_ordered: bool = True
    """Whether early candidates are likelier to win."""
    is_exact: bool = False
    greedy: type[Rejection] | type[Arrived] | None = None
    """The race of one element that ends with the first candidate it accepts."""

    def race(self, posterior: Posterior, cut: Cut, seed: int) -> Race:
        """Of blocks, all of them within reach."""
        if self.greedy:
            return self.greedy(posterior, self.candidates, seed)
        if not self.is_ordered:
            return Arrivals(np.full(len(cut.starts), np.inf), is_ordered=False, seed=seed)
        return Arrivals(cut.sums(posterior.largest()), is_ordered=True, seed=seed)

    def is_within_reach(self, posterior: Posterior, cut: Cut) -> NDArray[np.bool_]:
        """(b,) whether so many candidates suffice for a block."""
        if self.is_exact:
            return cut.sums(posterior.largest()) < np.log(self.candidates / _LIKELY)
        return cut.sums(posterior.divergence()) < np.log2(self.candidates) - 1


KINDS = (
    Kind("astar", 0.0, is_exact=True),
    Kind("ordered", BLOCK),
    Kind("importance", BLOCK, is_ordered=False),
    Kind("rejection", 0.0, is_exact=True, greedy=Rejection),
    Kind("poisson", 0.0, is_exact=True, greedy=Arrived),
)
FEW = Kind("few", 3.0, candidates=64, most=64)
"""Ordered random coding of smaller blocks: sixteen times as fast, for what has few bits at all."""


@dataclass(frozen=True)
class Blocked:
    """Elements that crossed in blocks."""

    kind: Kind
    cut: Cut
    index: Ints64  # (b,) of the candidate that won; as many as there are where none could
    rest: Layered
    """Elements of blocks for which none could."""
    values: Floats  # (n,)

    def bits(self) -> Floats:
        """(n,) cost of each element: each block's shared equally."""
        cost = np.empty(len(self.index))
        for rank, own in self.cut.by_rank():
            cost[own] = alphabet(self.kind, rank).bits[self.index[own]]
        each = np.repeat(cost / self.cut.sizes, self.cut.sizes)
        each[self._is_rest[self.cut.block]] += self.rest.bits()
        return each

    @property
    def _is_rest(self) -> NDArray[np.bool_]:
        return self.index == self.kind.candidates

    def escaped(self) -> int:
        """Blocks that crossed in layers."""
        return int(self._is_rest.sum())

    def encode(self, encoder: SymbolEncoder) -> None:
        """Indices by rank, then the elements that crossed in layers."""
        for rank, own in self.cut.by_rank():
            encoder.run(alphabet(self.kind, rank), self.index[own].astype(np.int32))
        self.rest.encode(encoder)


class BlockCoder(Sampler):
    """Samples by candidates of the prior.

    Args:
        kind: which of the coders.
        belief: of both sides.
    """

    def __init__(self, kind: Kind, belief: Belief):
        self.kind, self._belief = kind, belief
        self._layers = LayerCoder(belief, gaussian_widths(), kind.candidates)

    def send(self, levels: Levels, places: Ints64, target: Normals, drawn: Drawn) -> Blocked:
        """A sample of each element's posterior."""
        cut = self._cut(levels)
        posterior = self._belief.posterior(levels, target)
        index = np.full(len(cut.starts), self.kind.candidates)
        can = self.kind.is_within_reach(posterior, cut)
        for slab in slabs(can):
            own, within = cut.only(slab)
            some = posterior.at(own)
            race = self.kind.race(some, within, drawn.seed)
            run(race, some, within, places[own], drawn, self.kind.candidates)
            index[slab] = race.index
        own = cut.elements(index == self.kind.candidates)
        rest = self._layers.send(levels[own], places[own], target.at(own), drawn)
        return self._blocked(cut, index, rest, levels, places, drawn)

    def receive(
        self, levels: Levels, places: Ints64, decoder: SymbolDecoder, drawn: Drawn
    ) -> Blocked:
        """The mirror of :meth:`send` and :meth:`Blocked.encode`."""
        cut = self._cut(levels)
        index = np.empty(len(cut.starts), np.int64)
        for rank, own in cut.by_rank():
            index[own] = decoder.run(alphabet(self.kind, rank), len(own))
        own = cut.elements(index == self.kind.candidates)
        rest = self._layers.receive(levels[own], places[own], decoder, drawn)
        return self._blocked(cut, index, rest, levels, places, drawn)

    def least_bits(self, levels: Levels) -> float:
        """Of each block the likeliest index."""
        ranks = self._cut(levels).by_rank()
        return float(sum(len(own) * alphabet(self.kind, rank).bits.min() for rank, own in ranks))

    def _cut(self, levels: Levels) -> Cut:
        return Cut.of(self._belief.information[levels], self.kind.block, self.kind.most)

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
        values = self._belief.steps.samples(levels, words)
        values[index[cut.block] == self.kind.candidates] = rest.values
        return Blocked(self.kind, cut, index, rest, values)


def slabs(blocks: NDArray[np.bool_]) -> Iterator[NDArray[np.bool_]]:
    """Some blocks, a part of them after the other, so that memory is bounded."""
    own = np.flatnonzero(blocks)
    for start in range(0, len(own), _SLAB):
        slab = np.zeros_like(blocks)
        slab[own[start : start + _SLAB]] = True
        yield slab


def run(
    race: Race,
    posterior: Posterior,
    cut: Cut,
    places: Ints64,
    drawn: Drawn,
    candidates: int = CANDIDATES,
) -> None:
    """A race of blocks, of which those not yet decided get one batch after the other."""
    running = np.ones(len(cut.starts), np.bool_)
    for start in range(0, candidates, BATCH):
        if not running.any():
            break
        own = cut.elements(running)
        some = posterior.at(own)
        x = some.steps.samples(some.levels, drawn.batch(places[own], start))
        race.run(running, cut.sums(some.log_weights(x), running), start)
        running &= race.is_open()


@cache
def alphabet(kind: Kind, rank: int) -> Counts:
    """Of the indices of blocks of a rank: Zipf's law, or uniform; the last says: in layers."""
    ranks = np.arange(1, kind.candidates + 1, dtype=np.float64)
    exponent = _EXPONENTS[min(rank, len(_EXPONENTS) - 1)] if kind.is_ordered else 0.0
    p, escaped = ranks**-exponent, 2.0 ** -max(3.5, 14 - 0.65 * rank)
    return Counts.from_probabilities(np.append(p / p.sum() * (1 - escaped), escaped))
