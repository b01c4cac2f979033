"""What is known around the elements of a pass: integers, made of what crossed before.

Magnitudes are compared with those that the entropy model expects: over all channels that have
crossed, over the band before, over this band's first half and within the element's own channel,
each over several neighbourhoods. All sums are of integers, so that they are the same everywhere.
"""

import numpy as np
from numpy.typing import NDArray

from latentopt.latents.lattice.context.passes import Pass

UNIT = 1024
"""Of magnitudes, as integers."""

FEATURES = 15
"""Columns of :meth:`Surroundings.features`."""

OCTAVE = 16
"""Of ratios, as features."""

REACH = 127
"""Largest magnitude of a feature."""

_FAR = 127.0  # residuals beyond it count as those at it
_LITTLE = UNIT // 4  # added to actual and expected magnitudes: few elements say little
_ONE, _SIXTEENTH = 0x3F800000, 19  # of a float32: the bits of 1.0, and how far a 16th octave is up

Sums = NDArray[np.int64]


class Surroundings:
    """Of one latent, while it crosses.

    Args:
        expected: (M, h, w) magnitude of each element that the entropy model expects.
    """

    def __init__(self, expected: NDArray[np.int32]):
        self._expected = expected
        self._value = np.zeros_like(expected)
        grid = expected.shape[1:]
        # actual and expected sums over channels, of all that have crossed, and by band
        self._all, self._before, self._now = (np.zeros((2, *grid), np.int64) for _ in range(3))

    @property
    def loudness(self) -> NDArray[np.int64]:
        """(M,) of each channel, the sum of what is expected."""
        return self._expected.sum(axis=(1, 2), dtype=np.int64)

    def note(self, crossed: Pass, residual: NDArray[np.floating]) -> None:
        """The residual (n,) of a pass, from the centres that the entropy model has."""
        if crossed.half is None:
            return
        value = np.rint(np.clip(residual, -_FAR, _FAR) * UNIT).astype(np.int32)
        value = value.reshape(len(crossed.channels), -1)
        places = np.flatnonzero(crossed.places)
        self._flat(self._value)[crossed.channels[:, None], places] = value
        expected = self._flat(self._expected)[crossed.channels[:, None], places]
        sums = np.zeros_like(self._all)
        for row, magnitude in zip(sums, (np.abs(value), expected)):
            row[crossed.places] = magnitude.sum(axis=0, dtype=np.int64)
        self._all += sums
        self._now = sums if crossed.half == 0 else self._now + sums
        if crossed.half == 1:
            self._before = self._now

    def features(self, coming: Pass) -> NDArray[np.float32]:
        """(n, FEATURES) of the elements of a pass to come; integers from -REACH to REACH."""
        shape = len(coming.channels), int(coming.places.sum())
        columns = np.zeros((FEATURES, *shape), np.int32)
        columns[0:3] = _ratios(self._all, (0, 1, 3), coming)
        columns[3:6] = _ratios(self._before, (0, 1, 3), coming)
        columns[6] = _octaves(self._all[1, coming.places] + 1, UNIT) - 3 * OCTAVE
        expected = self._flat(self._expected)[coming.channels][:, coming.places.ravel()]
        columns[7] = _octaves(expected + 1, UNIT) + OCTAVE
        if coming.half:
            columns[8:10] = _ratios(self._now, (1, 3), coming)
            columns[10:14] = self._own(coming, expected)
            columns[14] = OCTAVE
        return np.clip(columns, -REACH, REACH).reshape(FEATURES, -1).T.astype(np.float32)

    def _own(self, coming: Pass, expected: NDArray[np.int32]) -> NDArray[np.int32]:
        """(4, c, n) of the second half: near, less near, and all of the own channel; its mean."""
        black = ~coming.places
        value = self._value[coming.channels] * black
        pair = np.stack([np.abs(value), self._expected[coming.channels] * black])
        near = [_ratio(_box(pair, radius)[..., coming.places]) for radius in (1, 2)]
        whole = _ratio(pair.sum(axis=(2, 3), dtype=np.int64))
        mean = 4 * _box(value, 1)[..., coming.places] // (expected + _LITTLE)
        return np.stack([*near, np.broadcast_to(whole[:, None], mean.shape), mean])

    @staticmethod
    def _flat(planes: NDArray) -> NDArray:
        return planes.reshape(len(planes), -1)


def _ratios(sums: Sums, radii: tuple[int, ...], coming: Pass) -> NDArray[np.int32]:
    """(radii, 1, n) actual over expected around the places of a pass."""
    return np.stack([_ratio(_box(sums, radius)[..., coming.places])[None] for radius in radii])


def _ratio(sums: NDArray[np.integer]) -> NDArray[np.int32]:
    """Actual over expected, of sums (2, ...) of both, in sixteenths of octaves."""
    actual, expected = (sums + _LITTLE).astype(np.float32)
    return _octaves(actual, expected)


def _octaves(top: NDArray, bottom: NDArray | int) -> NDArray[np.int32]:
    """The ratio in sixteenths of octaves, linear within each: what the bits of a float32 say."""
    ratio = top.astype(np.float32) / np.asarray(bottom, np.float32)
    return (ratio.view(np.int32) - _ONE) >> _SIXTEENTH


def _box(planes: NDArray, radius: int) -> NDArray:
    """Sums (..., h, w) over squares of 2 radius + 1, as far as they are within."""
    for axis in (-2, -1):
        padding = [(0, 0)] * planes.ndim
        padding[axis] = (radius, radius)
        padded = np.moveaxis(np.pad(planes, padding), axis, 0)
        size = planes.shape[axis]
        total = padded[:size].copy()
        for k in range(1, 2 * radius + 1):
            total += padded[k : k + size]
        planes = np.moveaxis(total, 0, axis)
    return planes
