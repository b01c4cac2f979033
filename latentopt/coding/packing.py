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


def pack(levels: NDArray[np.int16], lattices: Sequence[Lattice]) -> list[Part]:
    """Cut the elements of a latent, given their levels (n,), into vectors.

    Elements are sorted by level (stably, on integers, so that encoder and decoder agree) and each
    level's run is cut into vectors of the dimension of its lattice, ``lattices[level]``. What is
    left over, fewer than v per level, becomes scalars of the lattice ``int``.
    """
    order = np.argsort(levels, kind="stable")
    counts = np.bincount(levels, minlength=len(lattices))
    ends = np.cumsum(counts)
    dims = np.array([lattice.dim for lattice in lattices])
    whole = counts // dims * dims  # elements that fill vectors
    is_int = np.array([lattice.dim == 1 for lattice in lattices])

    parts = []
    for lattice in dict.fromkeys(lattice for lattice in lattices if lattice.dim > 1):
        chosen = np.array([other is lattice for other in lattices])
        used = np.flatnonzero(chosen & (whole > 0))
        spans = [(lv, ends[lv] - counts[lv], whole[lv]) for lv in used]
        parts.append(_part(lattice, order, spans))
    rest = np.where(is_int, counts, counts - whole)
    spans = [(lv, ends[lv] - rest[lv], rest[lv]) for lv in np.flatnonzero(rest)]
    parts.append(_part(LATTICES["int"], order, spans))
    return [part for part in parts if len(part.index)]


def _part(lattice: Lattice, order: NDArray[np.int64], spans: list[tuple[int, int, int]]) -> Part:
    pieces = [order[start : start + n] for _, start, n in spans]
    flat = np.concatenate(pieces) if pieces else np.zeros(0, dtype=np.int64)
    runs, stop = [], 0
    for level, _, n in spans:
        start, stop = stop, stop + int(n) // lattice.dim
        runs.append((int(level), start, stop))
    return Part(lattice, flat.reshape(-1, lattice.dim), tuple(runs))
