"""A context at work: entropy parameters adapted to what has crossed, pass by pass.

    residuals so far ─► surroundings ─► features ─► network ─► level offset, centre shift
           ▲                                                          │
           └───────────────── the pass crosses ◄── adapted prior ◄────┘

Centres move by whole units, so points of the integer lattice stay such points: there a context
changes what points cost, and nothing else.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from latentopt.latents.lattice.context.passes import QUIET, schedule
from latentopt.latents.lattice.context.surroundings import UNIT, Features, Surroundings
from latentopt.latents.prior import Prior
from latentopt.pmf.tables import Ints

_FURTHEST = 24  # levels that an element may be moved
FRACTION = 16
"""Of the network's outputs in a level, and in an expected magnitude."""


class Predictor(Protocol):
    """What makes offsets of features: a :class:`Network`, or what records for one."""

    def __call__(self, features: Features) -> NDArray[np.float32]:
        """(2, n) integers: level offset and centre shift, in sixteenths."""

    def dump(self) -> Ints:
        """See :meth:`Network.dump`."""

    def digest(self) -> bytes:
        """See :meth:`Network.digest`."""


CarryPass = Callable[[NDArray[np.int64], Prior], NDArray[np.floating]]
"""Takes the elements at places (n,) across, given their prior; returns the residual (n,)."""


class Context:
    """Adapts entropy parameters.

    Args:
        predictor: the network.
        expected: (levels,) mean magnitude of each level, in units of ``UNIT``.
        ladder: the levels among which an element may move; they are ordered by width.
    """

    def __init__(self, predictor: Predictor, expected: NDArray[np.int64], ladder: range):
        self.predictor, self._expected = predictor, expected
        self._ladder = ladder
        self._base = _nearest(expected, ladder)

    def dump(self) -> Ints:
        """The network, as integers."""
        return self.predictor.dump()

    def digest(self) -> bytes:
        """Of the network; all else follows from the tables."""
        return self.predictor.digest()

    def base(self, levels: NDArray[np.integer]) -> NDArray[np.int64]:
        """The levels of the ladder from which elements of these levels move."""
        return self._base[levels]

    def cross(self, prior: Prior, carry: CarryPass) -> NDArray[np.floating]:
        """Take a whole latent across, pass by pass; returns its values (n,)."""
        around = Surroundings(self._expected[prior.levels].astype(np.int32).reshape(prior.shape))
        loudness, values = around.loudness, np.empty_like(prior.centres)
        height, width = prior.shape[1:]
        quiet = int(QUIET * UNIT * height * width)
        for each in schedule(loudness, quiet, (height, width)):
            index = each.index
            own, shift = prior.at(index), np.zeros(len(index))
            if each.half is not None:
                own, shift = self._adapted(own, around.features(each))
            residual = carry(index, own)
            values[index] = own.values(residual)
            around.note(each, residual + shift)
        return values

    def adapted(self, prior: Prior, values: NDArray[np.floating]) -> Prior:
        """The prior of a whole latent ``values`` (n,), each pass given what came before it."""
        levels, centres = prior.levels.copy(), prior.centres.copy()

        def carry(index: NDArray[np.int64], own: Prior) -> NDArray[np.floating]:
            levels[index], centres[index] = own.levels, own.centres
            return own.residual(values[index])

        self.cross(prior, carry)
        return replace(prior, levels=levels, centres=centres)

    def _adapted(self, prior: Prior, features: Features) -> tuple[Prior, NDArray[np.float64]]:
        """The prior of a pass moved as its features say, and by how much its centres were."""
        offset, shift = self.predictor(features).astype(np.int64)
        offset = np.clip((offset + FRACTION // 2) // FRACTION, -_FURTHEST, _FURTHEST)
        low, high = self._ladder[0], self._ladder[-1]
        base = self._base[prior.levels]
        levels = np.clip(base + offset, low, high).astype(np.int16)
        whole = FRACTION * UNIT
        moved = (shift * self._expected[base] + whole // 2) // whole
        shift = moved.astype(np.float64)
        centres = prior.centres + prior.scaled(shift).astype(prior.centres.dtype)
        return replace(prior, levels=levels, centres=centres), shift


def _nearest(expected: NDArray[np.int64], ladder: range) -> NDArray[np.int64]:
    """For each level the nearest in magnitude of the ladder; for those, itself."""
    steps = np.arange(ladder.start, ladder.stop)
    between = expected[steps][:-1] + expected[steps][1:]
    nearest = steps[np.searchsorted(between, 2 * expected)]
    nearest[steps] = steps
    return nearest
