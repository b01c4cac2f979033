"""Points of a lattice that are moved by known places, and how they are coded.

A coordinate that is moved by u places of its period is i = places * m + u: a table of its own level
and place codes it, once the point's coset has crossed. So a vector's coordinates may be priced each
by its own density, and the point itself stays one of the lattice.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
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
        cost, k = np.zeros(self.i.size), (self.i // PLACES).ravel()
        for table, where in coordinate_runs(tables, self.part, self.i % PLACES):
            symbols = table.symbols(k[where])
            escaped = where[symbols == table.escape]
            cost[where] = table.counts.bits[symbols]
            cost[escaped] += integer_bits(k[escaped])
        total: Floats = cost.reshape(self.i.shape).sum(axis=1)
        for rows in coset_rows(self.part):
            total[rows] += self._coset_bits(tables, rows)
        return total

    def _coset_bits(self, tables: PlacedTables, rows: slice) -> Floats:
        weights = tables.coset_weights(self.lattice, self.part.own_levels[rows], self.moves[rows])
        return bits_of(weights, self.cosets[rows])

    def escapes(self, tables: PlacedTables) -> int:
        """How many coordinates no table has."""
        k = (self.i // PLACES).ravel()
        runs = coordinate_runs(tables, self.part, self.i % PLACES)
        return sum(int((table.symbols(k[at]) == table.escape).sum()) for table, at in runs)

    def encode(self, tables: PlacedTables, encoder: SymbolEncoder) -> None:
        """Cosets, then the coordinates table by table, then those that no table has."""
        for rows in coset_rows(self.part):
            self._encode_cosets(tables, encoder, rows)
        k, escaped = (self.i // PLACES).ravel(), []
        for table, where in coordinate_runs(tables, self.part, self.i % PLACES):
            symbols = table.symbols(k[where])
            encoder.run(table.counts, symbols)
            escaped.append(k[where[symbols == table.escape]])
        if any(map(len, escaped)):
            encoder.integers(np.concatenate(escaped))

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
        k, escaped = np.zeros(r.size, np.int64), []
        for table, where in coordinate_runs(tables, part, r):
            symbols = decoder.run(table.counts, len(where))
            k[where] = symbols + table.first
            escaped.append(where[symbols == table.escape])
        if any(map(len, escaped)):
            places = np.concatenate(escaped)
            k[places] = decoder.integers(len(places))
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


def coordinate_runs(
    tables: PlacedTables, part: Part, r: NDArray[np.int64]
) -> Iterator[tuple[AxisTable, Places]]:
    """Each table that codes coordinates of a part, and which of the flattened ones (n * v,).

    Both sides go through them in this order: by level, then axis class, then place ``r`` (n, v).
    """
    lattice = part.lattice
    classes = len(lattice.distinct_units)
    axis = part.own_levels * classes + np.array(lattice.axis_class)
    keys = (axis * PLACES + r).ravel()
    order = np.argsort(keys, kind="stable")
    sorted_keys = keys[order]
    starts = np.flatnonzero(np.diff(sorted_keys, prepend=-1))
    stops = [*starts[1:].tolist(), len(order)]
    for key, start, stop in zip(sorted_keys[starts].tolist(), starts.tolist(), stops):
        pair, place = divmod(key, PLACES)
        level, axis_class = divmod(pair, classes)
        yield tables.axis(lattice, level, axis_class).tables[place], order[start:stop]
