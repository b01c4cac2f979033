"""How an encoder sends a main latent through a channel: as it is, or after a search."""

from latentopt.adapters import Adapter
from latentopt.encoder.annealer import Aim, Annealer
from latentopt.encoder.choice import Cheapest
from latentopt.encoder.effort import Effort
from latentopt.encoder.map_order import most_valuable_first
from latentopt.encoder.prices import Prices
from latentopt.latents import Channel, Crossed, Point, ProgressiveChannel, ProgressiveLatent, Walk
from latentopt.latents.lattice import LatticeChannel


class Sending:
    """What any channel offers: a point is sent, and arrives as nearly as it can."""

    def __init__(self, channel: Channel):
        self._channel = channel

    def plain(self, aim: Aim, walk: Walk) -> Crossed:
        """The latent as it is."""
        return self._channel.send(walk, Point(aim.y.ravel()))

    def candidates(self, aim: Aim, walk: Walk, effort: Effort) -> list[Crossed]:
        """Several ways to send it, of which one will have the least rate and distortion."""
        return [self.plain(aim, walk)]


class LatticeSending(Sending):
    """Lattice points: the nearest, or annealed ones, with the scales corrected."""

    def __init__(
        self, channel: LatticeChannel | ProgressiveChannel, prices: Prices, annealer: Annealer
    ):
        super().__init__(channel)
        self._lattice, self._prices, self._annealer = channel, prices, annealer

    def plain(self, aim: Aim, walk: Walk) -> Crossed:
        """The nearest points."""
        corrections = self._annealer.corrections(walk, aim.y.ravel())
        return self._lattice.send(walk, Point(aim.y.ravel()), corrections)

    def candidates(self, aim: Aim, walk: Walk, effort: Effort) -> list[Crossed]:
        """Annealed points, at several strengths; and the nearest, where it verifies them."""
        choice = self._annealer.choose(aim, walk, effort)
        target, corrections = Point(choice.target), choice.corrections
        found: list[Crossed] = [
            self._lattice.send(
                walk, target, corrections, Cheapest(self._prices, choice.weight / strength)
            )
            for strength in effort.strengths
        ]
        if effort.verify:
            found.append(self._lattice.send(walk, Point(aim.y.ravel()), corrections))
        return found


class ProgressiveSending(LatticeSending):
    """Lattice points in maps, the most valuable first."""

    def plain(self, aim: Aim, walk: Walk) -> Crossed:
        """The nearest points."""
        return self._ordered(aim, super().plain(aim, walk))

    def candidates(self, aim: Aim, walk: Walk, effort: Effort) -> list[Crossed]:
        """See :meth:`LatticeSending.candidates`, each in an order of its own."""
        return [self._ordered(aim, found) for found in super().candidates(aim, walk, effort)]

    def _ordered(self, aim: Aim, latent: Crossed) -> Crossed:
        assert isinstance(latent, ProgressiveLatent)
        squared = self._annealer.sensitivity.squared
        return latent.ordered(most_valuable_first(latent, aim.y.ravel(), squared))


def sending(adapter: Adapter, channel: Channel, prices: Prices, lmbda: float | None) -> Sending:
    """The way to send a codec's main latents through their channel."""
    if isinstance(channel, ProgressiveChannel) and not adapter.in_order:
        annealer = Annealer(adapter, channel.inner, prices, lmbda)
        return ProgressiveSending(channel, prices, annealer)
    if not isinstance(channel, LatticeChannel):
        return Sending(channel)
    return LatticeSending(channel, prices, Annealer(adapter, channel, prices, lmbda))
