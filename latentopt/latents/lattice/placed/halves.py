"""Cosets in two steps: the residues of a point's first coordinates, then those of the others.

E8 has 256 cosets, but 32 such halves, each of which 8 may follow: where each vector has alphabets
of its own, these take a sixth of the time.
"""

from dataclasses import dataclass
from functools import cache, reduce
from operator import mul

import numpy as np
from numpy.typing import NDArray

from latentopt.densities import Floats
from latentopt.lattices import LATTICES, Lattice
from latentopt.pmf import Counts
from latentopt.pmf.counts import in_order
from latentopt.pmf.tables import Ints


@dataclass(frozen=True)
class Halves:
    """The two halves of a lattice's cosets."""

    first: NDArray[np.int64]  # (a, v // 2) distinct ones
    second: NDArray[np.int64]  # (b, v - v // 2)
    kind: NDArray[np.int64]  # (a,) of a first half, which set of second ones may follow
    following: NDArray[np.int64]  # (kinds, f) those sets
    pair: Ints  # (cosets, 2) first half, and the position of the second among those that may follow
    coset: Ints  # (a, f) the inverse of that

    @staticmethod
    def of(lattice: Lattice) -> "Halves":
        """Those of a lattice of several cosets."""
        return _halves(lattice.name)

    def firsts(self, masses: Floats) -> Floats:
        """(n, a) weights of first halves, see :meth:`PlacedTables.coset_weights`.

        Args:
            masses: (n, v, modulus) integers, of each coordinate's residues.
        """
        cut = self.first.shape[1]
        after = _products(masses[:, cut:], self.second)
        of_kind = in_order(after[self.following.T])
        own = _products(masses[:, :cut], self.first) * of_kind[self.kind]
        return Counts.rows(own.T) - 1.0

    def seconds(self, masses: Floats, first: Ints) -> Floats:
        """(n, f) weights of the second halves that may follow these first ones (n,)."""
        after = _products(masses[:, self.first.shape[1] :], self.second)
        following = self.following.T[:, self.kind[first]]  # (f, n)
        return Counts.rows(np.take_along_axis(after, following, 0).T) - 1.0


def _products(masses: Floats, patterns: NDArray[np.int64]) -> Floats:
    """(patterns, n) of each coordinate's mass, multiplied from the first to the last."""
    across = masses.transpose(1, 2, 0)  # as they lie in memory: whole rows are taken
    return reduce(mul, (across[j][own] for j, own in enumerate(patterns.T)))


@cache
def _halves(name: str) -> Halves:
    cosets = np.array(LATTICES[name].cosets)
    cut = cosets.shape[1] // 2
    first, a = np.unique(cosets[:, :cut], axis=0, return_inverse=True)
    second, b = np.unique(cosets[:, cut:], axis=0, return_inverse=True)
    a, b = a.reshape(-1), b.reshape(-1)
    # As many follow each, as cosets are a group.
    each = np.array([np.sort(b[a == k]) for k in range(len(first))])
    following, kind = np.unique(each, axis=0, return_inverse=True)
    position = np.array([np.searchsorted(each[i], j) for i, j in zip(a, b)])
    coset = np.empty(each.shape, np.int32)
    coset[a, position] = np.arange(len(cosets))
    pair = np.stack([a, position], axis=1).astype(np.int32)
    return Halves(first, second, kind.reshape(-1), following, pair, coset)
