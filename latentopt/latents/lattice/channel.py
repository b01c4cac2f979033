"""The lattice channel: vectors on a lattice, coded with the table of their level.

    encode  values - centres ──► pack ──► points ──► m ──► tables ──► symbols ──► ANS ──► string
    decode  values ◄── + centres ◄── units * m ◄── m ◄── tables ◄── symbols ◄── ANS ◄── string

Where a codec has a quantization step for each element (DCVC), what goes on the lattice is
(values - centres) / steps, and comes back times the steps.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from copy import copy
from dataclasses import replace
from hashlib import sha256
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from latentopt.bitstream.ans import SymbolDecoder
from latentopt.densities import Density
from latentopt.errors import InputError
from latentopt.latents.channel import Point
from latentopt.latents.lattice.context import (
    UNIT,
    Base,
    Context,
    Network,
    Predictor,
    decode_switch,
    split_dump,
)
from latentopt.latents.lattice.corrections import decode_corrections
from latentopt.latents.lattice.latent import Group, Latent
from latentopt.latents.lattice.packing import Moved, Part, joined, pack, pack_ahead, pack_moved
from latentopt.latents.lattice.placed import MovedPoints
from latentopt.latents.lattice.prepacked import Ahead
from latentopt.latents.lattice.tables import Tables
from latentopt.latents.prior import Ledger, Prior
from latentopt.latents.walk import OfChannels, Walk
from latentopt.lattices import Lattice, Rule
from latentopt.pmf import JointTable
from latentopt.pmf.tables import Ints, Mask

MAX_COORDINATE = 2**30
"""Largest lattice coordinate that can be coded; a latent beyond it is a broken one."""


MANY = 1 << 20
"""Elements whose memory is worth a thought."""


class Chooser(Protocol):
    """How an encoder chooses the points of a group; the decoder takes any."""

    def __call__(
        self,
        parts: Sequence[Part],
        index: NDArray[np.int64],
        prior: Prior,
        residual: NDArray[np.floating],
        /,
    ) -> list[Ints]:
        """Coordinates (n, v) of each part's vectors, for the elements at ``index`` (k,).

        ``prior`` and ``residual`` (k,) are the group's; a part's index counts within them.
        """


class LatticeChannel:
    """Points on the lattices of a rule, at the rate that a density's cells give them.

    Args:
        density, rule, pmf, dumped: see :class:`Tables`.
        corrected: whether strings begin with corrections of the channels' scales.
        context: whether entropy parameters may be adapted to what has crossed.
        prepacked: whether vectors are formed before anything has crossed, of walks with groups.
    """

    context: Context | None = None
    prepacked: bool = False

    def __init__(
        self,
        density: Density,
        rule: Rule,
        pmf: str = "exact",
        dumped: Ints | None = None,
        corrected: bool = False,
        context: bool = False,
        prepacked: bool = False,
    ):
        self.density, self.corrected, self.prepacked = density, corrected, prepacked
        network = None
        if context:
            network, dumped = split_dump(density, dumped)
        self.tables = Tables(density, rule, pmf, dumped)
        if network:
            self.context = self.context_of(network)

    def send(
        self,
        walk: Walk,
        target: Point,
        /,
        corrections: NDArray[np.int32] | None = None,
        choose: Chooser | None = None,
    ) -> Latent:
        """The points nearest to the target, or those that a chooser takes for it.

        A context is used where it makes them cheaper; and always where points were chosen for the
        vectors that there are with it.

        Raises:
            InputError: a value is NaN, infinite or absurdly large.
        """
        if self.corrected and corrections is None:
            corrections = np.zeros(walk.shape[0], np.int32)
        sent, ahead = [], self.levels_ahead(walk, corrections)
        for context in self._contexts(choose):
            side = self, walk.shape, corrections, context, ahead
            sender = _Sender(*side, target, choose or self.nearest)
            walk.go(sender)
            sent.append(sender.latent())
        return cheapest(sent) if len(sent) > 1 else sent[0]

    def _contexts(self, choose: Chooser | None) -> Sequence[Context | None]:
        """With which to try what a chooser, or none, takes."""
        if not self.context:
            return [None]
        return [self.context] if choose and self.has_vectors else [None, self.context]

    @property
    def has_vectors(self) -> bool:
        """Whether some elements cross several at once."""
        return any(lattice.dim > 1 for lattice in self.tables.lattices)

    def receive(self, walk: Walk, string: bytes, /) -> Latent:
        """The mirror of :meth:`send` and :meth:`Latent.string`.

        Raises:
            BitstreamError: ``string`` does not fit the walk exactly.
        """
        decoder = SymbolDecoder(string)
        context = self.context if self.context and decode_switch(decoder) else None
        if isinstance(walk, OfChannels) and not self.corrected and not context:
            least = self.tables.least_bits[walk.levels].sum()
            decoder.check(walk.plane * float(least))  # of what each group will expect
        corrections = decode_corrections(decoder, walk.shape[0]) if self.corrected else None
        ahead = self.levels_ahead(walk, corrections)
        receiver = _Receiver(self, walk.shape, corrections, context, ahead, decoder)
        walk.go(receiver)
        decoder.finish()
        return receiver.latent()

    def levels_ahead(
        self, walk: Walk, corrections: NDArray[np.int32] | None
    ) -> NDArray[np.int64] | None:
        """(n,) by which vectors are formed, where that is before anything has crossed."""
        return Ahead.of(walk).levels(self.density, corrections) if self.prepacked else None

    def nearest(
        self,
        parts: Sequence[Part],
        index: NDArray[np.int64],
        prior: Prior,
        residual: NDArray[np.floating],
        /,
    ) -> list[Ints]:
        """The :class:`Chooser` of the nearest points."""
        return [self._nearest(part, residual) for part in parts]

    def _nearest(self, part: Part, residual: NDArray[np.floating]) -> Ints:
        rows = max(1, MANY // part.lattice.dim)
        pieces = [part.index[start : start + rows] for start in range(0, len(part.index), rows)]
        if isinstance(part, Moved):
            x = residual[part.index] + part.moves * np.array(part.lattice.units)
            return nearest_points(part.lattice, x) - part.moves.astype(np.int32)
        m = np.concatenate([nearest_points(part.lattice, residual[index]) for index in pieces])
        for level, start, stop in part.runs:
            table = self.tables[part.lattice.name, level]
            if isinstance(table, JointTable) and table.fallback is None:
                x = residual[part.index[start:stop]]
                _into_closed_table(table, part.lattice, m[start:stop], x)
        return m

    def without_context(self) -> "LatticeChannel":
        """The same, but for its context: strings of the one are not read by the other."""
        other = copy(self)
        other.context = None
        return other

    def with_network(self, network: Network) -> "LatticeChannel":
        """The same with another network for its context."""
        other = copy(self)
        other.context = self.context_of(network)
        return other

    def context_of(self, predictor: Predictor) -> Context:
        """What a network, or what stands for one, is for the levels of these tables."""
        fixed = np.array([not lattice.has_whole_units for lattice in self.tables.lattices])
        return Context(predictor, self.tables.magnitudes(UNIT), self.density.ladder, fixed)

    def packed(self, prior: Prior, values: NDArray[np.floating]) -> tuple[Prior, Sequence[Part]]:
        """The prior and the vectors of a whole latent ``values`` (n,), whose context is itself."""
        if not self.context:
            return prior, pack(prior.levels, self.tables.lattices)
        levels, centres, crossed = prior.levels.copy(), prior.centres.copy(), list[Part]()

        def carry(index: NDArray[np.int64], own: Prior, base: Base | None) -> NDArray[np.floating]:
            levels[index], centres[index] = own.levels, own.centres
            crossed.extend(part.placed(index) for part in self.parts(own, base))
            return own.residual(values[index])

        self.context.cross(prior, carry)
        return replace(prior, levels=levels, centres=centres), joined(crossed)

    def parts(self, prior: Prior, base: Base | None) -> Sequence[Part]:
        """The vectors of elements that cross at once, and from where they were moved, if any."""
        if base is None:
            return pack(prior.levels, self.tables.lattices)
        return pack_moved(prior.levels, base.levels, base.shift, self.tables.lattices)

    def packed_ahead(
        self, prior: Prior, ahead: Ahead, corrections: NDArray[np.int32] | None
    ) -> Sequence[Part]:
        """The vectors of a whole latent, formed before any of it is decoded."""
        levels = ahead.levels(self.density, corrections)
        return joined(
            [
                part.placed(index)
                for index in ahead.groups
                for part in self.parts_ahead(prior.levels[index], levels[index])
            ]
        )

    def parts_ahead(self, levels: NDArray[np.int16], ahead: NDArray[np.int64]) -> Sequence[Part]:
        """The vectors of elements that cross at once, formed by levels ``ahead`` (k,)."""
        return pack_ahead(levels, ahead, self.tables.lattices)

    def dump(self) -> Ints:
        """The network of its context, and its tables: see :meth:`Tables.dump`."""
        tables = self.tables.dump()
        return np.concatenate([self.context.dump(), tables]) if self.context else tables

    def digest(self) -> bytes:
        """Of its tables, see :meth:`Tables.digest`, and of the network of its context."""
        own = self.tables.digest()
        if self.prepacked:
            return sha256(own + f"prepacked 1 {self.density.fingerprint}".encode()).digest()
        if not self.context:
            return own
        moved = f"moved 1 {self.density.fingerprint}".encode() if self.has_vectors else b""
        return sha256(own + self.context.digest() + moved).digest()


class _Side(ABC):
    """One side of a latent: takes its groups across in the order that both sides share."""

    def __init__(
        self,
        channel: LatticeChannel,
        shape: tuple[int, ...],
        corrections: NDArray[np.int32] | None,
        context: Context | None,
        ahead: NDArray[np.int64] | None,
    ):
        self._channel, self._corrections, self._context = channel, corrections, context
        self._ahead = ahead
        self._shape, self._plane = shape, int(np.prod(shape[1:]))
        self._ledger, self._groups = Ledger(shape), list[Group]()

    def __call__(
        self,
        index: NDArray[np.int64],
        levels: NDArray[np.int16],
        centres: NDArray[np.floating],
        steps: NDArray[np.floating] | None = None,
        /,
    ) -> NDArray[np.floating]:
        """See :class:`latentopt.latents.Carry`."""
        if self._corrections is not None:
            wider = self._corrections[index // self._plane]
            levels = self._channel.density.rescaled(levels, wider).astype(np.int16)
        prior = Prior((len(index),), levels, centres, steps)
        if self._ahead is not None:
            parts = self._channel.parts_ahead(levels, self._ahead[index])
            return prior.values(self._cross_in(parts, index, prior))
        if self._context is None or not np.array_equal(index, np.arange(np.prod(self._shape))):
            return prior.values(self._cross(index, prior))
        return self._context.cross(replace(prior, shape=self._shape), self._cross)

    def _cross(
        self, index: NDArray[np.int64], prior: Prior, base: Base | None = None
    ) -> NDArray[np.floating]:
        """Take elements (k,) across whose tables are known; returns their residual."""
        return self._cross_in(self._channel.parts(prior, base), index, prior)

    def _cross_in(
        self, parts: Sequence[Part], index: NDArray[np.int64], prior: Prior
    ) -> NDArray[np.floating]:
        """The same in these vectors."""
        group = Group(parts, self._points(parts, index, prior))
        self._ledger.note(index, prior)
        self._groups.append(group.placed(index))
        return group.residual(prior.centres)

    @abstractmethod
    def _points(self, parts: Sequence[Part], index: NDArray[np.int64], prior: Prior) -> list[Ints]:
        """Coordinates of the vectors of a group, given its elements' entropy parameters."""

    def latent(self) -> Latent:
        """The whole latent, once all its elements have crossed."""
        channel, prior = self._channel, self._ledger.prior
        adapted = None if channel.context is None else self._context is not None
        return Latent(
            channel.density, channel.tables, prior, self._groups, self._corrections, adapted
        )


class _Sender(_Side):
    """The encoder's side: chooses points for a target."""

    def __init__(
        self,
        channel: LatticeChannel,
        shape: tuple[int, ...],
        corrections: NDArray[np.int32] | None,
        context: Context | None,
        ahead: NDArray[np.int64] | None,
        target: Point,
        choose: Chooser,
    ):
        super().__init__(channel, shape, corrections, context, ahead)
        self._target, self._choose = target, choose

    def _points(self, parts: Sequence[Part], index: NDArray[np.int64], prior: Prior) -> list[Ints]:
        return self._choose(parts, index, prior, prior.residual(self._target.values[index]))


class _Receiver(_Side):
    """The decoder's side: reads the points from a string."""

    def __init__(
        self,
        channel: LatticeChannel,
        shape: tuple[int, ...],
        corrections: NDArray[np.int32] | None,
        context: Context | None,
        ahead: NDArray[np.int64] | None,
        decoder: SymbolDecoder,
    ):
        super().__init__(channel, shape, corrections, context, ahead)
        self._decoder = decoder

    def _points(self, parts: Sequence[Part], index: NDArray[np.int64], prior: Prior) -> list[Ints]:
        chosen, masks = [], []
        if len(index) > MANY:
            self._decoder.expect(sum(map(self._least_bits, parts)))
        for part in parts:
            if isinstance(part, Moved):
                placed = self._channel.tables.placed
                chosen.append(MovedPoints.read(placed, self._decoder, part))
                masks.append(np.zeros(part.index.shape, bool))
                continue
            pieces = [
                self._channel.tables[part.lattice.name, level].decode(
                    self._decoder.run, stop - start
                )
                for level, start, stop in part.runs
            ]
            chosen.append(np.concatenate([m for m, _ in pieces]))
            masks.append(np.concatenate([mask for _, mask in pieces]))
        escapes = int(sum(mask.sum() for mask in masks))
        if escapes:
            _put_escaped(chosen, masks, self._decoder.integers(escapes))
        return chosen

    def _least_bits(self, part: Part) -> float:
        """What the vectors of a part cost at least; nothing is known of those that were moved."""
        if isinstance(part, Moved):
            return 0.0
        least, dim = self._channel.tables.least_bits, part.lattice.dim
        return sum(dim * (stop - start) * least[level] for level, start, stop in part.runs)


def cheapest(latents: Sequence[Latent]) -> Latent:
    """The one of fewest bits."""
    return min(latents, key=lambda latent: float(latent.bits().sum()))


def nearest_points(lattice: Lattice, x: NDArray[np.floating]) -> Ints:
    """Coordinates (n, v) of the points that are nearest to residuals (n, v).

    Raises:
        InputError: a residual is NaN, infinite or absurdly large.
    """
    if not np.abs(x).max() < MAX_COORDINATE * min(lattice.units):  # true for NaN, too
        raise InputError("the latent is NaN, infinite or beyond 2^30: check input and weights")
    return lattice.nearest(torch.from_numpy(x)).numpy().astype(np.int32)


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
