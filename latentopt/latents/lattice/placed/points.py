"""Points of a lattice that are moved by known places, and how they are coded.

A coordinate that is moved by u places of its period is i = places * m + u: a table of its own level
and place codes it, once the point's coset has crossed. So a vector's coordinates may be priced each
by its own density, and the point itself stays one of the lattice.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Self

import numpy as np
from numpy.typing import NDArray

from latentopt.bitstream.ans import SymbolDecoder, SymbolEncoder, integer_bits
from latentopt.densities import Floats
from latentopt.latents.lattice.packing import Part
from latentopt.latents.lattice.placed.tables import PLACES, PlacedTables, residues
from latentopt.lattices import Lattice
from latentopt.pmf.counts import PRECISION
from latentopt.pmf.tables import AxisTable, Ints

_ROWS = 1 << 12  # vectors whose cosets are weighed at once
_SMALL = 1 << 16

Places = NDArray[np.int64]


def spacing(lattice: Lattice) -> Floats:
    """(v,) the distance between two places on each axis, in latent units."""
    return np.array(lattice.units) * lattice.modulus / PLACES


@dataclass(frozen=True)
class Placed:
    """The moved points of a part of a latent."""

    part: Part
    moves: NDArray[np.uint8]  # (n, v)
    i: NDArray[np.int64]  # (n, v) coordinates, in units of the spacing

    @property
    def lattice(self) -> Lattice:
        return self.part.lattice

    @property
    def values(self) -> Floats:
        """(n, v) in latent units."""
        return self.i * spacing(self.lattice)

    @property
    def cosets(self) -> Ints:
        """(n,) which coset of the lattice each point is of, before its move."""
        m = (self.i - self.moves) // (PLACES // self.lattice.modulus) % self.lattice.modulus
        return self.lattice.coset_index[m @ self.lattice.radix]

    def bits(self, tables: PlacedTables) -> Floats:
        """(n,) cost of each vector."""
        cost, (runs, k) = np.zeros(self.i.size), self._runs(tables)
        symbols = runs.symbols(k)
        bits = np.concatenate([table.counts.bits[own] for table, own in runs.cut(symbols)])
        escaped = runs.escaped(symbols)
        bits[escaped] += integer_bits(k[escaped])
        cost[runs.order] = bits
        total: Floats = cost.reshape(self.i.shape).sum(axis=1)
        for rows in coset_rows(self.part):
            total[rows] += self._coset_bits(tables, rows)
        return total

    def _coset_bits(self, tables: PlacedTables, rows: slice) -> Floats:
        weights = tables.coset_weights(self.lattice, self.part.own_levels[rows], self.moves[rows])
        return bits_of(weights, self.cosets[rows])

    def escapes(self, tables: PlacedTables) -> int:
        """How many coordinates no table has."""
        runs, k = self._runs(tables)
        return int(runs.escaped(runs.symbols(k)).sum())

    def _runs(self, tables: PlacedTables) -> "tuple[CoordinateRuns, Places]":
        """The coordinates by the tables that code them, and what k each has, in that order."""
        runs = CoordinateRuns.of(tables, self.part, self.i % PLACES)
        return runs, (self.i // PLACES).ravel()[runs.order]

    def encode(self, tables: PlacedTables, encoder: SymbolEncoder) -> None:
        """Cosets, then the coordinates table by table, then those that no table has."""
        for rows in coset_rows(self.part):
            self._encode_cosets(tables, encoder, rows)
        runs, k = self._runs(tables)
        symbols = runs.symbols(k)
        for table, own in runs.cut(symbols):
            encoder.run(table.counts, own)
        escaped = k[runs.escaped(symbols)]
        if len(escaped):
            encoder.integers(escaped)

    def _encode_cosets(self, tables: PlacedTables, encoder: SymbolEncoder, rows: slice) -> None:
        given = self.lattice, self.part.own_levels[rows], self.moves[rows]
        encoder.rows(partial(tables.coset_weights, *given), self.cosets[rows])

    @classmethod
    def decode(
        cls, tables: PlacedTables, decoder: SymbolDecoder, part: Part, moves: NDArray[np.uint8]
    ) -> Self:
        """The mirror of :meth:`encode`."""
        lattice, m = part.lattice, np.zeros(part.index.shape, np.int64)
        for rows in coset_rows(part):
            own = part.own_levels[rows], moves[rows]
            m[rows] = np.array(lattice.cosets)[cls._decode_cosets(tables, decoder, lattice, *own)]
        r = residues(lattice, m, moves)
        runs = CoordinateRuns.of(tables, part, r)
        coded = [decoder.run(table.counts, n) for table, n in zip(runs.tables, runs.lengths)]
        symbols = np.concatenate(coded)
        found, escaped = symbols + runs.firsts, runs.escaped(symbols)
        if escaped.any():
            found[escaped] = decoder.integers(int(escaped.sum()))
        k = np.empty(r.size, np.int64)
        k[runs.order] = found
        return cls(part, moves, k.reshape(r.shape) * PLACES + r)

    @staticmethod
    def _decode_cosets(
        tables: PlacedTables,
        decoder: SymbolDecoder,
        lattice: Lattice,
        levels: NDArray[np.int64],
        moves: NDArray[np.uint8],
    ) -> Ints:
        return decoder.rows(tables.coset_weights(lattice, levels, moves))


def bits_of(weights: Floats, symbols: Ints) -> Floats:
    """(n,) cost of symbols (n,), each of an alphabet of these counts less one, (n, k)."""
    own = np.take_along_axis(weights, symbols[:, None].astype(np.int64), axis=1)
    return PRECISION - np.log2(own[:, 0] + 1)


def coset_rows(part: Part) -> list[slice]:
    """The vectors whose cosets are coded at once; none where a lattice has but one coset."""
    if len(part.lattice.cosets) == 1:
        return []
    return [slice(start, start + _ROWS) for start in range(0, len(part.index), _ROWS)]


@dataclass(frozen=True)
class CoordinateRuns:
    """The flattened coordinates (n * v,) of a part, sorted by the tables that code them.

    Both sides have them in this order: by level, then axis class, then place. Tables are many and
    runs short, so what can be done for all at once is.
    """

    tables: Sequence[AxisTable]
    lengths: Sequence[int]
    order: Places
    """Which coordinate each of the sorted ones is."""

    @staticmethod
    def of(tables: PlacedTables, part: Part, r: NDArray[np.int64]) -> "CoordinateRuns":
        """Those of coordinates at places ``r`` (n, v)."""
        lattice = part.lattice
        classes = len(lattice.distinct_units)
        axis = part.own_levels * classes + np.array(lattice.axis_class)
        keys = (axis * PLACES + r).ravel()
        small = keys.astype(np.uint16) if keys.max() < _SMALL else keys  # which sort in no time
        order = np.argsort(small, kind="stable")
        starts = np.flatnonzero(np.diff(keys[order], prepend=-1))
        lengths = np.diff(starts, append=len(order)).tolist()
        places = (divmod(key, PLACES) for key in keys[order[starts]].tolist())
        each = [
            tables.axis(lattice, *divmod(pair, classes)).tables[place] for pair, place in places
        ]
        return CoordinateRuns(each, lengths, order)

    @cached_property
    def firsts(self) -> Places:
        """Of each coordinate, the first of its table's."""
        return np.repeat([table.first for table in self.tables], self.lengths)

    @cached_property
    def _escapes(self) -> Places:
        return np.repeat([table.escape for table in self.tables], self.lengths)

    def symbols(self, k: Places) -> Ints:
        """Of sorted coordinates, each of its own table's alphabet."""
        symbols = (k - self.firsts).astype(np.uint32)  # what is below the first becomes huge
        return np.minimum(symbols, self._escapes).astype(np.int32)

    def escaped(self, symbols: Ints) -> NDArray[np.bool_]:
        """Whether each says that its coordinate is none of the table's."""
        return symbols == self._escapes

    def cut(self, symbols: Ints) -> Iterator[tuple[AxisTable, Ints]]:
        """Each table with its symbols."""
        stops = np.cumsum(self.lengths).tolist()
        for table, start, stop in zip(self.tables, [0, *stops], stops):
            yield table, symbols[start:stop]
