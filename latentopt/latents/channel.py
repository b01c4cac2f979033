"""The one idea of this package: a channel, how a latent crosses from encoder to decoder.

    encoder   target ─► send ─────► symbols ─► string ─► symbols ─► receive   decoder
                         ▲  │                                        ▲  │
        entropy parameters  └► decoded values      entropy parameters  └► decoded values
            of each group      of each group           of each group      of each group
                         │  ▼                                        │  ▼
                         walk                                        walk

Both sides go through the same walk (:mod:`latentopt.latents.walk`), which says what is known of a
group before it crosses, and hears what was decoded of it. What a target is, and what a symbol,
is the channel's own business: lattice points and their numbers, or a number as it stands.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from latentopt.bitstream import DIRECTIONS, NO_SHIFT, decode_step
from latentopt.bitstream.steps import pack_steps, unpack_steps
from latentopt.densities import Density, Floats
from latentopt.latents.prior import Prior
from latentopt.latents.walk import Walk
from latentopt.media.wiener import Wiener
from latentopt.pmf.tables import Ints

SPLITS = np.array([0.18, 0.36, 0.72, 1.44, 2.88])
"""Spreads that separate the step sizes of the direction ``split``."""


@dataclass(frozen=True)
class Point:
    """A target: what the decoder is to get, as nearly as the channel can."""

    values: NDArray[np.floating]  # (n,)


@dataclass(frozen=True)
class Gaussian(Point):
    """A target: the decoder is to get a sample of N(values, spreads^2)."""

    spreads: NDArray[np.floating]  # (n,)


@dataclass(frozen=True)
class Kinds:
    """How each element of a latent was coded, for people."""

    names: tuple[str, ...]
    dims: tuple[int, ...]
    """Elements that are coded together, of each kind."""
    number: NDArray[np.int64]  # (n,) the kind of each element


class Crossed(ABC):
    """One latent of one image after it crossed: what both sides then know of it."""

    density: Density
    prior: Prior
    corrections: NDArray[np.int32] | None = None
    """(M,) by how many levels each channel's scales were corrected, where that is done."""

    @property
    def kinds(self) -> Kinds:
        """How each element was coded: all in one way, unless a channel has several."""
        return Kinds(("all",), (1,), np.zeros(len(self.prior.levels), np.int64))

    def escaped(self) -> int:
        """How many numbers no table had."""
        return 0

    @property
    @abstractmethod
    def residual(self) -> NDArray[np.floating]:
        """(n,) what was decoded, taken from the centres, in units of the steps."""

    @abstractmethod
    def bits(self) -> Floats:
        """(n,) cost of each element, as the channel's coder counts it."""

    def bits_ahead(self) -> Floats:
        """(n,) of :meth:`bits`, each element's share of what is sent ahead of all: corrections."""
        return np.zeros(len(self.prior.levels))

    @abstractmethod
    def string(self) -> bytes:
        """The symbols as bytes: what :meth:`Channel.receive` takes."""

    @property
    def hat(self) -> NDArray[np.floating]:
        """(n,) the reconstructed latent, before any shift."""
        return self.prior.values(self.residual)

    def directions(self, name: str) -> Floats:
        """(k, n) which ways shifts go: gradient of -log density, or sign, of the residual.

        A shift is one of the residual; here it is in latent units.
        """
        if name == "density":
            score = self.density.score(self.prior.levels, self.residual[:, None])
            return self.prior.scaled(score[:, 0])[None]
        sign = self.prior.scaled(np.sign(self.residual).astype(np.float64))
        if name == "sign":
            return sign[None]
        return np.stack([np.where(self._parts == k, sign, 0.0) for k in range(len(SPLITS) + 1)])

    @property
    def _parts(self) -> NDArray[np.int64]:
        """(n,) which of :data:`SPLITS` each element's spread is below."""
        return np.searchsorted(SPLITS, self.density.spreads)[self.prior.levels]

    def shift(self, name: str, step_codes: Sequence[int]) -> Floats:
        """(n,) the shift along a direction, by the step sizes of these codes."""
        if name == "split":  # one step for each element: there is nothing to add up
            rho = np.array([decode_step(code) for code in step_codes])
            return rho[self._parts] * self.directions("sign")[0]
        total = np.zeros(len(self.prior.levels))
        for code, direction in zip(step_codes, self.directions(name)):
            total += decode_step(code) * direction  # in this order on every machine
        return total


class Channel(Protocol):
    """How latents of one density cross. Both ends hold equal ones, as :meth:`digest` tells."""

    density: Density

    def send(self, walk: Walk, target: Point, /) -> Crossed:
        """The encoder's side of one latent.

        Raises:
            InputError: the target is none: NaN, or absurdly large.
        """

    def receive(self, walk: Walk, string: bytes, /) -> Crossed:
        """The decoder's side: the mirror of :meth:`send` and :meth:`Crossed.string`.

        Raises:
            BitstreamError: the string does not fit the walk exactly.
        """

    def dump(self) -> Ints:
        """What the channel is made of besides the density, as integers."""

    def digest(self) -> bytes:
        """SHA-256 of what both ends must have in common."""


@dataclass(frozen=True)
class Coded:
    """A latent that crossed, the codes of the steps that shift it afterwards, and a filter."""

    latent: Crossed
    step_codes: Sequence[int]
    postfilter: Wiener | None = None
    """Of the image; None where a codec sends no filters."""

    @property
    def ahead(self) -> bytes:
        """What comes before the latent's string."""
        own = self.postfilter.to_bytes() if self.postfilter else b""
        return pack_steps(self.step_codes) + own

    @property
    def string(self) -> bytes:
        """The step codes and the filter, then the latent's string."""
        return self.ahead + self.latent.string()

    def bits(self) -> Floats:
        """(n,) cost of each element, with its share of what is ahead: they sum to the string's."""
        cost = self.latent.bits()
        return cost + 8 * len(self.ahead) / len(cost)

    @staticmethod
    def read(
        channel: Channel, walk: Walk, string: bytes, direction: str, filtered: bool = False
    ) -> "Coded":
        """The mirror of :attr:`string`, for shifts along ``direction``.

        Raises:
            BitstreamError: ``string`` was not written so.
        """
        codes, rest = unpack_steps(string, DIRECTIONS[direction])
        own, rest = Wiener.read(rest) if filtered else (None, rest)
        return Coded(channel.receive(walk, rest), codes, own)

    @property
    def is_shifted(self) -> bool:
        """Whether any step is one."""
        return any(code != NO_SHIFT for code in self.step_codes)

    def shifted(self, direction: str) -> NDArray[np.floating]:
        """(n,) the reconstructed latent, shifted."""
        hat = self.latent.hat
        return hat + self.latent.shift(direction, self.step_codes) if self.is_shifted else hat
