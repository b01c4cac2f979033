"""The order in which a latent's elements cross: encoder and decoder go through the same one."""

from collections.abc import Callable
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from latentopt.densities import FactorizedDensity
from latentopt.latents.prior import Ledger, Prior


class Carry(Protocol):
    """One side of a channel, as a walk sees it: takes a group of elements across."""

    def __call__(
        self,
        index: NDArray[np.int64],
        levels: NDArray[np.int16],
        centres: NDArray[np.floating],
        steps: NDArray[np.floating] | None = None,
        /,
    ) -> NDArray[np.floating]:
        """One group, each argument (k,): places in the flattened latent, levels, centres, steps.

        Returns the decoded elements (k,), before any shift: what later groups may depend on.
        """


class Walk(Protocol):
    """One latent of one image: its shape, and its groups of elements in the order of crossing.

    The entropy parameters of a group may depend on the groups before it.
    """

    @property
    def shape(self) -> tuple[int, ...]:
        """(M, h, w)."""

    def go(self, carry: Carry) -> None:
        """Call ``carry`` for each group, in order."""

    def estimate(self, y: NDArray[np.floating]) -> Prior:
        """Entropy parameters of the whole latent, with ``y`` (n,) for what was decoded before.

        For the encoder's choices: only :meth:`go` is the same on both sides.
        """


ValuesOf = Callable[[NDArray[np.int64], Prior], NDArray[np.floating]]
"""The elements (k,) of a group as they are decoded, given their places (k,) and their prior."""

ResidualOf = Callable[[NDArray[np.int64], Prior], NDArray[np.floating] | NDArray[np.integer]]
"""One side of a channel: the residual (k,) of a group, given its places (k,) and its prior."""


def take_across(walk: Walk, residual_of: ResidualOf) -> Prior:
    """Go along a walk, group by group; returns the entropy parameters that it showed."""

    def values_of(index: NDArray[np.int64], prior: Prior) -> NDArray[np.floating]:
        return prior.values(residual_of(index, prior).astype(prior.centres.dtype, copy=False))

    return shown_along(walk, values_of)


def shown_along(walk: Walk, values_of: ValuesOf) -> Prior:
    """The same where it is said what is decoded."""
    ledger = Ledger(walk.shape)

    def carry(
        index: NDArray[np.int64],
        levels: NDArray[np.int16],
        centres: NDArray[np.floating],
        steps: NDArray[np.floating] | None = None,
        /,
    ) -> NDArray[np.floating]:
        prior = Prior((len(index),), levels, centres, steps)
        ledger.note(index, prior)
        return values_of(index, prior)

    walk.go(carry)
    return ledger.prior


class AtOnce:
    """A walk of one group: nothing depends on what was decoded before."""

    def __init__(self, prior: Prior):
        self._given = prior

    @property
    def prior(self) -> Prior:
        """Of its elements."""
        return self._given

    @property
    def shape(self) -> tuple[int, ...]:
        """See :class:`Walk`."""
        return self.prior.shape

    def go(self, carry: Carry) -> None:
        """See :class:`Walk`."""
        prior = self.prior
        carry(np.arange(len(prior.levels)), prior.levels, prior.centres, prior.steps)

    def estimate(self, y: NDArray[np.floating]) -> Prior:
        """See :class:`Walk`."""
        return self.prior


class OfChannels(AtOnce):
    """The walk of a latent (M, h, w) that a factorized prior describes: a level per channel.

    What is known of its elements is spread out when it is asked for, and not before: the shape is
    what a header says.

    Args:
        levels: of its channels, where these are not all that the prior has.
    """

    def __init__(
        self, density: FactorizedDensity, grid: tuple[int, int], levels: range | None = None
    ):
        self._density, self._grid = density, grid
        self._levels = range(density.levels) if levels is None else levels

    @property
    def shape(self) -> tuple[int, ...]:
        """See :class:`Walk`."""
        return (len(self._levels), *self._grid)

    @property
    def levels(self) -> slice:
        """Those of its channels."""
        return slice(self._levels.start, self._levels.stop)

    @property
    def plane(self) -> int:
        """Elements of each level."""
        return self._grid[0] * self._grid[1]

    @property
    def prior(self) -> Prior:
        """See :class:`AtOnce`."""
        return self._spread_out

    @cached_property
    def _spread_out(self) -> Prior:
        return Prior.of_channels(self._density, self.shape, self._levels.start)
