"""A dithered latent: points of a lattice moved by a dither that both sides know."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
from numpy.typing import NDArray

from latentopt.bitstream.ans import SymbolDecoder, SymbolEncoder, integer_bits
from latentopt.densities import Density, Floats
from latentopt.latents.channel import Crossed, Kinds
from latentopt.latents.dither.philox import PLACES
from latentopt.latents.dither.spacing import spacing
from latentopt.latents.dither.tables import DitherTables, residues
from latentopt.latents.lattice.latent import lattice_kinds
from latentopt.latents.lattice.packing import Part
from latentopt.latents.prior import Prior
from latentopt.lattices import Lattice
from latentopt.pmf.counts import PRECISION
from latentopt.pmf.tables import AxisTable, Ints

_ROWS = 1 << 12  # vectors whose cosets are weighed at once

Places = NDArray[np.int64]


@dataclass(frozen=True)
class Vectors:
    """The dithered points of a part of a latent."""

    part: Part
    dither: NDArray[np.uint8]  # (n, v)
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
        """(n,) which coset of the lattice each point is of, before the dither."""
        m = (self.i - self.dither) // (PLACES // self.lattice.modulus) % self.lattice.modulus
        return self.lattice.coset_index[m @ self.lattice.radix]

    def bits(self, tables: DitherTables) -> Floats:
        """(n,) cost of each vector."""
        cost, k = np.zeros(self.i.size), (self.i // PLACES).ravel()
        for table, where in coordinate_runs(tables, self.part, self.i % PLACES):
            symbols = table.symbols(k[where])
            escaped = where[symbols == table.escape]
            cost[where] = table.counts.bits[symbols]
            cost[escaped] += integer_bits(k[escaped])
        total: Floats = cost.reshape(self.i.shape).sum(axis=1)
        for rows in coset_rows(self.part):
            counts = tables.coset_weights(self.lattice, self.part.levels[rows], self.dither[rows])
            own = np.take_along_axis(counts, self.cosets[rows, None].astype(np.int64), axis=1)
            total[rows] += PRECISION - np.log2(own[:, 0] + 1)
        return total

    def escapes(self, tables: DitherTables) -> int:
        """How many coordinates no table has."""
        k = (self.i // PLACES).ravel()
        runs = coordinate_runs(tables, self.part, self.i % PLACES)
        return sum(int((table.symbols(k[at]) == table.escape).sum()) for table, at in runs)

    def encode(self, tables: DitherTables, encoder: SymbolEncoder) -> None:
        """Cosets, then the coordinates table by table, then those that no table has."""
        for rows in coset_rows(self.part):
            given = self.lattice, self.part.levels[rows], self.dither[rows]
            encoder.rows(partial(tables.coset_weights, *given), self.cosets[rows])
        k, escaped = (self.i // PLACES).ravel(), []
        for table, where in coordinate_runs(tables, self.part, self.i % PLACES):
            symbols = table.symbols(k[where])
            encoder.run(table.counts, symbols)
            escaped.append(k[where[symbols == table.escape]])
        if any(map(len, escaped)):
            encoder.integers(np.concatenate(escaped))

    @staticmethod
    def decode(
        tables: DitherTables, decoder: SymbolDecoder, part: Part, dither: NDArray[np.uint8]
    ) -> "Vectors":
        """The mirror of :meth:`encode`."""
        lattice, m = part.lattice, np.zeros(part.index.shape, np.int64)
        for rows in coset_rows(part):
            weights = tables.coset_weights(lattice, part.levels[rows], dither[rows])
            m[rows] = np.array(lattice.cosets)[decoder.rows(weights)]
        r = residues(lattice, m, dither)
        k, escaped = np.zeros(r.size, np.int64), []
        for table, where in coordinate_runs(tables, part, r):
            symbols = decoder.run(table.counts, len(where))
            k[where] = symbols + table.first
            escaped.append(where[symbols == table.escape])
        if any(map(len, escaped)):
            places = np.concatenate(escaped)
            k[places] = decoder.integers(len(places))
        return Vectors(part, dither, k.reshape(r.shape) * PLACES + r)


def coset_rows(part: Part) -> list[slice]:
    """The vectors whose cosets are coded at once; none where a lattice has but one coset."""
    if len(part.lattice.cosets) == 1:
        return []
    return [slice(start, start + _ROWS) for start in range(0, len(part.index), _ROWS)]


def coordinate_runs(
    tables: DitherTables, part: Part, r: NDArray[np.int64]
) -> Iterator[tuple[AxisTable, Places]]:
    """Each table that codes coordinates of a part, and which of the flattened ones (n * v,).

    Both sides go through them in this order: by level, then axis class, then place ``r`` (n, v).
    """
    lattice = part.lattice
    classes = len(lattice.distinct_units)
    axis = part.levels[:, None] * classes + np.array(lattice.axis_class)
    keys = (axis * PLACES + r).ravel()
    order = np.argsort(keys, kind="stable")
    starts = np.flatnonzero(np.diff(keys[order], prepend=-1))
    for where in np.split(order, starts[1:]) if len(order) else []:
        pair, place = divmod(int(keys[where[0]]), PLACES)
        level, axis_class = divmod(pair, classes)
        yield tables.axis(lattice, level, axis_class).tables[place], where


@dataclass(frozen=True)
class DitheredLatent(Crossed):
    """One latent of one image, in the vectors of its groups, in the order of coding."""

    density: Density
    tables: DitherTables
    prior: Prior
    vectors: Sequence[Vectors]
    arrived: Sequence[Floats]
    """(n, v) of each of the vectors: what is taken for its points."""

    @cached_property
    def residual(self) -> NDArray[np.floating]:
        """(n,) what is taken for the dithered points, each element at its own place."""
        flat = np.empty_like(self.prior.centres)
        for vectors, values in zip(self.vectors, self.arrived):
            flat[vectors.part.index] = values
        return flat

    @property
    def kinds(self) -> Kinds:
        """The lattice of each element."""
        return lattice_kinds(len(self.prior.levels), (vectors.part for vectors in self.vectors))

    def escaped(self) -> int:
        """Coordinates that are coded as plain integers."""
        return sum(vectors.escapes(self.tables) for vectors in self.vectors)

    def bits(self) -> Floats:
        """(n,) cost of each element: each vector's cost shared equally by its elements."""
        cost = np.zeros(len(self.prior.levels))
        for vectors in self.vectors:
            cost[vectors.part.index] = vectors.bits(self.tables)[:, None] / vectors.lattice.dim
        return cost

    def string(self) -> bytes:
        """Each group's parts, one after the other."""
        encoder = SymbolEncoder()
        for vectors in self.vectors:
            vectors.encode(self.tables, encoder)
        return encoder.finish()
