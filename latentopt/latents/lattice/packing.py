"""Which elements of a latent form a vector: those of one level, in raster order."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from latentopt.lattices import LATTICES, Lattice

Runs = tuple[tuple[int, int, int], ...]

_SMALL = 1 << 16


@dataclass(frozen=True)
class Part:
    """Vectors of one lattice, sorted by level."""

    lattice: Lattice
    index: NDArray[np.int64]  # (n, v) places in the flattened latent
    runs: Runs  # (level, start, stop) of the rows of each level

    @property
    def levels(self) -> NDArray[np.int64]:
        """(n,) level of each vector."""
        levels = np.empty(len(self.index), dtype=np.int64)
        for level, start, stop in self.runs:
            levels[start:stop] = level
        return levels

    @property
    def own_levels(self) -> NDArray[np.int64]:
        """(n, 1) level of each coordinate, or (n, v) where they differ."""
        return self.levels[:, None]

    def placed(self, index: NDArray[np.int64]) -> Self:
        """The same where its elements have the places ``index`` (k,)."""
        return replace(self, index=index[self.index])

    @property
    def columns(self) -> dict[str, NDArray[np.int64]]:
        """What it knows of each vector, (n, v) each, by name."""
        names = (field.name for field in fields(self) if field.name not in ("lattice", "runs"))
        return {name: getattr(self, name) for name in names}

    def select(self, rows: NDArray[np.bool_]) -> Self:
        """Some of the vectors."""
        ends = np.concatenate([[0], np.cumsum(rows)])
        runs = ((level, int(ends[a]), int(ends[b])) for level, a, b in self.runs)
        kept = tuple(run for run in runs if run[1] < run[2])
        return self.having(kept, {name: column[rows] for name, column in self.columns.items()})

    def having(self, runs: Runs, columns: dict[str, NDArray[np.int64]]) -> Self:
        """Other vectors of the same lattice."""
        return type(self)(lattice=self.lattice, runs=runs, **columns)


@dataclass(frozen=True)
class Moved(Part):
    """Vectors of one lattice of which each coordinate has a level of its own, and a centre: a
    context has moved them, or they were formed before levels were known (then they are one run)."""

    own: NDArray[np.int64]  # (n, v) level of each coordinate
    moves: NDArray[np.int64]  # (n, v) how far its centre was moved, in units of the lattice

    @property
    def own_levels(self) -> NDArray[np.int64]:
        return self.own


def joined(parts: Sequence[Part]) -> list[Part]:
    """The same vectors in as few parts as there are kinds."""
    alike = defaultdict(list)
    for part in parts:
        alike[type(part), part.lattice.name].append(part)
    return [_joined(several) for several in alike.values()]


def _joined(several: Sequence[Part]) -> Part:
    starts = np.cumsum([0, *(len(part.index) for part in several)]).tolist()
    runs = tuple(
        (level, start + a, start + b)
        for start, part in zip(starts, several)
        for level, a, b in part.runs
    )
    each = [part.columns for part in several]
    columns = {name: np.concatenate([own[name] for own in each]) for name in each[0]}
    return several[0].having(runs, columns)


def pack(levels: NDArray[np.integer], lattices: Sequence[Lattice]) -> list[Part]:
    """Cut the elements of a latent, given their levels (n,), into vectors.

    Elements are sorted by level (stably, on integers, so that encoder and decoder agree) and each
    level's run is cut into vectors of the dimension of its lattice, ``lattices[level]``. What is
    left over, fewer than v per level, becomes scalars of the lattice ``int``.
    """
    small = levels.astype(np.uint16) if len(lattices) <= _SMALL else levels  # which sort in no time
    order = np.argsort(small, kind="stable")
    counts = np.bincount(levels, minlength=len(lattices))
    starts = np.cumsum(counts) - counts
    used = {level: lattices[level] for level in np.flatnonzero(counts).tolist()}
    parts = []
    left = counts.copy()  # what is not in a vector yet, the last of each level
    wide = {lattice.name: lattice for lattice in used.values() if lattice.dim > 1}
    for name, lattice in wide.items():
        own = [level for level, other in used.items() if other.name == name]
        whole = np.zeros_like(counts)
        whole[own] = counts[own] // lattice.dim * lattice.dim
        parts.append(_part(lattice, _stretches(order, starts, whole), whole))
        left -= whole
    rest = _stretches(order, starts + counts - left, left)
    parts.append(_part(LATTICES["int"], rest, left))
    return [part for part in parts if len(part.index)]


def pack_moved(
    levels: NDArray[np.int16],
    base: NDArray[np.integer],
    shift: NDArray[np.integer],
    lattices: Sequence[Lattice],
) -> list[Part]:
    """Cut elements that a context has moved to ``levels`` (n,) into vectors.

    Those of one ``base`` level (n,), from which they were moved, form vectors, as in :func:`pack`:
    so an encoder knows the vectors before anything has crossed. ``shift`` (n,) says by how many
    whole units centres were moved. Scalars are sorted by the levels to which they were moved.
    """
    alone, parts = np.ones(len(levels), bool), list[Part]()
    for part in pack(base, lattices):
        if part.lattice.dim > 1:
            moves = np.rint(shift[part.index] / np.array(part.lattice.units)).astype(np.int64)
            own = levels[part.index].astype(np.int64)
            parts.append(Moved(part.lattice, part.index, part.runs, own, moves))
            alone[part.index] = False
    return [*parts, *_scalars(levels, alone)]


def pack_ahead(
    levels: NDArray[np.int16], ahead: NDArray[np.int64], lattices: Sequence[Lattice]
) -> list[Part]:
    """Cut elements of ``levels`` (n,) into vectors that do not depend on these.

    All whose level ``ahead`` (n,), known before anything was decoded, has a lattice of vectors are
    sorted by it and cut, the widest ones last; what is left over are the narrowest. So vectors stay
    what they are while an encoder searches, and each coordinate has a level of its own.
    """
    wide = next((lattice for lattice in lattices if lattice.dim > 1), LATTICES["int"])
    order = np.argsort(ahead, kind="stable")
    inside = order[np.array([lattice.dim > 1 for lattice in lattices])[ahead[order]]]
    index = inside[len(inside) % wide.dim :].reshape(-1, wide.dim)
    alone = np.ones(len(levels), bool)
    alone[index] = False
    own, runs = levels[index].astype(np.int64), ((0, 0, len(index)),)
    vectors = [Moved(wide, index, runs, own, np.zeros_like(own))] if len(index) else []
    return [*vectors, *_scalars(levels, alone)]


def _scalars(levels: NDArray[np.int16], alone: NDArray[np.bool_]) -> list[Part]:
    """Those elements that are in no vector, sorted by level."""
    rest = np.flatnonzero(alone)
    scalars = pack(levels[rest], [LATTICES["int"]] * (int(levels.max(initial=0)) + 1))
    return [part.placed(rest) for part in scalars]


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
