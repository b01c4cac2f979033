"""The order in which a latent's elements cross: encoder and decoder go through the same one."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from latentopt.latents.prior import Prior


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


class AtOnce:
    """A walk of one group: nothing depends on what was decoded before."""

    def __init__(self, prior: Prior):
        self._prior = prior

    @property
    def shape(self) -> tuple[int, ...]:
        """See :class:`Walk`."""
        return self._prior.shape

    def go(self, carry: Carry) -> None:
        """See :class:`Walk`."""
        prior = self._prior
        carry(np.arange(len(prior.levels)), prior.levels, prior.centres, prior.steps)

    def estimate(self, y: NDArray[np.floating]) -> Prior:
        """See :class:`Walk`."""
        return self._prior
