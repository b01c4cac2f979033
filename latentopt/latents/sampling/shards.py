"""Shards: a block's sample is a sum, of which each part is the best of a few candidates.

    N(0, s²)  =  N(0, s²/K) + … + N(0, s²/K)     of K shards, with 2^b candidates each

Algorithm 2 of the thesis, greedy sampling: from 0 on, the candidate is added with which the sum is
likeliest by the posterior. A block costs K b bits whatever it is, so blocks are cut to about as
many bits of expected information. What arrives is near the posterior, and nearer to its mean than
samples are.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from latentopt.bitstream.ans import SymbolDecoder, SymbolEncoder
from latentopt.densities import Floats, GaussianDensity
from latentopt.latents.dither.philox import Words
from latentopt.latents.sampling.belief import Belief
from latentopt.latents.sampling.blocks import BATCH
from latentopt.latents.sampling.cut import Cut, Ints64
from latentopt.latents.sampling.drawn import Drawn
from latentopt.latents.sampling.layers import LayerCoder, Layered, gaussian_widths
from latentopt.latents.sampling.posterior import Normals, Posterior
from latentopt.latents.sampling.races import Least
from latentopt.latents.sampling.sampler import Sampler
from latentopt.latents.sampling.staircase import Levels, Steps
from latentopt.pmf import Counts

SHARDS, CANDIDATES = 6, 32
BLOCK = 20.0
"""Bits of expected information in a block, which costs 30: candidates this few are that far off."""
_STANDARD = GaussianDensity(np.array([1.0]), tails=())
_INDICES = Counts.from_probabilities(np.ones(CANDIDATES))
_ESCAPES = Counts.from_probabilities(np.array([0.98, 0.02]))
_MOST = 1.5  # times what a block is expected to have: beyond, it crosses in layers


@dataclass(frozen=True)
class Sharded:
    """Elements that crossed in shards."""

    cut: Cut
    is_far: NDArray[np.bool_]  # (b,) blocks that crossed in layers
    index: Ints64  # (SHARDS, b - far)
    rest: Layered
    values: Floats  # (n,)

    def bits(self) -> Floats:
        """(n,) cost of each element: each block's shared equally."""
        cost = _ESCAPES.bits[self.is_far.astype(np.int64)]
        cost = np.where(self.is_far, cost, cost + SHARDS * np.log2(CANDIDATES))
        each: Floats = np.repeat(cost / self.cut.sizes, self.cut.sizes)
        each[self.is_far[self.cut.block]] += self.rest.bits()
        return each

    def escaped(self) -> int:
        """Blocks that crossed in layers."""
        return int(self.is_far.sum())

    def encode(self, encoder: SymbolEncoder) -> None:
        """Which blocks are far, the others' indices shard by shard, then what crossed in layers."""
        encoder.run(_ESCAPES, self.is_far.astype(np.int32))
        for index in self.index:
            encoder.run(_INDICES, index.astype(np.int32))
        self.rest.encode(encoder)


class ShardCoder(Sampler):
    """Samples by sums, of which each part is one of a few candidates."""

    def __init__(self, belief: Belief):
        self._belief = belief
        self._spread = belief.priors / np.sqrt(SHARDS)  # (levels,)
        self._layers = LayerCoder(belief, gaussian_widths(), SHARDS * CANDIDATES)
        self._steps = Steps(_STANDARD, noise=0.0)

    def send(self, levels: Levels, places: Ints64, target: Normals, drawn: Drawn) -> Sharded:
        """See :class:`Sampler`."""
        cut, posterior = self._cut(levels), self._belief.posterior(levels, target)
        is_far = cut.sums(posterior.divergence()) > _MOST * BLOCK
        own, within = cut.only(~is_far)
        near, at = posterior.at(own), places[own]
        index, total = list[Ints64](), np.zeros(len(own))
        for shard in range(SHARDS):
            index.append(self._best(shard, total, near, within, at, drawn))
            total += self._shard(shard, index[-1][within.block], near.levels, at, drawn)
        far = cut.elements(is_far)
        rest = self._layers.send(levels[far], places[far], target.at(far), drawn)
        return _sharded(cut, is_far, np.array(index), total, rest)

    def receive(
        self, levels: Levels, places: Ints64, decoder: SymbolDecoder, drawn: Drawn
    ) -> Sharded:
        """See :class:`Sampler`."""
        cut = self._cut(levels)
        is_far = decoder.run(_ESCAPES, len(cut.starts)).astype(np.bool_)
        own, within = cut.only(~is_far)
        b = len(within.starts)
        index = np.array([decoder.run(_INDICES, b) for _ in range(SHARDS)], np.int64)
        far = cut.elements(is_far)
        rest = self._layers.receive(levels[far], places[far], decoder, drawn)
        total = np.zeros(len(own))
        for shard in range(SHARDS):  # in the encoder's order: sums are equal to the last bit
            total += self._shard(shard, index[shard][within.block], levels[own], places[own], drawn)
        return _sharded(cut, is_far, index, total, rest)

    def least_bits(self, levels: Levels) -> float:
        """That each block is far, which is said in fewer bits than its shards are."""
        return float(len(self._cut(levels).starts) * _ESCAPES.bits[1])

    def _cut(self, levels: Levels) -> Cut:
        return Cut.of(self._belief.information[levels], BLOCK)

    def _best(
        self,
        shard: int,
        total: Floats,
        posterior: Posterior,
        cut: Cut,
        places: Ints64,
        drawn: Drawn,
    ) -> Ints64:
        """(b,) of each block, the candidate that is added to what there is."""
        best, every = Least(len(cut.starts)), np.ones(len(cut.starts), np.bool_)
        for start in range(0, CANDIDATES, BATCH):
            words = drawn.batch(places, shard * CANDIDATES + start)
            x = total + self._parts(posterior.levels, words)
            best.offer(every, -cut.sums(posterior.log_density(x)), start)
        return best.index

    def _shard(
        self, shard: int, index: Ints64, levels: Levels, places: Ints64, drawn: Drawn
    ) -> Floats:
        """(n,) what the candidates of these indices (n,) add."""
        return self._parts(levels, drawn.words(places, shard * CANDIDATES + index))

    def _parts(self, levels: Levels, words: Words) -> Floats:
        """(..., n) candidates of a shard, of the levels (n,)."""
        return self._spread[levels] * self._steps.samples(np.zeros(1, np.int64), words)


def _sharded(
    cut: Cut, is_far: NDArray[np.bool_], index: Ints64, total: Floats, rest: Layered
) -> Sharded:
    """With the near blocks' samples, which are sums of these indices' candidates."""
    values = np.empty(len(cut.block))
    values[cut.elements(~is_far)], values[cut.elements(is_far)] = total, rest.values
    return Sharded(cut, is_far, index, rest, values)
