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
from latentopt.latents.sampling.belief import Belief
from latentopt.latents.sampling.blocks import BATCH, counted
from latentopt.latents.sampling.cut import Cut, Ints64
from latentopt.latents.sampling.drawn import Drawn
from latentopt.latents.sampling.layers import LayerCoder, Layered, gaussian_widths
from latentopt.latents.sampling.posterior import Normals, Posterior
from latentopt.latents.sampling.races import Likeliest
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


class ShardCoder:
    """Samples by sums, of which each part is one of a few candidates."""

    def __init__(self, belief: Belief):
        self._belief = belief
        self._part = belief.priors / np.sqrt(SHARDS)  # (levels,)
        self._layers = LayerCoder(belief, gaussian_widths(), SHARDS * CANDIDATES)
        self._steps = Steps(_STANDARD, noise=0.0)

    def send(self, levels: Levels, places: Ints64, target: Normals, drawn: Drawn) -> Sharded:
        """See :class:`latentopt.latents.sampling.Sampler`."""
        cut = self._cut(levels)
        posterior = Posterior(self._belief.steps, levels, target.mean, target.spread)
        is_far = np.zeros(len(cut.starts), np.bool_)
        if len(is_far):
            is_far = cut.sums(posterior.divergence(), ~is_far) > _MOST * BLOCK
        own = cut.elements(~is_far)
        total, index = np.zeros(len(own)), np.empty((SHARDS, int((~is_far).sum())), np.int64)
        within = Cut.of_sizes(cut.sizes[~is_far])
        for shard in range(SHARDS):
            index[shard] = self._best(shard, total, posterior.at(own), within, places[own], drawn)
            total += self._shard(shard, index[shard][within.block], levels[own], places[own], drawn)
        far = cut.elements(is_far)
        rest = self._layers.send(levels[far], places[far], target.at(far), drawn)
        return self._sharded(cut, is_far, index, rest, levels, places, drawn)

    def receive(
        self, levels: Levels, places: Ints64, decoder: SymbolDecoder, drawn: Drawn
    ) -> Sharded:
        """See :class:`latentopt.latents.sampling.Sampler`."""
        cut = self._cut(levels)
        is_far = decoder.run(_ESCAPES, len(cut.starts)).astype(np.bool_)
        near = int((~is_far).sum())
        index = np.array([decoder.run(_INDICES, near) for _ in range(SHARDS)], np.int64)
        far = cut.elements(is_far)
        rest = self._layers.receive(levels[far], places[far], decoder, drawn)
        return self._sharded(cut, is_far, index, rest, levels, places, drawn)

    def least_bits(self, levels: int) -> float:
        """See :class:`latentopt.latents.sampling.Sampler`."""
        return 0.0

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
        race, every = Likeliest(len(cut.starts)), np.ones(len(cut.starts), np.bool_)
        for start in range(0, CANDIDATES if len(every) else 0, BATCH):
            t = self._drawn(drawn.batch(places, shard * CANDIDATES + start))
            x = total + self._part[posterior.levels] * t
            race.run(every, cut.sums(posterior.log_density(x), every), start)
        return race.index

    def _shard(
        self, shard: int, index: Ints64, levels: Levels, places: Ints64, drawn: Drawn
    ) -> Floats:
        """(n,) what the candidates of these indices (n,) add."""
        words = drawn.words(places, shard * CANDIDATES + index)
        return self._part[levels] * self._drawn(words)

    def _drawn(self, words: NDArray[np.uint64]) -> Floats:
        """Of N(0, 1)."""
        return self._steps.inverse(np.zeros(1, np.int64), counted(words))

    def _sharded(
        self,
        cut: Cut,
        is_far: NDArray[np.bool_],
        index: Ints64,
        rest: Layered,
        levels: Levels,
        places: Ints64,
        drawn: Drawn,
    ) -> Sharded:
        """With the samples of these indices."""
        values, own = np.empty(len(levels)), cut.elements(~is_far)
        block = Cut.of_sizes(cut.sizes[~is_far]).block
        total = np.zeros(len(own))
        for shard in range(SHARDS):  # in this order on both sides: sums are equal to the last bit
            total += self._shard(shard, index[shard][block], levels[own], places[own], drawn)
        values[own], values[cut.elements(is_far)] = total, rest.values
        return Sharded(cut, is_far, index, rest, values)
