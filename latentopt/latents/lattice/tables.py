"""The tables of a lattice channel: which lattice codes each level, and the counts of its points."""

import hashlib
from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from latentopt.densities import Density, Floats
from latentopt.errors import InputError
from latentopt.latents.lattice.placed import PlacedTables
from latentopt.latents.lattice.shipped import shipped_tables
from latentopt.lattices import LATTICES, Lattice, Rule
from latentopt.pmf import JointTable, ProductTable, Table, build_paper_table, build_table
from latentopt.pmf.tables import Ints

_NAMES = list(LATTICES)
_BUILDERS = {"exact": build_table, "paper": build_paper_table}


class Tables:
    """One table for each lattice and level that uses it, and one of scalars for what is left over.

    Args:
        density: the codec's own density of the residual, per level.
        rule: which lattice the vectors of a level use.
        pmf: ``"exact"``, or ``"paper"`` for one table without the centres rarer than 1e-7.
        dumped: tables that :meth:`dump` returned, to use bit for bit. Without them, those that
            ship with the package are taken, and where there are none, tables are built.

    Raises:
        InputError: there is no such ``pmf``.
    """

    def __init__(self, density: Density, rule: Rule, pmf: str, dumped: Ints | None):
        if pmf not in _BUILDERS:
            raise InputError(f"unknown pmf {pmf!r}: choose 'exact' or 'paper'")
        self.lattices: Sequence[Lattice] = []
        """Of each level."""
        self._tables: dict[tuple[str, int], Table] = {}
        self.placed = PlacedTables.of(density)
        """For vectors that a context has moved."""
        if dumped is None:
            dumped = shipped_tables(density.fingerprint, rule.name, pmf)
        if dumped is None:
            self._build(density, rule, pmf)
        else:
            self._load(dumped, density.levels, rule)

    def __getitem__(self, key: tuple[str, int]) -> Table:
        """The table of a lattice, by name, and level."""
        return self._tables[key]

    def _build(self, density: Density, rule: Rule, pmf: str) -> None:
        if len(density.parts) > 1:
            return self._join([Tables(part, rule, pmf, None) for part in density.parts])
        scalar = LATTICES["int"]
        self.lattices = [rule.lattice(spread) for spread in density.spreads]
        for level, chosen in enumerate(self.lattices):
            if chosen is not scalar:
                self._tables[scalar.name, level] = build_table(density, level, scalar)
            self._tables[chosen.name, level] = _BUILDERS[pmf](density, level, chosen)

    def _join(self, parts: "Sequence[Tables]") -> None:
        """Take the tables of densities whose levels follow each other."""
        self.lattices = [lattice for part in parts for lattice in part.lattices]
        first = 0
        for part in parts:
            for (name, level), table in part._tables.items():
                self._tables[name, first + level] = table
            first += len(part.lattices)

    def magnitudes(self, unit: int) -> NDArray[np.int64]:
        """(levels,) mean magnitude of integers at each level, times ``unit``, of their counts."""
        means = []
        for level in range(len(self.lattices)):
            table = self["int", level]
            assert isinstance(table, ProductTable)  # as those of one dimension are
            [axis] = table.axes.values()
            counts = axis.counts.counts[:-1].astype(np.int64)
            k = np.abs(axis.first + np.arange(len(counts)))
            means.append(int((k * counts).sum()) * unit // int(counts.sum()))
        return np.array(means)

    @cached_property
    def least_bits(self) -> Floats:
        """(levels,) what an element of each level costs at least."""
        each = ((self[lattice.name, k], lattice.dim) for k, lattice in enumerate(self.lattices))
        vectors = np.array([table.least_bits / dim for table, dim in each])
        scalars = np.array([self["int", k].least_bits for k in range(len(self.lattices))])
        return np.minimum(vectors, scalars)

    def dump(self) -> Ints:
        """All tables as one array of integers, in a canonical order."""
        arrays = []
        for (name, level), table in self._tables.items():
            own = table.arrays()
            head = [_NAMES.index(name), level, isinstance(table, JointTable), len(own)]
            arrays.extend([np.array(head, dtype=np.int32), *own])
        lengths = [len(arrays), *(len(array) for array in arrays)]
        return np.concatenate([np.array(lengths, dtype=np.int32), *arrays]).astype(np.int32)

    def _load(self, dumped: Ints, levels: int, rule: Rule) -> None:
        """The tables of :meth:`dump`, bit for bit."""
        lengths = dumped[1 : 1 + dumped[0]]
        arrays = iter(np.split(dumped[1 + dumped[0] :], np.cumsum(lengths)[:-1]))
        lattices = [LATTICES["int"]] * levels
        for name_index, level, joint, count in arrays:
            lattice = LATTICES[_NAMES[name_index]]
            kind = JointTable if joint else ProductTable
            own = [next(arrays) for _ in range(count)]
            self._tables[lattice.name, int(level)] = kind.from_arrays(lattice, *own)
            if lattice.dim > 1:
                lattices[level] = lattice
        self.lattices = lattices
        self._check(rule)

    def _check(self, rule: Rule) -> None:
        """Raises InputError unless there are the tables that the rule takes, of all levels."""
        others = {name for name, _ in self._tables} - {LATTICES["int"].name, rule.wide.name}
        if others:
            raise InputError(f"tables of the lattice {min(others)}, not {rule.wide.name}")
        needed = {("int", level) for level in range(len(self.lattices))}
        needed |= {(lattice.name, level) for level, lattice in enumerate(self.lattices)}
        if self._tables.keys() != needed:
            raise InputError("tables of other levels than the density has")

    def digest(self) -> bytes:
        """SHA-256 of all tables: equal digests mean that streams are exchangeable."""
        return hashlib.sha256(self.dump().astype("<i4").tobytes()).digest()
