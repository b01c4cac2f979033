"""A latent as bytes: vectors on a lattice, coded with the table of their level.

values - centres ──► pack ──► nearest point ──► m ──► tables ──► symbols ──► ANS ──► string
values ◄── + centres ◄── unpack ◄── units * m ◄── m ◄── tables ◄── symbols ◄── ANS ◄── string

Where a codec has a quantization step for each element (DCVC), what goes on the lattice is
(values - centres) / steps, and comes back times the steps.
"""

import hashlib
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from latentopt.bitstream.ans import SymbolDecoder, SymbolEncoder, integer_bits
from latentopt.bitstream.steps import pack_steps, unpack_steps
from latentopt.densities import Density, Floats
from latentopt.errors import InputError
from latentopt.latents.lattice.packing import Part, pack
from latentopt.latents.lattice.shipped import shipped_tables
from latentopt.latents.prior import Prior
from latentopt.lattices import LATTICES, Lattice, Rule
from latentopt.pmf import Counts, JointTable, ProductTable, Table, build_paper_table, build_table
from latentopt.pmf.tables import Ints, Mask, Run

if TYPE_CHECKING:
    from latentopt.encoder.choice import Vectors
    from latentopt.encoder.prices import CoordinateBits

_NAMES = list(LATTICES)
_CPU = torch.device("cpu")
_BUILDERS = {"exact": build_table, "paper": build_paper_table}

MAX_CORRECTION = 7
"""Largest correction of a channel's scales, in levels; one of each sign, and none, are coded."""

_CORRECTIONS = Counts.from_probabilities(
    0.5 ** (2.0 * np.abs(np.arange(-MAX_CORRECTION, MAX_CORRECTION + 1)) ** 0.5)
)
"""How corrections are coded: none is likely, most channels being nearly empty."""

CORRECTION_BITS = _CORRECTIONS.bits
"""(2 MAX_CORRECTION + 1,) what each correction costs."""

SPLITS = np.array([0.18, 0.36, 0.72, 1.44, 2.88])
"""Spreads that separate the step sizes of the direction ``split``."""

MAX_COORDINATE = 2**30
"""Largest lattice coordinate that can be coded; a latent beyond it is a broken one."""


@dataclass(frozen=True)
class Group:
    """Vectors whose tables are known at once. A later group's may depend on this one's points."""

    parts: Sequence[Part]
    m: Sequence[Ints]  # (n, v) integer coordinates of each part's vectors


@dataclass(frozen=True)
class Latent:
    """One latent of one image on its lattice, in groups, in the order of coding."""

    coder: "LatentCoder"
    prior: Prior
    groups: Sequence[Group]
    corrections: NDArray[np.int32] | None = None
    """(M,) by how many levels each channel's scales were corrected, in codecs that do so."""

    def _vectors(self) -> Iterator[tuple[Part, Ints]]:
        for group in self.groups:
            yield from zip(group.parts, group.m)

    @cached_property
    def by_table(self) -> dict[tuple[str, int], list[tuple[NDArray[np.int64], Ints]]]:
        """For each (lattice, level), the places and coordinates (n, v) it codes, group by group."""
        found = defaultdict(list)
        for part, m in self._vectors():
            for level, start, stop in part.runs:
                found[part.lattice.name, level].append((part.index[start:stop], m[start:stop]))
        return found

    @cached_property
    def residual(self) -> NDArray[np.floating]:
        """(n,) the lattice's points, each element at its own place."""
        flat = np.empty_like(self.prior.centres)
        for part, m in self._vectors():
            _put_points(flat, part, m)
        return flat

    @property
    def hat(self) -> NDArray[np.floating]:
        """(n,) the reconstructed latent, before any shift."""
        return self.prior.values(self.residual)

    def directions(self, name: str) -> Floats:
        """(k, n) which ways shifts go: gradient of -log density, or sign, of the residual.

        A shift is one of the residual; here it is in latent units.
        """
        if name == "density":
            return self.prior.scaled(self._gradient())[None]
        sign = self.prior.scaled(np.sign(self.residual).astype(np.float64))
        if name == "sign":
            return sign[None]
        part = np.searchsorted(SPLITS, self.coder.spreads)[self.prior.levels]
        return np.stack([np.where(part == k, sign, 0.0) for k in range(len(SPLITS) + 1)])

    def _gradient(self) -> Floats:
        gradient = np.empty(len(self.prior.levels))
        for part, m in self._vectors():
            t = m * np.array(part.lattice.units)
            gradient[part.index] = self.coder.density.score(part.levels, t)
        return gradient

    def bits(self) -> Floats:
        """(n,) cost of each element: each vector's cost shared equally by its elements.

        The cost is -log2 of the probability that the coder uses, so the sum is the length of the
        string; an escaped coordinate pays for the escape and for its plain integer.
        """
        cost = np.zeros(len(self.prior.levels))
        for key, pieces in self.by_table.items():
            index, m = (np.concatenate(column) for column in zip(*pieces))
            bits, escaped = self.coder.tables[key].bits(m)
            if escaped.any():
                plain = np.zeros(escaped.shape)
                plain[escaped] = integer_bits(m[escaped])
                bits = bits + plain.sum(axis=1)
            cost[index] = bits[:, None] / m.shape[1]
        return cost


class LatentCoder:
    """Codes latents whose elements follow one of the ``density``'s levels.

    Args:
        density: the codec's own density of the residual, per level.
        rule: which lattice the vectors of a level use.
        pmf: ``"exact"``, or ``"paper"`` for one table without the centres rarer than 1e-7.
        dumped: tables that :meth:`dump` returned, to use bit for bit. Without them, those that
            ship with the package are taken, and where there are none, tables are built.
    """

    def __init__(
        self, density: Density, rule: Rule, pmf: str = "exact", dumped: Ints | None = None
    ):
        if pmf not in _BUILDERS:
            raise InputError(f"unknown pmf {pmf!r}: choose 'exact' or 'paper'")
        self.density = density
        self.lattices: list[Lattice] = []
        self.tables: dict[tuple[str, int], Table] = {}
        self._prices: dict[tuple[str, torch.device], CoordinateBits] = {}
        if dumped is None:
            dumped = shipped_tables(density, rule.name, pmf)
        if dumped is None:
            self._build(rule, pmf)
        else:
            self._load(dumped)

    @cached_property
    def spreads(self) -> Floats:
        """(levels,) standard deviation of each level."""
        return np.array([self.density.spread(level) for level in range(self.density.levels)])

    @property
    def scalars(self) -> list[Lattice]:
        """The lattice ``int`` for every level."""
        return [LATTICES["int"]] * self.density.levels

    def _build(self, rule: Rule, pmf: str) -> None:
        scalar, density = LATTICES["int"], self.density
        self.lattices = [rule.lattice(spread) for spread in self.spreads]
        for level, chosen in enumerate(self.lattices):
            if chosen is not scalar:
                self.tables[scalar.name, level] = build_table(density, level, scalar)
            self.tables[chosen.name, level] = _BUILDERS[pmf](density, level, chosen)

    def quantize(self, values: NDArray[np.floating], prior: Prior) -> Latent:
        """The lattice points nearest to the latent ``values`` (n,), all in one group.

        Raises:
            InputError: a value is NaN, infinite or absurdly large.
        """
        quantizer = Quantizer(self, values, prior.shape)
        quantizer(np.arange(len(values)), prior.levels, prior.centres, prior.steps)
        return quantizer.latent()

    def nearest(self, part: Part, residual: NDArray[np.floating]) -> Ints:
        """Coordinates (n, v) of the points nearest to the elements of ``part``."""
        x = residual[part.index]
        if not np.abs(x).max() < MAX_COORDINATE * min(part.lattice.units):  # true for NaN, too
            raise InputError("the latent is NaN, infinite or beyond 2^30: check input and weights")
        m = part.lattice.nearest(torch.from_numpy(x)).numpy().astype(np.int32)
        for level, start, stop in part.runs:
            table = self.tables[part.lattice.name, level]
            if isinstance(table, JointTable) and table.fallback is None:
                _into_closed_table(table, part.lattice, m[start:stop], x[start:stop])
        return m

    def cheapest(
        self, part: Part, residual: NDArray[np.floating], weight: NDArray[np.floating]
    ) -> Ints:
        """Coordinates (n, v) of the points with the least rate + weight * squared error."""
        x, w = (torch.from_numpy(a[part.index]).float() for a in (residual, weight))
        return self.vectors(part, w).cheapest(x).numpy().astype(np.int32)

    def vectors(self, part: Part, weight: Tensor) -> "Vectors":
        """What chooses the points of a part by rate and distortion; ``weight`` (n, v)."""
        from latentopt.encoder.choice import Vectors

        levels = torch.from_numpy(part.levels).to(weight.device)
        return Vectors(part.lattice, self.prices(part.lattice, weight.device), levels, weight)

    def prices(self, lattice: Lattice, device: torch.device = _CPU) -> "CoordinateBits":
        """What coordinates of a lattice cost; computed once."""
        from latentopt.encoder.prices import CoordinateBits

        key = lattice.name, device
        if key not in self._prices:
            self._prices[key] = CoordinateBits(self.density, lattice, device)
        return self._prices[key]

    def encode(self, latent: Latent, step_codes: Sequence[int]) -> bytes:
        """A string: steps, corrections, each group's symbols, level by level, what escaped."""
        encoder = SymbolEncoder()
        if latent.corrections is not None:
            encoder.run(_CORRECTIONS, latent.corrections + MAX_CORRECTION)
        coded = {key: self._encoded(key, pieces) for key, pieces in latent.by_table.items()}
        for group in latent.groups:
            escaped = []
            for part, m in zip(group.parts, group.m):
                for level, start, stop in part.runs:
                    runs, mask = next(coded[part.lattice.name, level])
                    encoder.runs(runs)
                    if mask.any():
                        escaped.append(m[start:stop][mask])
            if escaped:
                encoder.integers(np.concatenate(escaped))
        return pack_steps(step_codes) + encoder.finish()

    def _encoded(
        self, key: tuple[str, int], pieces: list[tuple[NDArray[np.int64], Ints]]
    ) -> Iterator[tuple[list[Run], Mask]]:
        """The runs of each piece that a table codes, in order."""
        rows = [m for _, m in pieces]
        return self.tables[key].encode(np.concatenate(rows), [len(m) for m in rows])

    def decode(self, string: bytes, prior: Prior, steps: int = 1) -> tuple[Latent, list[int]]:
        """The mirror of :meth:`encode` for a latent in one group: the latent, its step codes.

        Raises:
            BitstreamError: ``string`` does not fit the prior exactly.
        """
        reader = Reader(self, string, prior.shape, steps)
        reader(np.arange(len(prior.levels)), prior.levels, prior.centres, prior.steps)
        return reader.latent(), reader.step_codes

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


class Coding(ABC):
    """Takes a latent group by group, in an order that encoder and decoder share."""

    def __init__(
        self,
        coder: LatentCoder,
        shape: tuple[int, ...],
        corrections: NDArray[np.int32] | None = None,
    ):
        self._coder, self._shape, self._corrections = coder, shape, corrections
        self._seen: list[tuple[NDArray[np.int64], Prior]] = []
        self._groups: list[Group] = []

    def __call__(
        self,
        index: NDArray[np.int64],
        levels: NDArray[np.int16],
        centres: NDArray[np.floating],
        steps: NDArray[np.floating] | None = None,
    ) -> NDArray[np.floating]:
        """One group, each argument (k,): places in the flattened latent, levels, centres, steps.

        Returns the decoded elements (k,), before any shift: what later groups may depend on.
        """
        if self._corrections is not None:
            wider = self._corrections[index // int(np.prod(self._shape[1:]))]
            levels = self._coder.density.rescaled(levels, wider).astype(np.int16)
        prior = Prior((len(index),), levels, centres, steps)
        parts = pack(levels, self._coder.lattices)
        chosen = self._points(parts, index, prior)
        points = np.empty_like(centres)
        for part, m in zip(parts, chosen):
            _put_points(points, part, m)
        self._seen.append((index, prior))
        placed = [Part(part.lattice, index[part.index], part.runs) for part in parts]
        self._groups.append(Group(placed, chosen))
        return prior.values(points)

    @abstractmethod
    def _points(self, parts: Sequence[Part], index: NDArray[np.int64], prior: Prior) -> list[Ints]:
        """Coordinates of the vectors of a group, given its elements' entropy parameters."""

    def latent(self) -> Latent:
        """The whole latent, once all its elements have been coded."""
        n, first = int(np.prod(self._shape)), self._seen[0][1]
        levels, centres = np.empty(n, np.int16), np.empty(n, first.centres.dtype)
        steps = None if first.steps is None else np.ones(n, first.steps.dtype)
        for index, prior in self._seen:
            levels[index], centres[index] = prior.levels, prior.centres
            if steps is not None:
                steps[index] = prior.steps
        prior = Prior(self._shape, levels, centres, steps)
        return Latent(self._coder, prior, self._groups, self._corrections)


class Quantizer(Coding):
    """The encoder's side: chooses lattice points for the ``values`` (n,).

    They are the nearest ones, or with ``weight`` (n,), bits per squared latent unit, the cheapest.
    """

    def __init__(
        self,
        coder: LatentCoder,
        values: NDArray[np.floating],
        shape: tuple[int, ...],
        corrections: NDArray[np.int32] | None = None,
        weight: NDArray[np.floating] | None = None,
    ) -> None:
        super().__init__(coder, shape, corrections)
        self._values, self._weight = values, weight

    def _points(self, parts: Sequence[Part], index: NDArray[np.int64], prior: Prior) -> list[Ints]:
        residual = prior.residual(self._values[index])
        if self._weight is None:
            return [self._coder.nearest(part, residual) for part in parts]
        weight = prior.scaled(self._weight[index], power=2)
        return [self._coder.cheapest(part, residual, weight) for part in parts]


class Reader(Coding):
    """The decoder's side: reads the points from a string.

    Raises:
        BitstreamError: at any call, where the string does not fit.
    """

    def __init__(
        self,
        coder: LatentCoder,
        string: bytes,
        shape: tuple[int, ...],
        steps: int = 1,
        corrected: bool = False,
    ) -> None:
        self.step_codes, symbols = unpack_steps(string, steps)
        self._decoder = SymbolDecoder(symbols)
        corrections = None
        if corrected:
            corrections = self._decoder.run(_CORRECTIONS, shape[0]) - MAX_CORRECTION
        super().__init__(coder, shape, corrections)

    def _points(self, parts: Sequence[Part], index: NDArray[np.int64], prior: Prior) -> list[Ints]:
        chosen, masks = [], []
        for part in parts:
            pieces = [
                self._coder.tables[part.lattice.name, level].decode(self._decoder.run, stop - start)
                for level, start, stop in part.runs
            ]
            chosen.append(np.concatenate([m for m, _ in pieces]))
            masks.append(np.concatenate([mask for _, mask in pieces]))
        escapes = int(sum(mask.sum() for mask in masks))
        if escapes:
            _put_escaped(chosen, masks, self._decoder.integers(escapes))
        return chosen

    def latent(self) -> Latent:
        self._decoder.finish()
        return super().latent()


def _put_points(flat: NDArray[np.floating], part: Part, m: Ints) -> None:
    """Write the points of ``part`` into a residual (n,)."""
    flat[part.index] = m * np.array(part.lattice.units, dtype=flat.dtype)


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
