"""Groups: importance sampling of as many elements as a budget of information has room for.

Algorithm 3 of the thesis. The encoder knows each element's KL, and cuts the latent so that each
group has at most B bits of it; how many elements that are crosses, too. Elements of more than B
bits are in no group: where they are, and a sample of each as a number, crosses first.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from latentopt.bitstream.ans import SymbolDecoder, SymbolEncoder, integer_bits
from latentopt.densities import Floats
from latentopt.errors import BitstreamError
from latentopt.latents.sampling.belief import Belief
from latentopt.latents.sampling.blocks import CANDIDATES, run, slabs
from latentopt.latents.sampling.cut import Cut, Ints64
from latentopt.latents.sampling.drawn import Drawn
from latentopt.latents.sampling.empirical import Empirical
from latentopt.latents.sampling.plain import Plain
from latentopt.latents.sampling.posterior import Normals
from latentopt.latents.sampling.races import Arrivals
from latentopt.latents.sampling.sampler import Sampler
from latentopt.latents.sampling.staircase import Levels
from latentopt.pmf import Counts

BITS = 8.0
"""Of a group; two less than its index has."""
SIZES = np.array([1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256])
"""Elements that a group may have."""
_OWN = 3


@dataclass(frozen=True)
class Grouped:
    """Elements that crossed in groups."""

    outliers: NDArray[np.bool_]  # (n,)
    plain: Plain
    """The outliers."""
    size: Ints64  # (b,) of each group, as a place in SIZES
    index: Ints64  # (b,)
    values: Floats  # (n,)

    @property
    def _law(self) -> Empirical:
        """Of the groups' sizes."""
        return Empirical.of(self.size, len(SIZES))

    def bits(self) -> Floats:
        """(n,) cost of each element: each group's shared equally, and places by all."""
        cost = np.full(len(self.values), _integer_bits(_gaps(self.outliers)) / len(self.values))
        cost[self.outliers] += self.plain.bits()
        each = self._law.bits(self.size) + np.log2(CANDIDATES)
        sizes = SIZES[self.size]
        cost[~self.outliers] += np.repeat(each / sizes, sizes)
        if not len(self.size):
            cost += self._law.bits_ahead() / len(cost)
        cost += _integer_bits(np.array([len(self.size)])) / len(cost)
        return cost

    def escaped(self) -> int:
        """Elements that crossed as numbers."""
        return len(self.plain.k)

    def encode(self, encoder: SymbolEncoder) -> None:
        """Outliers: where, and what; then the groups' number, sizes and indices."""
        gaps = _gaps(self.outliers)
        encoder.integers(gaps[:1])
        encoder.integers(gaps[1:])
        self.plain.encode(encoder)
        encoder.integers(np.array([len(self.size)]))
        self._law.encode(encoder, self.size)
        encoder.run(_INDICES, self.index.astype(np.int32))


_INDICES = Counts.from_probabilities(np.ones(CANDIDATES))


class GroupCoder(Sampler):
    """Samples by the candidates of groups that the encoder makes."""

    def __init__(self, belief: Belief):
        self._belief = belief

    def send(self, levels: Levels, places: Ints64, target: Normals, drawn: Drawn) -> Grouped:
        """See :class:`Sampler`."""
        posterior = self._belief.posterior(levels, target)
        bits = np.maximum(posterior.divergence(), 0.0)
        outliers = bits > BITS
        far = posterior.at(np.flatnonzero(outliers))
        samples = far.draw(np.random.default_rng([drawn.seed, _OWN]))
        plain = Plain.nearest(self._belief, levels[outliers], samples)
        own = np.flatnonzero(~outliers)
        size = _packed(bits[own])
        cut, index = Cut.of_sizes(SIZES[size]), np.empty(len(size), np.int64)
        for slab in slabs(np.ones(len(size), np.bool_)):
            elements, within = cut.only(slab)
            race = Arrivals(np.full(int(slab.sum()), np.inf), is_ordered=False, seed=drawn.seed)
            place = own[elements]
            run(race, posterior.at(place), within, places[place], drawn)
            index[slab] = race.index
        return self._grouped(outliers, plain, size, index, levels, places, drawn)

    def receive(
        self, levels: Levels, places: Ints64, decoder: SymbolDecoder, drawn: Drawn
    ) -> Grouped:
        """See :class:`Sampler`."""
        outliers = _places(decoder, len(levels))
        plain = Plain.decode(self._belief, levels[outliers], decoder)
        [count] = decoder.integers(1)
        if not 0 <= count <= len(levels):
            raise BitstreamError(f"corrupt: {count} groups of {len(levels)} elements")
        size = Empirical.decode(decoder, int(count), len(SIZES)).astype(np.int64)
        if SIZES[size].sum() != (~outliers).sum():
            raise BitstreamError("corrupt: the groups are not those of the latent's elements")
        index = decoder.run(_INDICES, int(count)).astype(np.int64)
        return self._grouped(outliers, plain, size, index, levels, places, drawn)

    def least_bits(self, levels: Levels) -> float:
        """The index of each group, were all as large as any."""
        return float(len(levels) / SIZES[-1] * np.log2(CANDIDATES))

    def _grouped(
        self,
        outliers: NDArray[np.bool_],
        plain: Plain,
        size: Ints64,
        index: Ints64,
        levels: Levels,
        places: Ints64,
        drawn: Drawn,
    ) -> Grouped:
        """With the samples of these indices."""
        values, own = np.empty(len(levels)), ~outliers
        number = np.repeat(index, SIZES[size])
        values[own] = self._belief.steps.samples(levels[own], drawn.words(places[own], number))
        values[outliers] = plain.values
        return Grouped(outliers, plain, size, index, values)


def _packed(bits: Floats) -> Ints64:
    """Sizes of groups, as places in SIZES, of elements (n,) with so many bits each."""
    total, sizes, start = np.concatenate([[0.0], np.cumsum(bits)]), list[int](), 0
    while start < len(bits):
        most = int(np.searchsorted(total, total[start] + BITS, "right")) - 1 - start
        sizes.append(max(int(np.searchsorted(SIZES, min(most, len(bits) - start), "right")) - 1, 0))
        start += int(SIZES[sizes[-1]])
    return np.array(sizes, np.int64)


def _gaps(outliers: NDArray[np.bool_]) -> Ints64:
    """How many there are, then how many others are before each."""
    where = np.flatnonzero(outliers)
    return np.concatenate([[len(where)], np.diff(where, prepend=-1) - 1])


def _places(decoder: SymbolDecoder, n: int) -> NDArray[np.bool_]:
    """The mirror of :func:`_gaps`, among n elements."""
    [count] = decoder.integers(1)
    if not 0 <= count <= n:
        raise BitstreamError(f"corrupt: {count} outliers of {n} elements")
    where = np.cumsum(decoder.integers(int(count)) + 1) - 1
    outliers = np.zeros(n, np.bool_)
    if count and (where[0] < 0 or where[-1] >= n or (np.diff(where) < 1).any()):
        raise BitstreamError("corrupt: outliers that are not among the elements")
    outliers[where] = True
    return outliers


def _integer_bits(values: Ints64) -> float:
    return float(integer_bits(values).sum())
