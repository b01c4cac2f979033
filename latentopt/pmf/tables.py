"""Probability tables over lattice points: one joint alphabet, or a product of one-dimensional ones.

Both kinds do the same two things: turn integer coordinates ``m`` (n, v) into runs of symbols, and
back. A rare point of a joint table escapes to a product table; a rare coordinate of a product table
escapes to the mask, and the caller codes it as a plain integer. So nothing is ever removed. Rows
that are coded at several moments are encoded together, and come cut by their ``lengths``.

    m ──► encode ──► runs of (Counts, symbols) + mask     m[mask] coded as plain integers
          (for each length)
    m ◄── decode ◄── pull(Counts, n) -> symbols  + mask
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from latentopt.densities import RARE, Density, Floats
from latentopt.lattices import Lattice
from latentopt.pmf.cells import cell_probabilities
from latentopt.pmf.counts import Counts

Ints = NDArray[np.int32]
Mask = NDArray[np.bool_]
Run = tuple[Counts, Ints]
Pull = Callable[[Counts, int], Ints]

MAX_JOINT_CELLS = 1024
"""Largest box of cells that gets a joint table. Larger boxes belong to wide densities, for which
the product form costs less than 0.001 % of the rate (scripts/pmf_accuracy.py measures it)."""

MAX_PAPER_CELLS = 1 << 18
PAPER_THRESHOLD = 1e-7


def _split(counts: Counts, symbols: Ints, ends: NDArray[np.int64]) -> list[Run]:
    return [(counts, own) for own in np.split(symbols, ends[:-1])]


@dataclass(frozen=True)
class AxisTable:
    """The coordinates m = modulus * k + shift of one axis, given the shift: an alphabet of k."""

    first: int
    counts: Counts  # k = first, first + 1, …, then the escape

    @property
    def escape(self) -> int:
        return len(self.counts.counts) - 1

    def symbols(self, k: Ints) -> Ints:
        symbols = (k - self.first).astype(np.uint32)  # what is below the first becomes huge
        return np.minimum(symbols, self.escape).astype(np.int32)


@dataclass(frozen=True)
class ProductTable:
    """P(c) = prod_j q_j(c_j) / Z, factored as P(coset) prod_j P(c_j | coset).

    With q_j the density smoothed by noise of the cell's second moment, this is the probability of
    the cell up to fourth order in cell size / sigma; a coset of the sublattice is rectangular, so
    given the coset the coordinates are independent and no big alphabet exists at any sigma.
    """

    lattice: Lattice
    cosets: Counts
    axes: dict[tuple[int, int], AxisTable]  # (axis class, shift) -> table

    @cached_property
    def least_bits(self) -> float:
        """No vector costs less."""
        coordinate = min(table.counts.bits.min() for table in self.axes.values())
        return float(self.cosets.bits.min() + self.lattice.dim * coordinate)

    def encode(self, m: Ints, lengths: Sequence[int]) -> Iterator[tuple[list[Run], Mask]]:
        shift = m % self.lattice.modulus
        ends = np.cumsum(lengths)
        runs = [_split(counts, symbols, ends) for counts, symbols in self._coset_runs(shift)]
        mask = np.zeros(m.shape, dtype=bool)
        for table, where in self._places(shift):
            symbols = table.symbols(m[where] // self.lattice.modulus)
            mask[where] = symbols == table.escape
            runs.append(_split(table.counts, symbols, where.sum(axis=1).cumsum()[ends - 1]))
        for own, own_mask in zip(zip(*runs), np.split(mask, ends[:-1])):
            yield list(own), own_mask

    def decode(self, pull: Pull, n: int) -> tuple[Ints, Mask]:
        only = len(self.lattice.cosets) == 1
        coset = np.zeros(n, dtype=np.int32) if only else pull(self.cosets, n)
        shift = np.array(self.lattice.cosets, dtype=np.int32)[coset]
        m, mask = shift.copy(), np.zeros(shift.shape, dtype=bool)
        for table, where in self._places(shift):
            symbols = pull(table.counts, int(where.sum()))
            mask[where] = symbols == table.escape
            m[where] += (symbols + table.first) * self.lattice.modulus
        return m, mask

    def _places(self, shift: Ints) -> list[tuple[AxisTable, Mask]]:
        """Each one-dimensional table with the (n, v) mask of the coordinates that it codes."""
        axis_class = np.array(self.lattice.axis_class)
        return [
            (table, (shift == s) & (axis_class == c)[None, :])
            for (c, s), table in self.axes.items()
        ]

    def bits(self, m: Ints) -> tuple[Floats, Mask]:
        """(n,) cost of each vector's symbols, and the mask of what is left to plain integers."""
        shift = m % self.lattice.modulus
        first, escape, start, cost = self._by_residue
        own = np.array(self.lattice.axis_class) * self.lattice.modulus + shift
        symbols = (m // self.lattice.modulus - first[own]).astype(np.uint32)
        symbols = np.minimum(symbols, escape[own])
        total = cost[start[own] + symbols].sum(axis=1)
        for counts, cosets in self._coset_runs(shift):
            total += counts.bits[cosets]
        return total, symbols == escape[own]

    @cached_property
    def _by_residue(self) -> tuple[Ints, NDArray[np.uint32], NDArray[np.int64], Floats]:
        """Of each axis class and residue the table's first value and escape, and where its symbols
        begin among the bits of all, which come last."""
        modulus = self.lattice.modulus
        size = len(self.lattice.distinct_units) * modulus
        first, start = np.zeros(size, np.int32), np.zeros(size, np.int64)
        escape, bits = np.zeros(size, np.uint32), list[float]()
        for (axis_class, shift), table in self.axes.items():
            own = axis_class * modulus + shift
            first[own], escape[own], start[own] = table.first, table.escape, len(bits)
            bits.extend(table.counts.bits)
        return first, escape, start, np.array(bits)

    def _coset_runs(self, shift: Ints) -> list[Run]:
        """The cosets as symbols; none where the lattice has but one coset."""
        if len(self.lattice.cosets) == 1:
            return []
        return [(self.cosets, self.lattice.coset_index[shift @ self.lattice.radix])]

    def arrays(self) -> list[Ints]:
        arrays = [self.cosets.counts]
        for table in self.axes.values():
            arrays.append(np.array([table.first], dtype=np.int32))
            arrays.append(table.counts.counts)
        return arrays

    @staticmethod
    def of(
        lattice: Lattice, cosets: Counts, axes: dict[tuple[int, int], AxisTable]
    ) -> "ProductTable":
        kind = ScalarTable if lattice.dim == 1 else ProductTable
        return kind(lattice, cosets, axes)

    @staticmethod
    def from_arrays(lattice: Lattice, cosets: Ints, *axes: Ints) -> "ProductTable":
        tables = [AxisTable(int(f[0]), Counts(c)) for f, c in zip(axes[::2], axes[1::2])]
        return ProductTable.of(lattice, Counts(cosets), dict(zip(lattice.axis_keys, tables)))


@dataclass(frozen=True)
class ScalarTable(ProductTable):
    """The same in one dimension, where there is but one axis and one coset: no masks to make."""

    @cached_property
    def _axis(self) -> AxisTable:
        [table] = self.axes.values()
        return table

    def encode(self, m: Ints, lengths: Sequence[int]) -> Iterator[tuple[list[Run], Mask]]:
        for run in _split(self._axis.counts, self._axis.symbols(m[:, 0]), np.cumsum(lengths)):
            yield [run], (run[1] == self._axis.escape)[:, None]

    def decode(self, pull: Pull, n: int) -> tuple[Ints, Mask]:
        symbols = pull(self._axis.counts, n)
        return (symbols + self._axis.first)[:, None], (symbols == self._axis.escape)[:, None]

    def bits(self, m: Ints) -> tuple[Floats, Mask]:
        symbols = self._axis.symbols(m[:, 0])
        return self._axis.counts.bits[symbols], (symbols == self._axis.escape)[:, None]


@dataclass(frozen=True)
class JointTable:
    """One alphabet of whole vectors: the points of a box of coordinates that are not rare.

    The others go through an escape symbol to the ``fallback`` table. Without a fallback the table
    is closed: the encoder must choose among ``points`` (``pmf="paper"``).
    """

    low: Ints  # (v,) smallest coordinate of the box
    shape: Ints  # (v,) size of the box
    points: Ints  # (s, v) coordinates of symbol 0 … s-1
    counts: Counts  # s symbols, and the escape where there is a fallback
    fallback: ProductTable | None

    @cached_property
    def least_bits(self) -> float:
        """No vector costs less."""
        return float(self.counts.bits.min())

    @cached_property
    def symbol_of(self) -> Ints:
        """(prod(shape),) symbol of each place of the box, s where there is none."""
        symbol_of = np.full(int(np.prod(self.shape)), len(self.points), dtype=np.int32)
        places = np.ravel_multi_index(tuple((self.points - self.low).T), tuple(self.shape))
        symbol_of[places] = np.arange(len(self.points))
        return symbol_of

    def symbols(self, m: Ints) -> Ints:
        """(n,) symbols of ``m`` (n, v); ``len(points)`` where there is none."""
        place = m - self.low
        inside = ((place >= 0) & (place < self.shape)).all(axis=1)
        index = np.zeros(len(m), dtype=np.int64)
        for axis in range(m.shape[1]):
            index = index * self.shape[axis] + place[:, axis]
        return np.where(inside, self.symbol_of[np.where(inside, index, 0)], len(self.points))

    def encode(self, m: Ints, lengths: Sequence[int]) -> Iterator[tuple[list[Run], Mask]]:
        ends = np.cumsum(lengths)
        split = _split(self.counts, self.symbols(m), ends)
        for run, rows in zip(split, np.split(m, ends[:-1])):
            runs, mask = [run], np.zeros(rows.shape, dtype=bool)
            escaped = run[1] == len(self.points)
            if self.fallback and escaped.any():
                [(more, mask[escaped])] = self.fallback.encode(rows[escaped], [escaped.sum()])
                runs += more
            yield runs, mask

    def decode(self, pull: Pull, n: int) -> tuple[Ints, Mask]:
        symbols = pull(self.counts, n)
        escaped = symbols == len(self.points)
        m = self.points[np.where(escaped, 0, symbols)]
        mask = np.zeros(m.shape, dtype=bool)
        if self.fallback and escaped.any():
            m[escaped], mask[escaped] = self.fallback.decode(pull, int(escaped.sum()))
        return m, mask

    def bits(self, m: Ints) -> tuple[Floats, Mask]:
        """(n,) cost of each vector's symbols, and the mask of what is left to plain integers."""
        symbols = self.symbols(m)
        cost, mask = self.counts.bits[symbols], np.zeros(m.shape, dtype=bool)
        escaped = symbols == len(self.points)
        if self.fallback and escaped.any():
            more, mask[escaped] = self.fallback.bits(m[escaped])
            cost[escaped] += more
        return cost, mask

    def arrays(self) -> list[Ints]:
        arrays = [self.low, self.shape, self.points.ravel(), self.counts.counts]
        return arrays + (self.fallback.arrays() if self.fallback else [])

    @staticmethod
    def from_arrays(
        lattice: Lattice, low: Ints, shape: Ints, flat_points: Ints, counts: Ints, *fallback: Ints
    ) -> "JointTable":
        points = flat_points.reshape(-1, lattice.dim)
        wide = ProductTable.from_arrays(lattice, *fallback) if fallback else None
        return JointTable(low, shape, points, Counts(counts), wide)


Table = JointTable | ProductTable


def build_table(density: Density, level: int, lattice: Lattice) -> Table:
    """The table of one level: joint and exact where it is small, else the product form."""
    product = _product(density, level, lattice)
    box = _Box.around(density.core, level, lattice)
    if lattice.dim == 1 or not lattice.pieces or box.cells > MAX_JOINT_CELLS:
        return product
    m = box.coordinates()
    p = cell_probabilities(density, level, lattice, m)
    return _joint(density, box, m, p, RARE, product)


def build_paper_table(density: Density, level: int, lattice: Lattice) -> Table:
    """The paper's variant: one table of all centres, those rarer than 1e-7 removed, no escape.

    Levels so wide that this table would have more than ``MAX_PAPER_CELLS`` cells keep the product
    form: there the paper's table would be too large to build.
    """
    box = _Box.around(density, level, lattice)
    if not lattice.pieces or box.cells > MAX_PAPER_CELLS:
        return _product(density, level, lattice)
    m = box.coordinates()
    if lattice.dim == 1 or box.cells <= MAX_JOINT_CELLS:
        p = cell_probabilities(density, level, lattice, m)
    else:
        p = _smoothed(density, level, lattice, m).prod(axis=1)
        p /= p.sum()
    return _joint(density, box, m, p, PAPER_THRESHOLD, fallback=None)


@dataclass(frozen=True)
class _Box:
    """The coordinates whose cells meet the support of a level on every axis."""

    lattice: Lattice
    low: Ints
    shape: Ints

    @staticmethod
    def around(density: Density, level: int, lattice: Lattice) -> "_Box":
        units = np.array(lattice.units)
        reach = max(lattice.units) * lattice.modulus / 2  # no cell is wider than this
        low, high = density.support(level)
        first = np.floor((low - reach) / units).astype(np.int32)
        last = np.ceil((high + reach) / units).astype(np.int32)
        return _Box(lattice, first, last - first + 1)

    @property
    def cells(self) -> float:
        """Number of lattice points in the box, about (a float: it may be astronomical)."""
        density = len(self.lattice.cosets) / float(self.lattice.modulus) ** self.lattice.dim
        return float(np.prod(self.shape.astype(np.float64))) * density

    def coordinates(self) -> NDArray[np.int64]:
        grid = np.indices(tuple(self.shape)).reshape(self.lattice.dim, -1).T + self.low
        return grid[self.lattice.contains(grid)]


def _joint(
    density: Density,
    box: _Box,
    m: NDArray[np.int64],
    p: Floats,
    threshold: float,
    fallback: ProductTable | None,
) -> JointTable:
    kept = p >= threshold
    probabilities = np.append(p[kept], max(1 - p[kept].sum(), 0.0)) if fallback else p[kept]
    counts = Counts.from_probabilities(probabilities, density.lift)
    return JointTable(box.low, box.shape, m[kept].astype(np.int32), counts, fallback)


def _product(density: Density, level: int, lattice: Lattice) -> ProductTable:
    low, high = density.support(level)
    mass: dict[tuple[int, int], float] = {}
    axes: dict[tuple[int, int], AxisTable] = {}
    for c, s in lattice.axis_keys:
        unit = lattice.distinct_units[c]
        step = unit * lattice.modulus
        k = np.arange(np.floor(low / step) - 2, np.ceil(high / step) + 3)
        q = _coordinate_mass(density, level, lattice, unit * (lattice.modulus * k + s))
        mass[c, s] = float(q.sum())
        kept = np.flatnonzero(q >= RARE * q.sum())
        kept = np.arange(kept[0], kept[-1] + 1)
        p = np.append(q[kept], max(q.sum() - q[kept].sum(), 0.0)) / q.sum()
        axes[c, s] = AxisTable(int(k[kept[0]]), Counts.from_probabilities(p, density.lift))
    weights = [np.prod([mass[c, s] for c, s in zip(lattice.axis_class, t)]) for t in lattice.cosets]
    cosets = Counts.from_probabilities(np.array(weights), density.lift)
    return ProductTable.of(lattice, cosets, axes)


def _coordinate_mass(density: Density, level: int, lattice: Lattice, t: Floats) -> Floats:
    """Mass, up to a factor, of the coordinate ``t`` of a point; exact in one dimension."""
    if lattice.dim == 1:
        return cell_probabilities(density, level, lattice, np.rint(t).astype(np.int64)[:, None])
    return density.smoothed(level, t, lattice.second_moment)


def _smoothed(density: Density, level: int, lattice: Lattice, m: NDArray[np.int64]) -> Floats:
    """Smoothed density of each coordinate (n, v): each is there so often that few are computed."""
    columns = []
    for axis, unit in enumerate(lattice.units):
        distinct, inverse = np.unique(m[:, axis], return_inverse=True)
        q = density.smoothed(level, distinct * unit, lattice.second_moment)
        columns.append(q[inverse])
    return np.stack(columns, axis=1)
