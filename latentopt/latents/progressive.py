"""A main latent in maps: each channel crosses by itself, and any number of them make an image.

    send      y ─┬─► channel 5 ─► lattice points ─► map ─┐
                 ├─► channel 2 ─► lattice points ─► map ─┼─► string, of which any first maps
                 └─► …                                   ┘   are a string
    receive   channels that came, and for the others what their densities expect

The order is the encoder's own, as each map says which channel it is of.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from latentopt.bitstream.maps import join_maps, split_maps
from latentopt.bitstream.strings import leb128, read_leb128
from latentopt.densities import Density, Floats
from latentopt.errors import BitstreamError, UnsupportedModelError
from latentopt.latents.channel import Crossed, Kinds, Point
from latentopt.latents.lattice import LatticeChannel
from latentopt.latents.lattice.channel import Chooser
from latentopt.latents.lattice.latent import Latent
from latentopt.latents.prior import Prior
from latentopt.latents.walk import AtOnce, Walk, take_across
from latentopt.pmf.tables import Ints

MapsOf = Callable[[Prior], Mapping[int, Latent]]
"""One side: the channels that cross, in the order in which they do."""


@dataclass(frozen=True)
class ProgressiveLatent(Crossed):
    """One latent of one image, of which some channels crossed."""

    density: Density
    prior: Prior
    maps: Mapping[int, Latent]
    """By channel, in the order of the string."""

    def ordered(self, channels: Sequence[int]) -> "ProgressiveLatent":
        """The same with these channels, of those that crossed, in this order."""
        return replace(self, maps={channel: self.maps[channel] for channel in channels})

    @property
    def planes(self) -> tuple[int, int]:
        """Channels, and elements of each."""
        return self.prior.shape[0], int(np.prod(self.prior.shape[1:]))

    @property
    def residual(self) -> NDArray[np.floating]:
        """(n,) what came; where nothing came, what is to be expected."""
        expected = self.density.absent[self.prior.levels].astype(self.prior.centres.dtype)
        return self._placed(lambda channel, own: own.residual, expected)

    def bits(self) -> Floats:
        """(n,) cost of each element, and its share of what stands before its map."""
        plane = self.planes[1]

        def cost(channel: int, own: Latent) -> Floats:
            named = _named(channel, own)
            return own.bits() + 8 * (len(leb128(channel)) + len(leb128(len(named)))) / plane

        return self._placed(cost, np.zeros(len(self.prior.levels)))

    @property
    def kinds(self) -> Kinds:
        """Of each element its lattice, or that it did not come."""
        found = dict[str, int]()
        number = np.zeros(self.planes, np.int64)
        for channel, own in self.maps.items():
            for name, dim in zip(own.kinds.names, own.kinds.dims):
                found.setdefault(name, dim)
            to = np.array([list(found).index(name) for name in own.kinds.names])
            number[channel] = to[own.kinds.number]
        absent = [channel for channel in range(self.planes[0]) if channel not in self.maps]
        number[absent] = len(found)
        return Kinds((*found, "absent"), (*found.values(), 1), number.ravel())

    def escaped(self) -> int:
        """See :meth:`Crossed.escaped`."""
        return sum(own.escaped() for own in self.maps.values())

    def string(self) -> bytes:
        """The maps, each after its length."""
        return join_maps(_named(channel, own) for channel, own in self.maps.items())

    def _placed(
        self, of: Callable[[int, Latent], NDArray[np.floating]], into: NDArray[np.floating]
    ) -> NDArray[np.floating]:
        rows = into.reshape(self.planes)
        for channel, own in self.maps.items():
            rows[channel] = of(channel, own)
        return into


class ProgressiveChannel:
    """Channels of a latent on the lattices of another channel, each a string of its own.

    Args:
        inner: takes each channel across; without corrections or a context.
    """

    corrected = False

    def __init__(self, inner: LatticeChannel):
        self.inner, self.density, self.tables = inner, inner.density, inner.tables

    def send(
        self,
        walk: Walk,
        target: Point,
        /,
        corrections: NDArray[np.int32] | None = None,
        choose: Chooser | None = None,
    ) -> ProgressiveLatent:
        """All channels, in their own order; see :meth:`LatticeChannel.send`."""

        def maps(prior: Prior) -> Mapping[int, Latent]:
            return {
                channel: self.inner.send(
                    own, Point(target.values[place]), None, choose and _from(choose, place.start)
                )
                for channel, own, place in _channels(prior)
            }

        return self._cross(walk, maps)

    def receive(self, walk: Walk, string: bytes, /) -> ProgressiveLatent:
        """The channels that a string has.

        Raises:
            BitstreamError: ``string`` does not end after a map, or a map is none of the walk's.
        """
        strings = dict[int, bytes]()
        for own in split_maps(string):
            channel, start = read_leb128(own, 0)
            if channel >= walk.shape[0] or channel in strings:
                raise BitstreamError(f"corrupt: map {len(strings) + 1} is of no channel, or again")
            strings[channel] = own[start:]

        def maps(prior: Prior) -> Mapping[int, Latent]:
            walks = {channel: own for channel, own, _ in _channels(prior)}
            return {c: self.inner.receive(walks[c], own) for c, own in strings.items()}

        return self._cross(walk, maps)

    def _cross(self, walk: Walk, maps_of: MapsOf) -> ProgressiveLatent:
        found = list[ProgressiveLatent]()

        def residual_of(index: NDArray[np.int64], prior: Prior) -> NDArray[np.floating]:
            if len(index) != np.prod(walk.shape):
                raise UnsupportedModelError(
                    "progressive=True is for codecs that know all entropy parameters at once"
                )
            whole = replace(prior, shape=walk.shape)
            found.append(ProgressiveLatent(self.density, whole, maps_of(whole)))
            return found[0].residual

        take_across(walk, residual_of)
        return found[0]

    def dump(self) -> Ints:
        """Of the inner channel."""
        return self.inner.dump()

    def digest(self) -> bytes:
        """Of its tables, and that channels cross by themselves."""
        return hashlib.sha256(b"progressive 1" + self.inner.digest()).digest()


def _from(choose: Chooser, start: int) -> Chooser:
    """A chooser for a part of a latent, which begins at ``start``."""
    return lambda parts, index, prior, residual: choose(parts, index + start, prior, residual)


def _channels(prior: Prior) -> list[tuple[int, AtOnce, slice]]:
    """Of each channel of a latent: its number, its walk, its places."""
    plane, shape = int(np.prod(prior.shape[1:])), (1, *prior.shape[1:])
    places = [slice(start, start + plane) for start in range(0, len(prior.levels), plane)]
    steps = [None if prior.steps is None else prior.steps[place] for place in places]
    return [
        (i, AtOnce(Prior(shape, prior.levels[place], prior.centres[place], own)), place)
        for i, (place, own) in enumerate(zip(places, steps))
    ]


def _named(channel: int, latent: Latent) -> bytes:
    """A map: the number of its channel, and its string."""
    return leb128(channel) + latent.string()
