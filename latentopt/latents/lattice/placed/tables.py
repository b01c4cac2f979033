"""Probabilities of moved lattice points, as integer counts: P(K | U = u) for each place of u.

A lattice's period on an axis is cut into 64 places, and a move is one place on each axis: a dither,
or how far a context moves a centre. What crosses is then a point of the lattice so moved, whose
coordinates, in 64ths of a period, are i = 64 k + r. In the product form such points have the
probability

    P(i | u) = P(coset | u) * prod_j P(k_j | r_j),    P(k | r) = q(64 k + r) / Q(r)

with q the density smoothed by the cell, and P(coset | u) in proportion to prod_j Q(r_j), as a coset
and a move say what r is. So there are 64 tables per level and axis, whatever the lattice is, and
each coordinate of a vector may have a level of its own.
"""

from dataclasses import dataclass
from weakref import WeakValueDictionary

import numpy as np
from numpy.typing import NDArray

from latentopt.densities import RARE, Density, Floats
from latentopt.lattices import Lattice
from latentopt.pmf import Counts
from latentopt.pmf.tables import AxisTable, Ints

PLACES = 64
"""How many places there are on an axis of a lattice's period."""

MOST_ENTRIES = 1 << 24
"""Counts that are held at once, about 256 MiB with what the coder makes of them: what narrow noise
takes of a wide prior, 17 widths of each level, without being made anew for each image."""


@dataclass(frozen=True)
class PlacedAxis:
    """One axis of a level: a table of k for each place r, and how likely the places are."""

    tables: tuple[AxisTable, ...]  # (64,)
    mass: Ints  # (64,) counts

    @staticmethod
    def of(density: Density, level: int, lattice: Lattice, axis_class: int) -> "PlacedAxis":
        """Integrates a level's density over cells in all places of an axis."""
        period = lattice.distinct_units[axis_class] * lattice.modulus
        low, high = density.support(level)
        k = np.arange(np.floor(low / period) - 2, np.ceil(high / period) + 3)
        t = period * (k + np.arange(PLACES)[:, None] / PLACES)  # (64, k)
        q = np.maximum(_smoothed(density, level, lattice, t), 0.0)
        mass = q.sum(axis=1)
        seen = np.flatnonzero((q >= RARE * mass[:, None]).any(axis=0))
        kept = q[:, seen[0] : seen[-1] + 1]
        rest = np.maximum(mass - kept.sum(axis=1), 0.0)
        rows = Counts.rows(np.concatenate([kept, rest[:, None]], axis=1), density.lift)
        tables = (AxisTable(int(k[seen[0]]), Counts(row)) for row in rows.astype(np.int32))
        return PlacedAxis(tuple(tables), Counts.from_probabilities(mass, density.lift).counts)

    @property
    def entries(self) -> int:
        """How many counts it holds."""
        return PLACES * len(self.tables[0].counts.counts)

    @property
    def least_bits(self) -> float:
        """No coordinate costs less."""
        return min(float(table.counts.bits.min()) for table in self.tables)


class PlacedTables:
    """The tables of all levels of a density, made when they are first needed.

    Channels and threads share them (:meth:`of`); what is forgotten for want of room comes out alike
    when it is made again.
    """

    def __init__(self, density: Density):
        self.density = density
        self._axes: dict[tuple[str, int, int], PlacedAxis] = {}

    @staticmethod
    def of(density: Density) -> "PlacedTables":
        """Those that some channel of an equal density has, or new ones."""
        known = _SHARED.get(density.fingerprint) or PlacedTables(density)
        return _SHARED.setdefault(density.fingerprint, known)

    def __getstate__(self) -> dict[str, object]:
        return {**vars(self), "_axes": {}}  # made anew where it is needed

    def axis(self, lattice: Lattice, level: int, axis_class: int) -> PlacedAxis:
        """That of a level, for coordinates of one of the lattice's units."""
        key = lattice.name, level, axis_class
        found = self._axes.get(key)
        if found is None:
            found = PlacedAxis.of(self.density, level, lattice, axis_class)
            if sum(axis.entries for axis in list(self._axes.values())) > MOST_ENTRIES:
                self._axes = {}
            self._axes[key] = found
        return found

    def _masses(
        self, lattice: Lattice, levels: NDArray[np.integer]
    ) -> tuple[Floats, NDArray[np.int64]]:
        """Q (some levels, axis classes, 64), and where in there ``levels`` are."""
        counts = np.bincount(levels.ravel())
        used, classes = np.flatnonzero(counts), range(len(lattice.distinct_units))
        each = [[self.axis(lattice, level, c).mass for c in classes] for level in used.tolist()]
        rows = np.cumsum(counts > 0) - 1
        return np.array(each, dtype=np.float64), rows[levels]

    def residue_masses(
        self, lattice: Lattice, levels: NDArray[np.integer], moves: NDArray[np.uint8]
    ) -> Floats:
        """(n, v, modulus) of each coordinate's residues, for vectors (n, v) so moved.

        In memory the vectors come last: what is done for all of them is done in long rows.
        """
        of_level, rows = self._masses(lattice, levels)
        r = residues(lattice, np.arange(lattice.modulus)[:, None], np.arange(PLACES))
        flat = of_level[..., r].transpose(2, 0, 1, 3).reshape(lattice.modulus, -1)
        own = (rows * of_level.shape[1] + np.array(lattice.axis_class)) * PLACES + moves
        return flat[:, own.T].transpose(2, 1, 0)

    def coset_weights(
        self, lattice: Lattice, levels: NDArray[np.integer], moves: NDArray[np.uint8]
    ) -> Floats:
        """Of each coset of vectors (n, v) so moved: (n, cosets), counts less one.

        Of integers, with sums and _products in a fixed order: the same on every machine.
        """
        masses = self.residue_masses(lattice, levels, moves)
        return Counts.rows(_products(masses, np.array(lattice.cosets))) - 1.0


_SHARED = WeakValueDictionary[str, PlacedTables]()


def residues(
    lattice: Lattice, m: NDArray[np.integer], moves: NDArray[np.integer]
) -> NDArray[np.int64]:
    """The places r of coordinates that are ``m`` modulo the lattice's modulus, so moved."""
    return (m * (PLACES // lattice.modulus) + moves.astype(np.int64)) % PLACES


def _smoothed(density: Density, level: int, lattice: Lattice, t: Floats) -> Floats:
    """Mass, up to a factor, of coordinates ``t``; exact in one dimension."""
    if lattice.dim == 1:
        return density.cdf(level, t + 0.5) - density.cdf(level, t - 0.5)
    return density.smoothed(level, t, lattice.second_moment)


def _products(weights: Floats, patterns: NDArray[np.integer]) -> Floats:
    """prod_j weights[:, j, patterns[:, j]], (n, patterns), by halves that patterns share."""
    half = patterns.shape[1] // 2
    if half == 0:
        return weights[:, 0, patterns[:, 0]]
    sides = []
    for side in (slice(0, half), slice(half, None)):
        distinct, inverse = np.unique(patterns[:, side], axis=0, return_inverse=True)
        sides.append(_products(weights[:, side], distinct)[:, inverse.reshape(-1)])
    return sides[0] * sides[1]
