"""A latent as bytes: vectors on a lattice, coded with the table of their level.

values - centres ──► pack ──► nearest point ──► m ──► tables ──► symbols ──► ANS ──► string
values ◄── + centres ◄── unpack ◄── units * m ◄── m ◄── tables ◄── symbols ◄── ANS ◄── string
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray

from latentopt.coding.ans import SymbolDecoder, SymbolEncoder, integer_bits
from latentopt.coding.packing import Part, pack
from latentopt.coding.shipped import shipped_tables
from latentopt.errors import BitstreamError, InputError
from latentopt.lattices import LATTICES, Lattice
from latentopt.pmf import Density, JointTable, ProductTable, Table, build_paper_table, build_table
from latentopt.pmf.densities import Floats
from latentopt.pmf.tables import Ints, Mask

_NAMES = list(LATTICES)
_BUILDERS = {"exact": build_table, "paper": build_paper_table}

MAX_COORDINATE = 2**30
"""Largest lattice coordinate that can be coded; a latent beyond it is a broken one."""


@dataclass(frozen=True)
class Prior:
    """The entropy parameters of one latent of one image, flattened in (channel, row, column)."""

    shape: tuple[int, ...]  # (M, h, w)
    levels: NDArray[np.int16]  # (n,) which table codes each element
    centres: NDArray[np.floating]  # (n,) mean or median, what the residual is taken from


@dataclass(frozen=True)
class Latent:
    """One latent of one image on its lattice: for each part, the vectors' integer coordinates."""

    coder: "LatentCoder"
    prior: Prior
    parts: Sequence[Part]
    m: Sequence[Ints]  # (n, v) each

    @cached_property
    def residual(self) -> NDArray[np.floating]:
        """(n,) the points in latent units, each element at its own place."""
        flat = np.empty_like(self.prior.centres)
        for part, m in zip(self.parts, self.m):
            flat[part.index] = m * np.array(part.lattice.units, dtype=flat.dtype)
        return flat

    @property
    def hat(self) -> NDArray[np.floating]:
        """(n,) the reconstructed latent, before any shift."""
        return self.residual + self.prior.centres

    def direction(self, name: str) -> Floats:
        """(n,) which way a shift goes: gradient of -log density, or sign, of the residual."""
        if name == "sign":
            return np.sign(self.residual).astype(np.float64)
        gradient = np.empty(len(self.prior.levels))
        for part, m in zip(self.parts, self.m):
            t = m * np.array(part.lattice.units)
            gradient[part.index] = self.coder.density.score(part.levels, t)
        return gradient

    def bits(self) -> Floats:
        """(n,) cost of each element: each vector's cost shared equally by its elements.

        The cost is -log2 of the probability that the coder uses, so the sum is the length of the
        string; an escaped coordinate pays for the escape and for its plain integer.
        """
        cost = np.zeros(len(self.prior.levels))
        for part, m in zip(self.parts, self.m):
            for level, start, stop in part.runs:
                rows = m[start:stop]
                bits, escaped = self.coder.tables[part.lattice.name, level].bits(rows)
                if escaped.any():
                    plain = np.zeros(escaped.shape)
                    plain[escaped] = integer_bits(rows[escaped])
                    bits = bits + plain.sum(axis=1)
                cost[part.index[start:stop]] = bits[:, None] / part.lattice.dim
        return cost


class LatentCoder:
    """Codes latents whose elements follow one of the ``density``'s levels.

    Args:
        density: the codec's own density of the residual, per level.
        lattice: lattice of the vectors; a level narrower than its ``min_scale`` uses ``int``.
        pmf: ``"exact"``, or ``"paper"`` for one table without the centres rarer than 1e-7.
        dumped: tables that :meth:`dump` returned, to use bit for bit. Without them, those that
            ship with the package are taken, and where there are none, tables are built.
    """

    def __init__(
        self, density: Density, lattice: Lattice, pmf: str = "exact", dumped: Ints | None = None
    ):
        if pmf not in _BUILDERS:
            raise InputError(f"unknown pmf {pmf!r}: choose 'exact' or 'paper'")
        self.density = density
        self.lattices: list[Lattice] = []
        self.tables: dict[tuple[str, int], Table] = {}
        if dumped is None:
            dumped = shipped_tables(density, lattice.name, pmf)
        if dumped is None:
            self._build(lattice, pmf)
        else:
            self._load(dumped)

    def _build(self, lattice: Lattice, pmf: str) -> None:
        scalar, density = LATTICES["int"], self.density
        self.lattices = [
            lattice if density.spread(level) >= lattice.min_scale else scalar
            for level in range(density.levels)
        ]
        for level, chosen in enumerate(self.lattices):
            if chosen is not scalar:
                self.tables[scalar.name, level] = build_table(density, level, scalar)
            self.tables[chosen.name, level] = _BUILDERS[pmf](density, level, chosen)

    def quantize(self, values: NDArray[np.floating], prior: Prior) -> Latent:
        """The lattice points nearest to the latent ``values`` (n,).

        Raises:
            InputError: a value is NaN, infinite or absurdly large.
        """
        residual = values - prior.centres
        parts = pack(prior.levels, self.lattices)
        return Latent(self, prior, parts, [self._nearest(part, residual) for part in parts])

    def _nearest(self, part: Part, residual: NDArray[np.floating]) -> Ints:
        x = residual[part.index]
        if not np.abs(x).max() < MAX_COORDINATE * min(part.lattice.units):  # true for NaN, too
            raise InputError("the latent is NaN, infinite or beyond 2^30: check input and weights")
        m = part.lattice.nearest(torch.from_numpy(x)).numpy().astype(np.int32)
        for level, start, stop in part.runs:
            table = self.tables[part.lattice.name, level]
            if isinstance(table, JointTable) and table.fallback is None:
                _into_closed_table(table, part.lattice, m[start:stop], x[start:stop])
        return m

    def encode(self, latent: Latent, step_code: int) -> bytes:
        """A string: the step code, symbols part by part and level by level, then what escaped."""
        encoder = SymbolEncoder()
        escaped = []
        for part, m in zip(latent.parts, latent.m):
            for level, start, stop in part.runs:
                runs, mask = self.tables[part.lattice.name, level].encode(m[start:stop])
                encoder.runs(runs)
                escaped.append(m[start:stop][mask])
        encoder.integers(np.concatenate(escaped))
        return bytes([step_code]) + encoder.finish()

    def decode(self, string: bytes, prior: Prior) -> tuple[Latent, int]:
        """The mirror of :meth:`encode`: the latent and its step code.

        Raises:
            BitstreamError: ``string`` does not fit the prior exactly.
        """
        if not string:
            raise BitstreamError("truncated: an empty string where a latent was expected")
        decoder = SymbolDecoder(string[1:])
        parts = pack(prior.levels, self.lattices)
        chosen, masks = [], []
        for part in parts:
            pieces = [
                self.tables[part.lattice.name, level].decode(decoder.run, stop - start)
                for level, start, stop in part.runs
            ]
            chosen.append(np.concatenate([m for m, _ in pieces]))
            masks.append(np.concatenate([mask for _, mask in pieces]))
        integers = decoder.integers(int(sum(mask.sum() for mask in masks)))
        decoder.finish()
        _put_escaped(chosen, masks, integers)
        return Latent(self, prior, parts, chosen), string[0]

    def dump(self) -> Ints:
        """All tables as one array of integers, in a canonical order."""
        arrays = []
        for (name, level), table in self.tables.items():
            own = table.arrays()
            head = [_NAMES.index(name), level, isinstance(table, JointTable), len(own)]
            arrays.extend([np.array(head, dtype=np.int32), *own])
        lengths = [len(arrays), *(len(array) for array in arrays)]
        return np.concatenate([np.array(lengths, dtype=np.int32), *arrays]).astype(np.int32)

    def _load(self, dumped: Ints) -> None:
        """The tables of :meth:`dump`, bit for bit."""
        lengths = dumped[1 : 1 + dumped[0]]
        arrays = iter(np.split(dumped[1 + dumped[0] :], np.cumsum(lengths)[:-1]))
        self.lattices = [LATTICES["int"]] * self.density.levels
        for name_index, level, joint, count in arrays:
            lattice = LATTICES[_NAMES[name_index]]
            kind = JointTable if joint else ProductTable
            own = [next(arrays) for _ in range(count)]
            self.tables[lattice.name, int(level)] = kind.from_arrays(lattice, *own)
            if lattice.dim > 1:
                self.lattices[level] = lattice

    def digest(self) -> bytes:
        """SHA-256 of all tables: equal digests mean that streams are exchangeable."""
        return hashlib.sha256(self.dump().astype("<i4").tobytes()).digest()


def _into_closed_table(
    table: JointTable, lattice: Lattice, m: Ints, x: NDArray[np.floating]
) -> None:
    """Move, in place, points that a table without escape lacks to the nearest that it has."""
    lost = np.flatnonzero(table.symbols(m) == len(table.points))
    points = torch.from_numpy(table.points * np.array(lattice.units))
    for rows in np.array_split(lost, len(lost) // 256 + 1):
        distance = torch.cdist(torch.from_numpy(x[rows]).double(), points)
        m[rows] = table.points[distance.argmin(dim=1).numpy()]


def _put_escaped(chosen: list[Ints], masks: list[Mask], integers: NDArray[np.int64]) -> None:
    start = 0
    for m, mask in zip(chosen, masks):
        n = int(mask.sum())
        m[mask] = integers[start : start + n]
        start += n
