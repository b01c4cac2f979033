"""The adaptive channel: integers of a factorized prior, whose tables learn while they are coded.

A trained prior fits side latents on average; this image's channels are quieter, or busier. So a
channel's elements are coded in passes, each as large as all before it together. After a pass the
counts of its symbols join those of the prior, which is worth so many elements (its trust):

    pass 0    places 0, 32, 64, …    counts: the prior's
    pass 1    places 16, 48, …       counts: (trust * prior + what came) / (trust + how many)
    …
    pass 5    places 1, 3, 5, …

Encoder and decoder count the same integers, so their tables are the same on every machine.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from latentopt.bitstream.ans import SymbolDecoder, SymbolEncoder, integer_bits
from latentopt.densities import Density, Floats
from latentopt.latents.channel import Crossed, Kinds, Point
from latentopt.latents.lattice import LatticeChannel
from latentopt.latents.prior import Prior
from latentopt.latents.walk import OfChannels, Walk, take_across
from latentopt.lattices import RULES
from latentopt.pmf import PRECISION, TOTAL, Counts, ProductTable
from latentopt.pmf.tables import AxisTable, Ints, Mask

TRUSTS = (None, 1, 4, 16)
"""How many elements a prior is worth, as the encoder chooses; None: nothing is learned."""

_TRUST = Counts.from_probabilities(np.ones(len(TRUSTS)))
_PASSES = 6
_MEANING = b"adaptive 1"
"""Of the digest: the number changes when the same tables and strings mean something else."""

Column = NDArray[np.int64]  # (M, 1)


@dataclass(frozen=True, eq=False)
class Alphabets:
    """The symbols of all channels: integers, and one for those that a channel has none for."""

    first: Column
    """The integer of symbol 0."""
    escape: Column
    """The last symbol."""
    prior: NDArray[np.int64]  # (M, K) counts of the symbols, 0 where a channel has less than K

    @staticmethod
    def of(tables: Sequence[AxisTable]) -> "Alphabets":
        """Those of each channel's table."""
        first, escape = ([getattr(t, name) for t in tables] for name in ("first", "escape"))
        prior = np.zeros((len(tables), max(escape) + 1), np.int64)
        for row, table in zip(prior, tables):
            row[: table.escape + 1] = table.counts.counts
        return Alphabets(np.array(first)[:, None], np.array(escape)[:, None], prior)

    def of_levels(self, levels: slice) -> "Alphabets":
        """Those of some channels."""
        return Alphabets(self.first[levels], self.escape[levels], self.prior[levels])

    def symbols(self, m: Ints) -> tuple[NDArray[np.int64], Mask]:
        """Of integers (M, k), and which of them have none of their own."""
        symbols = m - self.first
        outside = (symbols < 0) | (symbols >= self.escape)
        return np.where(outside, self.escape, symbols), outside

    def integers(self, symbols: NDArray[np.int64]) -> tuple[Ints, Mask]:
        """The mirror of :meth:`symbols`, but for the integers that had none."""
        return (symbols + self.first).astype(np.int32), symbols == self.escape


class Learner:
    """The counts of all symbols in one image, as they are for the next pass."""

    def __init__(self, alphabets: Alphabets, trust: int | None):
        self._alphabets, self._trust = alphabets, trust
        self._seen, self._number = np.zeros_like(alphabets.prior), 0
        self.counts = alphabets.prior  # (M, K)

    def bits(self, symbols: NDArray[np.int64]) -> Floats:
        """(M, k) what symbols cost now."""
        counts = np.take_along_axis(self.counts, symbols, axis=1)
        return np.asarray(PRECISION - np.log2(counts), dtype=np.float64)

    @property
    def least_bits(self) -> float:
        """What an element of each channel costs now, at least, all channels together."""
        return float((PRECISION - np.log2(self.counts.max(axis=1))).sum())

    def tables(self) -> Iterator[Counts]:
        """Each channel's, for the coder."""
        for row, escape in zip(self.counts.astype(np.int32), self._alphabets.escape[:, 0]):
            yield Counts(row[: escape + 1])

    def learn(self, symbols: NDArray[np.int64]) -> None:
        """From the symbols (M, k) of a pass."""
        if self._trust is None:
            return
        shape, (channels, number) = self._seen.shape, symbols.shape
        places = symbols + shape[1] * np.arange(channels)[:, None]
        self._seen += np.bincount(places.ravel(), minlength=self._seen.size).reshape(shape)
        self._number += number
        prior = self._alphabets.prior
        mixed = self._trust * prior + (self._seen << PRECISION)
        counts = np.maximum(mixed // (self._trust + self._number), prior > 0)  # each at least 1
        largest = counts.argmax(axis=1)
        counts[np.arange(channels), largest] += TOTAL - counts.sum(axis=1)
        self.counts = counts


def passes(plane: int) -> list[slice]:
    """The places of each pass among the ``plane`` elements of a channel."""
    strides = [1 << k for k in reversed(range(_PASSES))]
    later = [slice(stride, plane, 2 * stride) for stride in strides[1:] if stride < plane]
    return [slice(0, plane, strides[0]), *later]


@dataclass(frozen=True)
class AdaptiveLatent(Crossed):
    """One latent of one image, coded with tables that learned from it."""

    density: Density
    prior: Prior
    alphabets: Alphabets
    m: Ints  # (M, h * w)
    trust: int | None

    @property
    def residual(self) -> NDArray[np.floating]:
        """(n,) the integers."""
        return self.m.ravel().astype(self.prior.centres.dtype)

    @property
    def kinds(self) -> Kinds:
        """All are integers."""
        return Kinds(("int",), (1,), np.zeros(self.m.size, np.int64))

    @cached_property
    def _coded(self) -> tuple[NDArray[np.int64], Mask]:
        return self.alphabets.symbols(self.m)

    def escaped(self) -> int:
        """Integers that no table has."""
        return int(self._coded[1].sum())

    def _passes(self) -> Iterator[tuple[slice, NDArray[np.int64], Learner]]:
        """Places and symbols of each pass, and what was learned before it."""
        symbols, learner = self._coded[0], Learner(self.alphabets, self.trust)
        for where in passes(self.m.shape[1]):
            yield where, symbols[:, where], learner
            learner.learn(symbols[:, where])

    def bits(self) -> Floats:
        """See :meth:`Crossed.bits`; each element has its share of what the trust costs."""
        cost = np.empty(self.m.shape)
        for where, symbols, learner in self._passes():
            cost[:, where] = learner.bits(symbols)
        escaped = self._coded[1]
        cost[escaped] += integer_bits(self.m[escaped])
        return cost.ravel() + self.bits_ahead()

    def bits_ahead(self) -> Floats:
        """(n,) the trust's."""
        return np.full(self.m.size, _TRUST.bits[0] / self.m.size)

    def string(self) -> bytes:
        """The trust's number, the symbols pass by pass and channel by channel, what escaped."""
        encoder = SymbolEncoder()
        encoder.run(_TRUST, np.array([TRUSTS.index(self.trust)], np.int32))
        for _, symbols, learner in self._passes():
            encoder.runs(zip(learner.tables(), symbols.astype(np.int32)))
        encoder.integers(self.m[self._coded[1]])
        return encoder.finish()


class AdaptiveChannel:
    """Integers around the medians of a factorized prior that learns.

    Args:
        density: a factorized prior's, of whose levels each channel of the latent has one.
        dumped: see :class:`Tables`.
    """

    def __init__(self, density: Density, dumped: Ints | None = None):
        self.density = density
        self._integers = LatticeChannel(density, RULES["int"], dumped=dumped)
        self.tables = self._integers.tables

    @cached_property
    def _alphabets(self) -> Alphabets:
        tables = (self.tables["int", level] for level in range(self.density.levels))
        axes = [table.axes[0, 0] for table in tables if isinstance(table, ProductTable)]
        return Alphabets.of(axes)  # of all: integers have no joint tables

    def _alphabets_of(self, walk: Walk) -> Alphabets:
        """Of the walk's channels."""
        if isinstance(walk, OfChannels):
            return self._alphabets.of_levels(walk.levels)
        return self._alphabets

    def send(self, walk: Walk, target: Point, /) -> AdaptiveLatent:
        """The nearest integers, with the trust that makes them cheapest.

        Raises:
            InputError: a value is NaN, infinite or absurdly large.
        """
        nearest = self._integers.send(walk, target)
        m = nearest.residual.astype(np.int32).reshape(walk.shape[0], -1)
        alphabets = self._alphabets_of(walk)
        found = (self._latent(nearest.prior, alphabets, m, trust) for trust in TRUSTS)
        return min(found, key=lambda latent: latent.bits().sum())

    def receive(self, walk: Walk, string: bytes, /) -> AdaptiveLatent:
        """The mirror of :meth:`send` and :meth:`AdaptiveLatent.string`.

        Raises:
            BitstreamError: ``string`` does not fit the walk exactly.
        """
        decoder = SymbolDecoder(string)
        trust = TRUSTS[decoder.run(_TRUST, 1)[0]]
        alphabets = self._alphabets_of(walk)
        m = _read(decoder, alphabets, trust, int(np.prod(walk.shape[1:])))
        decoder.finish()
        prior = take_across(walk, lambda index, _: m.ravel()[index])
        return self._latent(prior, alphabets, m, trust)

    def _latent(
        self, prior: Prior, alphabets: Alphabets, m: Ints, trust: int | None
    ) -> AdaptiveLatent:
        return AdaptiveLatent(self.density, prior, alphabets, m, trust)

    def dump(self) -> Ints:
        """The prior's tables, see :meth:`Tables.dump`."""
        return self._integers.dump()

    def digest(self) -> bytes:
        """Of the prior's tables, and of how they learn."""
        return hashlib.sha256(_MEANING + self._integers.digest()).digest()


def _read(decoder: SymbolDecoder, alphabets: Alphabets, trust: int | None, plane: int) -> Ints:
    """The integers (M, plane); the mirror of :meth:`AdaptiveLatent.string`."""
    learner = Learner(alphabets, trust)
    m = np.empty((len(alphabets.prior), plane), np.int32)
    escaped = np.empty(m.shape, np.bool_)
    for where in passes(plane):
        number = len(range(plane)[where])
        decoder.expect(number * learner.least_bits)
        symbols = np.array([decoder.run(table, number) for table in learner.tables()], np.int64)
        m[:, where], escaped[:, where] = alphabets.integers(symbols)
        learner.learn(symbols)
    m[escaped] = decoder.integers(int(escaped.sum()))
    return m
