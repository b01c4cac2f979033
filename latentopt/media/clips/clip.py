"""A clip: what it is (`Format`), and its frames, read one at a time as often as asked."""

from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from typing import Protocol
from weakref import WeakSet

from torch import Tensor

from latentopt.errors import InputError

Frames = Generator[Tensor, None, None]
"""Of (1, 3, H, W) float32 in [0, 1], RGB; closing it closes the file it reads."""

LARGEST = (1 << 32) - 1
"""Numerator and denominator of a frame rate, as coded files hold them."""

DEFAULT_RATE = Fraction(25)
"""Frames per second where neither file nor caller says; it counts for playing only."""


@dataclass(frozen=True)
class Format:
    """What a clip is, besides its samples."""

    width: int
    """In pixels, as `height`; any size, odd ones too."""
    height: int
    rate: Fraction
    """Frames per second."""

    def __post_init__(self) -> None:
        if self.width < 1 or self.height < 1:
            raise InputError(f"a clip of {self.width}x{self.height} pixels: needs at least 1x1")
        if self.rate <= 0:
            raise InputError(f"{self.rate} frames per second: the rate must be positive")
        if max(self.rate.numerator, self.rate.denominator) > LARGEST:
            raise InputError(
                f"{self.rate.numerator}/{self.rate.denominator} frames per second: the numbers of "
                f"a rate go up to {LARGEST}; round it"
            )

    def bits_per_pixel(self, size: int, frames: int) -> float:
        """Of so many frames in so many bytes."""
        return 8 * size / (self.width * self.height * frames)

    def kilobits_per_second(self, size: int, frames: int) -> float:
        """The same as players and networks count it.

        >>> Format(352, 288, Fraction(25)).kilobits_per_second(10_000, frames=50)
        40.0
        """
        return float(8 * size * self.rate / frames / 1000)


class Source(Protocol):
    """Where a clip's frames come from."""

    @property
    def format(self) -> Format: ...

    @property
    def count(self) -> int | None:
        """Frames in all, None where the file does not say."""

    def frames(self, start: int) -> Frames:
        """The frames from number ``start`` on; opens the file anew each time."""


class Clip:
    """Frames of one size, lazily: `for frame in clip` holds one at a time.

    Each iteration starts at the first frame again. Files are open only while iterated; leaving
    the clip's `with` block closes those of iterations that were broken off.
    """

    def __init__(
        self, name: str, format: Format, source: Source, start: int = 0, count: int | None = None
    ) -> None:
        if start < 0 or (count is not None and count < 1):
            raise InputError(f"{name}: {count} frames from number {start}: needs at least 1 from 0")
        self.name = name
        self.format = format
        self._source = source
        self._start = start
        self._limit = count
        self._running: WeakSet[Frames] = WeakSet()
        if self.count is not None and self.count < 1:
            raise self._too_short(source.count)

    @property
    def count(self) -> int | None:
        """Frames that an iteration yields, as the file states it; None where it does not.

        Raw video and images are counted. MP4, MOV and AVI state a count, Matroska and WebM none.
        """
        if self._source.count is None:
            return None
        left = self._source.count - self._start
        return left if self._limit is None else min(left, self._limit)

    def __len__(self) -> int:
        """`count`; TypeError where it is None."""
        if self.count is None:
            raise TypeError(f"{self.name}: the file does not say how many frames it has")
        return self.count

    def __bool__(self) -> bool:
        return True  # no clip is empty, and asking must not need __len__

    def __iter__(self) -> Iterator[Tensor]:
        """(1, 3, H, W) float32 in [0, 1], RGB.

        Raises:
            InputError: a frame cannot be read, or has another size than the first.
        """
        frames = self._frames()
        self._running.add(frames)
        return frames

    def __enter__(self) -> "Clip":
        return self

    def __exit__(self, *_: object) -> None:
        for frames in list(self._running):
            frames.close()

    def _frames(self) -> Frames:
        seen = 0
        with closing(self._source.frames(self._start)) as frames:
            for frame in islice(frames, self._limit):
                self._check_size(frame, self._start + seen)
                seen += 1
                yield frame
        if not seen:
            raise self._too_short("fewer")

    def _check_size(self, frame: Tensor, number: int) -> None:
        height, width = frame.shape[-2:]
        if (width, height) != (self.format.width, self.format.height):
            raise InputError(
                f"{self.name}: frame {number} has {width}x{height} pixels, the first "
                f"{self.format.width}x{self.format.height}; scale or cut them to one size"
            )

    def _too_short(self, frames: object) -> InputError:
        return InputError(f"{self.name}: no frame number {self._start}: it holds {frames}")
