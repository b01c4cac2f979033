"""How an encoder sends a main latent through a channel: as it is, or after a search."""

from latentopt.adapters import Adapter
from latentopt.encoder.annealer import Aim, Annealer
from latentopt.encoder.choice import Cheapest
from latentopt.encoder.effort import Effort
from latentopt.encoder.prices import Prices
from latentopt.latents import Channel, Crossed, Point, Walk
from latentopt.latents.lattice import Latent, LatticeChannel


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

    def __init__(self, channel: LatticeChannel, prices: Prices, annealer: Annealer):
        super().__init__(channel)
        self._lattice, self._prices, self._annealer = channel, prices, annealer

    def plain(self, aim: Aim, walk: Walk) -> Latent:
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


def sending(adapter: Adapter, channel: Channel, prices: Prices, lmbda: float | None) -> Sending:
    """The way to send a codec's main latents through their channel."""
    if not isinstance(channel, LatticeChannel):
        return Sending(channel)
    return LatticeSending(channel, prices, Annealer(adapter, channel, prices, lmbda))
