"""Latents taken across a channel without a codec around them."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from latentopt.latents import AtOnce, Carry, Coded, Ledger, Point, Prior
from latentopt.latents.lattice import Chooser, Latent, LatticeChannel


def sent(
    channel: LatticeChannel,
    values: NDArray[np.floating],
    prior: Prior,
    corrections: NDArray[np.int32] | None = None,
    choose: Chooser | None = None,
) -> Latent:
    """The latent ``values`` (n,) on its lattice, in one group."""
    return channel.send(AtOnce(prior), Point(values), corrections, choose)


def string_of(latent: Latent, step_codes: Sequence[int] = (0,)) -> bytes:
    """What a codec writes of it."""
    return Coded(latent, list(step_codes)).string


def received(
    channel: LatticeChannel, string: bytes, prior: Prior, direction: str = "sign"
) -> Coded:
    """The mirror of :func:`string_of`; ``direction`` says how many step codes there are."""
    return Coded.read(channel, AtOnce(prior), string, direction)


class InGroups:
    """A walk that cuts a latent's elements into these groups of places."""

    def __init__(self, prior: Prior, groups: Sequence[NDArray[np.int64]]):
        self._prior, self._groups = prior, groups
        self.decoded: list[NDArray[np.floating]] = []
        """What was decoded of each group, in the last walk."""

    @property
    def shape(self) -> tuple[int, ...]:
        return self._prior.shape

    def go(self, carry: Carry) -> None:
        prior, self.decoded = self._prior, []
        for index in self._groups:
            steps = None if prior.steps is None else prior.steps[index]
            hat = carry(index, prior.levels[index], prior.centres[index], steps)
            self.decoded.append(hat)

    def estimate(self, y: NDArray[np.floating]) -> Prior:
        ledger, prior = Ledger(self.shape), self._prior
        ledger.note(np.arange(len(prior.levels)), prior)
        return ledger.prior
