"""A context at work: entropy parameters adapted to what has crossed, pass by pass.

    residuals so far ─► surroundings ─► features ─► network ─► level offset, centre shift
           ▲                                                          │
           └───────────────── the pass crosses ◄── adapted prior ◄────┘

Centres move by whole units, where a lattice has those among its coordinates, and elements form the
vectors that they would form without a context: it changes what points cost, and nothing else.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from latentopt.latents.lattice.context.passes import QUIET, schedule
from latentopt.latents.lattice.context.surroundings import UNIT, Features, Surroundings
from latentopt.latents.prior import Prior
from latentopt.pmf.tables import Ints, Mask

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


@dataclass(frozen=True)
class Base:
    """From where the elements of a pass were moved."""

    levels: NDArray[np.int64]  # (n,)
    shift: NDArray[np.int64]  # (n,) whole units by which their centres were


CarryPass = Callable[[NDArray[np.int64], Prior, Base | None], NDArray[np.floating]]
"""Takes the elements at places (n,) across, given their prior, and from where they were moved to
it, if they were; returns the residual (n,)."""


class Context:
    """Adapts entropy parameters.

    Args:
        predictor: the network.
        expected: (levels,) mean magnitude of each level, in units of ``UNIT``.
        ladder: the levels among which an element may move; they are ordered by width.
        fixed: (levels,) whose centres stay, as whole units are none of their lattice's; None: all
            may be moved.
    """

    def __init__(
        self,
        predictor: Predictor,
        expected: NDArray[np.int64],
        ladder: range,
        fixed: Mask | None = None,
    ):
        self.predictor, self._expected = predictor, expected
        self._ladder = ladder
        self._fixed = np.zeros(len(expected), bool) if fixed is None else fixed
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
            own, base = prior.at(index), None
            if each.half is not None:
                own, base = self._adapted(own, around.features(each))
            residual = carry(index, own, base)
            values[index] = own.values(residual)
            if base:
                around.note(each, residual + base.shift)
        return values

    def _adapted(self, prior: Prior, features: Features) -> tuple[Prior, Base]:
        """The prior of a pass moved as its features say."""
        offset, shift = self.predictor(features).astype(np.int64)
        offset = np.clip((offset + FRACTION // 2) // FRACTION, -_FURTHEST, _FURTHEST)
        low, high = self._ladder[0], self._ladder[-1]
        base = self._base[prior.levels]
        levels = np.clip(base + offset, low, high).astype(np.int16)
        whole = FRACTION * UNIT
        moved = (shift * self._expected[base] + whole // 2) // whole
        moved[self._fixed[base]] = 0
        shift = prior.scaled(moved.astype(np.float64)).astype(prior.centres.dtype)
        adapted = replace(prior, levels=levels, centres=prior.centres + shift)
        return adapted, Base(base, moved)


def _nearest(expected: NDArray[np.int64], ladder: range) -> NDArray[np.int64]:
    """For each level the nearest in magnitude of the ladder; for those, itself."""
    steps = np.arange(ladder.start, ladder.stop)
    between = expected[steps][:-1] + expected[steps][1:]
    nearest = steps[np.searchsorted(between, 2 * expected)]
    nearest[steps] = steps
    return nearest
