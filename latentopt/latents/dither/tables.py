"""Probabilities of dithered lattice points, as integer counts: P(K | U = u) for each place of u.

A lattice's period on an axis is cut into 64 places, and a dither is one place on each axis. What
crosses is then a point of the lattice moved by the dither, whose coordinates, in 64ths of a period,
are i = 64 k + r. In the product form such points have the probability

    P(i | u) = P(coset | u) * prod_j P(k_j | r_j),    P(k | r) = q(64 k + r) / Q(r)

with q the density smoothed by the cell, and P(coset | u) in proportion to prod_j Q(r_j), as a coset
and a dither say what r is. So there are 64 tables per level and axis, whatever the lattice is.
With soft rounding q is the density of s_alpha(y) + u, at the same places.
"""

from dataclasses import dataclass
from weakref import WeakValueDictionary

import numpy as np
from numpy.typing import NDArray

from latentopt.densities import RARE, Density, Floats
from latentopt.latents.dither.philox import PLACES
from latentopt.latents.dither.soft import soft_places
from latentopt.lattices import LATTICES, Lattice, Rule
from latentopt.pmf import Counts
from latentopt.pmf.tables import AxisTable, Ints

LEAST_WIDTH = 0.5
"""Narrower levels use `int`, which has no product form to be inaccurate."""

MOST_ENTRIES = 1 << 22
"""Counts that are held at once, about 64 MiB with what the coder makes of them."""


@dataclass(frozen=True)
class PlacedAxis:
    """One axis of a level: a table of k for each place r, and how likely the places are."""

    tables: tuple[AxisTable, ...]  # (64,)
    mass: Ints  # (64,) counts

    @staticmethod
    def of(
        density: Density, level: int, lattice: Lattice, axis_class: int, alpha: float
    ) -> "PlacedAxis":
        """Integrates a level's density over cells in all places of an axis."""
        period = lattice.distinct_units[axis_class] * lattice.modulus
        low, high = density.support(level)
        k = np.arange(np.floor(low / period) - 2, np.ceil(high / period) + 3)
        t = period * soft_places((PLACES * k + np.arange(PLACES)[:, None]).astype(np.int64), alpha)
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


class DitherTables:
    """The tables of all levels of a density, made when they are first needed.

    Channels and threads share them, whatever their seeds (:meth:`of`); what is forgotten for want
    of room comes out alike when it is made again.
    """

    def __init__(self, density: Density, rule: Rule, alpha: float = 0.0):
        self.density, self._alpha = density, alpha
        self.lattices = [
            rule.lattice(spread) if _width(density, level) >= LEAST_WIDTH else LATTICES["int"]
            for level, spread in enumerate(density.spreads)
        ]
        """Of each level."""
        self._axes: dict[tuple[str, int, int], PlacedAxis] = {}

    @staticmethod
    def of(density: Density, rule: Rule, alpha: float = 0.0) -> "DitherTables":
        """Those that some channel of an equal density has, or new ones."""
        key = density.fingerprint, rule.name, alpha
        return _SHARED.setdefault(key, _SHARED.get(key) or DitherTables(density, rule, alpha))

    def __getstate__(self) -> dict[str, object]:
        return {**vars(self), "_axes": {}}  # made anew where it is needed

    def axis(self, lattice: Lattice, level: int, axis_class: int) -> PlacedAxis:
        """That of a level, for coordinates of one of the lattice's units."""
        key = lattice.name, level, axis_class
        found = self._axes.get(key)
        if found is None:
            found = PlacedAxis.of(self.density, level, lattice, axis_class, self._alpha)
            if sum(axis.entries for axis in list(self._axes.values())) > MOST_ENTRIES:
                self._axes = {}
            self._axes[key] = found
        return found

    def masses(self, lattice: Lattice, levels: NDArray[np.integer], r: NDArray[np.int64]) -> Floats:
        """Q (n, v, k), integers, of places ``r`` (n, v, k) of vectors of these levels (n,)."""
        used, rows = np.unique(levels, return_inverse=True)
        each = [
            [self.axis(lattice, int(level), c).mass for c in lattice.axis_class] for level in used
        ]
        of_level = np.array(each, dtype=np.float64)  # (levels, v, 64)
        return of_level[rows[:, None, None], np.arange(lattice.dim)[:, None], r]

    def coset_weights(
        self, lattice: Lattice, levels: NDArray[np.integer], dither: NDArray[np.uint8]
    ) -> Floats:
        """Of each coset of vectors (n, v) with these dithers: (n, cosets), counts less one.

        Of integers, with sums and products in a fixed order: the same on every machine.
        """
        r = residues(lattice, np.arange(lattice.modulus), dither[..., None])  # (n, v, modulus)
        masses = self.masses(lattice, levels, r)
        return Counts.rows(_products(masses, np.array(lattice.cosets))) - 1.0


_SHARED = WeakValueDictionary[tuple[str, str, float], DitherTables]()


def residues(
    lattice: Lattice, m: NDArray[np.integer], dither: NDArray[np.uint8]
) -> NDArray[np.int64]:
    """The places r of coordinates that are ``m`` modulo the lattice's modulus, so dithered."""
    return (m * (PLACES // lattice.modulus) + dither.astype(np.int64)) % PLACES


def _width(density: Density, level: int) -> float:
    """Standard deviation of a Gaussian with the same peak: what is sharp at 0 is narrow."""
    return 1 / (np.sqrt(2 * np.pi) * float(density.pdf(level, np.zeros(1))[0]))


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
