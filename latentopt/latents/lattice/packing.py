"""Which elements of a latent form a vector: those of one level, in raster order."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from latentopt.lattices import LATTICES, Lattice


@dataclass(frozen=True)
class Part:
    """Vectors of one lattice, sorted by level."""

    lattice: Lattice
    index: NDArray[np.int64]  # (n, v) places in the flattened latent
    runs: tuple[tuple[int, int, int], ...]  # (level, start, stop) of the rows of each level

    @property
    def levels(self) -> NDArray[np.int64]:
        """(n,) level of each vector."""
        levels = np.empty(len(self.index), dtype=np.int64)
        for level, start, stop in self.runs:
            levels[start:stop] = level
        return levels

    def select(self, rows: NDArray[np.bool_]) -> "Part":
        """Some of the vectors."""
        ends = np.concatenate([[0], np.cumsum(rows)])
        runs = ((level, int(ends[a]), int(ends[b])) for level, a, b in self.runs)
        kept = tuple(run for run in runs if run[1] < run[2])
        return Part(self.lattice, self.index[rows], kept)


def pack(levels: NDArray[np.int16], lattices: Sequence[Lattice]) -> list[Part]:
    """Cut the elements of a latent, given their levels (n,), into vectors.

    Elements are sorted by level (stably, on integers, so that encoder and decoder agree) and each
    level's run is cut into vectors of the dimension of its lattice, ``lattices[level]``. What is
    left over, fewer than v per level, becomes scalars of the lattice ``int``.
    """
    order = np.argsort(levels, kind="stable")
    counts = np.bincount(levels, minlength=len(lattices))
    starts = np.cumsum(counts) - counts
    names = [lattice.name for lattice in lattices]
    parts = []
    left = counts.copy()  # what is not in a vector yet, the last of each level
    for lattice in dict.fromkeys(lattice for lattice in lattices if lattice.dim > 1):
        chosen = np.array([name == lattice.name for name in names])
        whole = np.where(chosen, counts // lattice.dim * lattice.dim, 0)
        parts.append(_part(lattice, _stretches(order, starts, whole), whole))
        left -= whole
    rest = _stretches(order, starts + counts - left, left)
    parts.append(_part(LATTICES["int"], rest, left))
    return [part for part in parts if len(part.index)]


def _stretches(
    order: NDArray[np.int64], starts: NDArray[np.int64], counts: NDArray[np.int64]
) -> NDArray[np.int64]:
    """``counts`` elements of the order from each of the ``starts`` on."""
    used = np.flatnonzero(counts)
    spans = zip(starts[used].tolist(), counts[used].tolist())
    return np.concatenate([order[:0], *(order[start : start + n] for start, n in spans)])


def _part(lattice: Lattice, elements: NDArray[np.int64], counts: NDArray[np.int64]) -> Part:
    """Elements sorted by level, ``counts`` of each, as vectors."""
    used = np.flatnonzero(counts)
    stops = (np.cumsum(counts[used]) // lattice.dim).tolist()
    runs = tuple(zip(used.tolist(), [0, *stops], stops))
    return Part(lattice, elements.reshape(-1, lattice.dim), runs)
