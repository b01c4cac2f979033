"""A latent on its lattice: the points that encoder and decoder share, and what they cost."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from latentopt.bitstream.ans import SymbolEncoder, integer_bits
from latentopt.densities import Density, Floats
from latentopt.latents.channel import Crossed, Kinds
from latentopt.latents.lattice.context.switch import encode_switch
from latentopt.latents.lattice.corrections import correction_bits, encode_corrections
from latentopt.latents.lattice.packing import Moved, Part
from latentopt.latents.lattice.placed import MovedPoints
from latentopt.latents.lattice.tables import Tables
from latentopt.latents.prior import Prior
from latentopt.lattices import LATTICES
from latentopt.pmf.tables import Ints, Mask, Run

_NAMES = tuple(LATTICES)


@dataclass(frozen=True)
class Group:
    """Vectors whose tables are known at once. A later group's may depend on this one's points."""

    parts: Sequence[Part]
    m: Sequence[Ints]  # (n, v) integer coordinates of each part's vectors

    def residual(self, like: NDArray[np.floating]) -> NDArray[np.floating]:
        """(k,) the points, each element at its own place, of the type of the centres ``like``."""
        flat = np.empty_like(like)
        for part, m in zip(self.parts, self.m):
            put_points(flat, part, m)
        return flat

    def placed(self, index: NDArray[np.int64]) -> "Group":
        """The same where its elements have the places ``index`` (k,)."""
        return Group([part.placed(index) for part in self.parts], self.m)


def lattice_kinds(size: int, parts: Iterable[Part]) -> Kinds:
    """The lattice of each of so many elements, of the parts that hold them."""
    number = np.empty(size, dtype=np.int64)
    for part in parts:
        number[part.index] = _NAMES.index(part.lattice.name)
    return Kinds(_NAMES, tuple(lattice.dim for lattice in LATTICES.values()), number)


@dataclass(frozen=True)
class Latent(Crossed):
    """One latent of one image on its lattice, in groups, in the order of coding."""

    density: Density
    tables: Tables
    prior: Prior
    groups: Sequence[Group]
    corrections: NDArray[np.int32] | None = None
    adapted: bool | None = None
    """Whether entropy parameters were adapted to a context; None: the channel has none."""

    @cached_property
    def by_table(self) -> dict[tuple[str, int], list[tuple[NDArray[np.int64], Ints]]]:
        """For each (lattice, level), the places and coordinates (n, v) it codes, group by group."""
        found = defaultdict(list)
        for part, m in self._vectors():
            if isinstance(part, Moved):
                continue  # they have tables of their own
            for level, start, stop in part.runs:
                found[part.lattice.name, level].append((part.index[start:stop], m[start:stop]))
        return found

    @property
    def kinds(self) -> Kinds:
        """The lattice of each element."""
        return lattice_kinds(len(self.prior.levels), (part for part, _ in self._vectors()))

    def escaped(self) -> int:
        """Coordinates that are coded as plain integers."""
        coded = ((self.tables[key], m) for key, pieces in self.by_table.items() for _, m in pieces)
        alone = sum(int(table.bits(m)[1].sum()) for table, m in coded)
        return alone + sum(placed.escapes(self.tables.placed) for placed in self._moved())

    def _moved(self) -> Iterator[MovedPoints]:
        """The vectors that a context has moved."""
        for part, m in self._vectors():
            if isinstance(part, Moved):
                yield MovedPoints.of(part, m)

    def _vectors(self) -> Iterator[tuple[Part, Ints]]:
        for group in self.groups:
            yield from zip(group.parts, group.m)

    @property
    def residual(self) -> NDArray[np.floating]:
        """(n,) the lattice's points, each element at its own place."""
        flat = np.empty_like(self.prior.centres)
        for part, m in self._vectors():
            put_points(flat, part, m)
        return flat

    def bits(self) -> Floats:
        """(n,) cost of each element: each vector's cost shared equally by its elements.

        The cost is -log2 of the probability that the coder uses, so the sum is the length of the
        string; an escaped coordinate pays for the escape and for its plain integer, a channel's
        elements share the cost of its correction.
        """
        return self._bits.copy()

    @cached_property
    def _bits(self) -> Floats:
        """Counted once: candidates are compared more than once."""
        cost = self.bits_ahead()
        for key, pieces in self.by_table.items():
            index, m = (np.concatenate(column) for column in zip(*pieces))
            bits, escaped = self.tables[key].bits(m)
            if escaped.any():
                plain = np.zeros(escaped.shape)
                plain[escaped] = integer_bits(m[escaped])
                bits = bits + plain.sum(axis=1)
            cost[index] += bits[:, None] / m.shape[1]
        for placed in self._moved():
            cost[placed.part.index] += placed.bits(self.tables.placed)[:, None] / placed.lattice.dim
        return cost

    def bits_ahead(self) -> Floats:
        """(n,) each element's share of what says whether there is a context, and of the cost of
        its channel's correction."""
        ahead = super().bits_ahead()
        if self.adapted is not None:
            ahead += 1 / len(ahead)
        if self.corrections is not None:
            plane = len(ahead) // len(self.corrections)
            ahead += np.repeat(correction_bits(self.corrections) / plane, plane)
        return ahead

    def string(self) -> bytes:
        """Whether there is a context, corrections, then each group's symbols, level by level.

        What escaped of a group follows its symbols; vectors that a context has moved come first.
        """
        return self._string

    @cached_property
    def _string(self) -> bytes:
        """Coded once: a map's length is asked for before the map is written."""
        encoder = SymbolEncoder()
        if self.adapted is not None:
            encode_switch(encoder, self.adapted)
        if self.corrections is not None:
            encode_corrections(encoder, self.corrections)
        coded = {key: self._encoded(key, pieces) for key, pieces in self.by_table.items()}
        for group in self.groups:
            escaped = []
            for part, m in zip(group.parts, group.m):
                if isinstance(part, Moved):
                    MovedPoints.of(part, m).encode(self.tables.placed, encoder)
                    continue
                for level, start, stop in part.runs:
                    runs, mask = next(coded[part.lattice.name, level])
                    encoder.runs(runs)
                    if mask.any():
                        escaped.append(m[start:stop][mask])
            if escaped:
                encoder.integers(np.concatenate(escaped))
        return encoder.finish()

    def _encoded(
        self, key: tuple[str, int], pieces: list[tuple[NDArray[np.int64], Ints]]
    ) -> Iterator[tuple[list[Run], Mask]]:
        """The runs of each piece that a table codes, in order."""
        rows = [m for _, m in pieces]
        return self.tables[key].encode(np.concatenate(rows), [len(m) for m in rows])


def put_points(flat: NDArray[np.floating], part: Part, m: Ints) -> None:
    """Write the points of ``part`` into a residual (n,)."""
    flat[part.index] = m * np.array(part.lattice.units, dtype=flat.dtype)
