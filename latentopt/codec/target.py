"""Targets: what an image's file should come to, in bytes, in quality, or beside plain rounding."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

from latentopt.errors import InputError

UNDER = 0.01
"""Share of a target rate by which a file may be smaller, where that is more than :data:`SMALL`."""
SMALL = 8
"""Bytes that any file may be smaller: 1 % of very small ones is less than one symbol."""
ABOVE_DB = 0.05
"""By how much an image may be better than a target PSNR; near 1 % of the rate."""
BELOW_DB = 0.01
"""By how much an image may be worse than plain rounding where it is to match that: not visible."""
_DB_PER_OCTAVE = 2.8  # what a doubling of the rate adds to the PSNR, roughly


class Coded(Protocol):
    """What one image came to."""

    @property
    def data(self) -> bytes:
        """The whole file."""

    @property
    def psnr_db(self) -> float:
        """Of the decoded image, in 8-bit RGB."""


@dataclass(frozen=True)
class Window:
    """Values that will do, of something that rises with the rate."""

    value: Callable[[Coded], float]
    """That something."""
    low: float
    high: float
    slope: float
    """How much the value rises, roughly, where the rate doubles."""
    cap: bool
    """Whether it is ``high`` that must not be exceeded; else ``low`` must be reached."""
    text: Callable[[float], str]
    """The value in words."""

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high

    def wider(self, times: float) -> "Window":
        """By so many times its width, to the side that may be."""
        more = times * (self.high - self.low)
        return (
            replace(self, low=self.low - more) if self.cap else replace(self, high=self.high + more)
        )

    @property
    def aim(self) -> float:
        """Where to aim at: the middle."""
        return (self.low + self.high) / 2


class Target(Protocol):
    """What a file should come to."""

    @property
    def own_quality(self) -> bool:
        """Whether it asks for one quality, of several that a codec may have."""

    def window(self, pixels: int, plain: Callable[[], Coded]) -> Window:
        """What will do for an image of so many pixels; ``plain`` codes it by plain rounding."""


@dataclass(frozen=True)
class MaxBytes:
    """A file of at most so many bytes, and at most 1 % fewer.

    >>> MaxBytes(50_000).window(1, lambda: None).text(math.log2(49_750))
    '49,750 bytes'
    """

    bytes: float
    own_quality = False

    def __post_init__(self) -> None:
        _check_positive("a target of bytes", self.bytes)

    def window(self, pixels: int, plain: Callable[[], Coded]) -> Window:
        return _of_bytes(self.bytes)


@dataclass(frozen=True)
class Bpp:
    """A file of at most so many bits per pixel, and at most 1 % fewer."""

    bpp: float
    own_quality = False

    def __post_init__(self) -> None:
        _check_positive("a target of bits per pixel", self.bpp)

    def window(self, pixels: int, plain: Callable[[], Coded]) -> Window:
        return _of_bytes(self.bpp * pixels / 8)


@dataclass(frozen=True)
class Psnr:
    """An image of at least this PSNR, in dB of 8-bit RGB, and at most 0.05 dB better."""

    psnr_db: float
    own_quality = False

    def __post_init__(self) -> None:
        _check_positive("a target PSNR", self.psnr_db)

    def window(self, pixels: int, plain: Callable[[], Coded]) -> Window:
        return _of_psnr(self.psnr_db)


@dataclass(frozen=True)
class MatchPsnr:
    """What plain rounding gives at the same quality, in fewer bytes.

    At most 0.01 dB worse, which nobody sees, and 0.04 dB better.
    """

    own_quality = True

    def window(self, pixels: int, plain: Callable[[], Coded]) -> Window:
        return _of_psnr(plain().psnr_db - BELOW_DB)


@dataclass(frozen=True)
class MatchBytes:
    """At most the bytes of plain rounding at the same quality, at most 1 % fewer; but better."""

    own_quality = True

    def window(self, pixels: int, plain: Callable[[], Coded]) -> Window:
        return _of_bytes(len(plain().data))


MATCHES: dict[str, Target] = {"psnr": MatchPsnr(), "bytes": MatchBytes()}
"""By what is to be equal."""


def _of_bytes(most: float) -> Window:
    return Window(
        value=lambda coded: math.log2(len(coded.data)),
        low=math.log2(max(most - max(UNDER * most, SMALL), 1)),
        high=math.log2(max(most, 1)),
        slope=1.0,
        cap=True,
        text=lambda value: f"{2**value:,.0f} bytes",
    )


def _of_psnr(least_db: float) -> Window:
    if least_db == math.inf:
        raise InputError("plain rounding loses nothing of this image: its PSNR cannot be matched")
    return Window(
        value=lambda coded: coded.psnr_db,
        low=least_db,
        high=least_db + ABOVE_DB,
        slope=_DB_PER_OCTAVE,
        cap=False,
        text=lambda value: f"{value:.2f} dB",
    )


def _check_positive(what: str, value: float) -> None:
    if not (math.isfinite(value) and value > 0):
        raise InputError(f"{what} must be a positive number, not {value}")
