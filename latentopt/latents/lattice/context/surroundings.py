"""What is known around the elements of a pass: integers, made of what crossed before.

Magnitudes are compared with those that the entropy model expects: over all channels that have
crossed, over the band before, over this band's first half and within the element's own channel,
each over several neighbourhoods. All numbers are integers, most of them in float32, which is exact
below 2^24, and quotients are rounded as IEEE 754 says: so they are the same everywhere.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from latentopt.latents.lattice.context.passes import Pass

UNIT = 1024
"""Of magnitudes, as integers."""

OCTAVE = 16
"""Of ratios, as features."""

OF_PLACES, OF_ELEMENTS = 10, 5
"""How many features there are."""

_REACH = 127  # of features
_FAR = 127.0  # residuals beyond it count as those at it
_LITTLE = UNIT // 4  # added to actual and expected magnitudes: few elements say little
_ONE, _SIXTEENTH = 0x3F800000, 19  # of a float32: the bits of 1.0, and how far a 16th octave is up
_RADII = (0, 1, 3)  # of squares of places
_NEXT = ((-1, 0), (1, 0), (0, -1), (0, 1))  # to a white square, the black ones beside it
_NEAR = tuple((a * i, b * j) for i, j in ((1, 2), (2, 1)) for a in (-1, 1) for b in (-1, 1))
_MARGIN = 2

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Features:
    """Of a pass, integers from -127 to 127: what its places have in common, and each element's."""

    places: Floats  # (OF_PLACES, n)
    elements: Floats  # (OF_ELEMENTS, c, n)


class Surroundings:
    """Of one latent, while it crosses.

    Args:
        expected: (M, h, w) magnitude of each element that the entropy model expects.
    """

    def __init__(self, expected: NDArray[np.int32]):
        self._grid = expected.shape[1:]
        self._expected = expected.reshape(len(expected), -1)
        # actual and expected sums over channels: of all that crossed, of the last band, of this one
        self._sums = np.zeros((3, 2, self._expected.shape[1]), np.int64)
        self._first_half: Floats | None = None  # of this band: magnitudes, expected ones, values

    @property
    def loudness(self) -> NDArray[np.int64]:
        """(M,) of each channel, the sum of what is expected."""
        return self._expected.sum(axis=1, dtype=np.int64)

    def note(self, crossed: Pass, residual: NDArray[np.floating]) -> None:
        """The residual (c * n,) of a pass, from the centres that the entropy model has."""
        if crossed.half is None:
            return
        value = np.rint(np.clip(residual, -_FAR, _FAR) * UNIT).astype(np.float32)
        value = value.reshape(len(crossed.channels), -1)
        known = np.stack([np.abs(value), self._of(crossed), value])
        sums = known[:2].sum(axis=1, dtype=np.float64)
        self._add(crossed, sums.astype(np.int64))
        self._first_half = _padded(known, crossed) if crossed.half == 0 else None

    def _add(self, crossed: Pass, sums: NDArray[np.int64]) -> None:
        """Sums (2, n) of a pass over its channels."""
        everything, before, now = self._sums
        everything[:, crossed.flat] += sums
        now[:, crossed.flat] += sums
        if crossed.half == 1:
            before[:], now[:] = now, 0

    def _of(self, some: Pass) -> Floats:
        """(c, n) what is expected of a pass."""
        return self._expected.ravel()[some.index].reshape(len(some.channels), -1).astype(np.float32)

    def features(self, coming: Pass) -> Features:
        """Of the elements of a pass that is to come."""
        places = np.zeros((OF_PLACES, len(coming.flat)), np.float32)
        ratios = _ratios(self._sums, coming)  # (radii, 3, n)
        places[:6] = ratios[:, :2].swapaxes(0, 1).reshape(6, -1)
        places[6] = _octaves(self._sums[0, 1, coming.flat] + 1, UNIT) - 3 * OCTAVE
        places[7:9] = ratios[1:, 2]
        places[9] = OCTAVE * coming.half if coming.half else 0
        expected = self._of(coming)
        elements = np.zeros((OF_ELEMENTS, *expected.shape), np.float32)
        elements[0] = _octaves(expected + 1, UNIT) + OCTAVE
        if self._first_half is not None:
            elements[1:] = self._within(self._first_half, coming, expected)
        for features in (places, elements):
            np.clip(features, -_REACH, _REACH, out=features)
        return Features(places, elements)

    def _within(self, known: Floats, coming: Pass, expected: Floats) -> Floats:
        """(4, c, n) of the own channel: beside an element, near it, and all so far; the mean."""
        height, width = self._grid

        def sums(rows: int, steps: tuple[tuple[int, int], ...]) -> Floats:
            total = np.zeros((rows, known.shape[1], height, width), np.float32)
            for down, right in steps:
                top, left = _MARGIN + down, _MARGIN + right
                total += known[:rows, :, top : top + height, left : left + width]
            return total.reshape(*total.shape[:2], -1).take(coming.flat, axis=-1)

        beside = sums(3, _NEXT)
        near = beside[:2] + sums(2, _NEAR)
        whole = known[:2].sum(axis=(2, 3), dtype=np.float64)[..., None]
        found = np.empty((4, *expected.shape), np.float32)
        for row, each in zip(found, (beside[:2], near, whole)):
            row[:] = _ratio(each)
        found[3] = np.floor(4 * beside[2] / (expected + _LITTLE))
        return found


def _padded(known: Floats, crossed: Pass) -> Floats:
    """What is known of a pass (3, c, n) on its squares, with a margin of zeros around them."""
    height, width = crossed.places.shape
    plane = np.zeros((*known.shape[:2], height + 2 * _MARGIN, width + 2 * _MARGIN), np.float32)
    inside = plane[..., _MARGIN : _MARGIN + height, _MARGIN : _MARGIN + width]
    inside[..., crossed.places] = known
    return plane


def _ratios(sums: NDArray[np.int64], coming: Pass) -> NDArray[np.int32]:
    """(radii, 3, n) actual over expected around the places of a pass."""
    margin = max(_RADII)
    height, width = coming.places.shape
    integral = np.zeros((3, 2, height + 2 * margin + 1, width + 2 * margin + 1), np.int64)
    inside = integral[..., margin + 1 : margin + 1 + height, margin + 1 : margin + 1 + width]
    inside[:] = sums.reshape(3, 2, height, width)
    np.cumsum(integral, axis=-2, out=integral)
    np.cumsum(integral, axis=-1, out=integral)
    found = []
    for radius in _RADII:
        top, left = (slice(margin - radius, margin - radius + size) for size in (height, width))
        start = margin + radius + 1
        bottom, right = (slice(start, start + size) for size in (height, width))
        tall = integral[..., bottom, :] - integral[..., top, :]
        box = (tall[..., right] - tall[..., left]).reshape(3, 2, -1).swapaxes(0, 1)
        found.append(_ratio(box.take(coming.flat, axis=-1)))
    return np.stack(found)


def _ratio(sums: NDArray) -> NDArray[np.int32]:
    """Actual over expected, of sums (2, ...) of both, in sixteenths of octaves."""
    actual, expected = (sums + _LITTLE).astype(np.float32)
    return _octaves(actual, expected)


def _octaves(top: NDArray, bottom: NDArray | int) -> NDArray[np.int32]:
    """The ratio in sixteenths of octaves, linear within each: what the bits of a float32 say."""
    ratio = top.astype(np.float32) / np.asarray(bottom, np.float32)
    return (ratio.view(np.int32) - _ONE) >> _SIXTEENTH
