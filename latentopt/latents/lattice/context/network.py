"""A tiny network of integers, which gives the same on every machine.

Its numbers are float32, for the speed of matrix products, but all of them are integers below 2^24,
where float32 is exact: so no order of summation, and no fused product, makes a difference.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from latentopt.errors import WeightsError
from latentopt.latents.lattice.context.surroundings import OF_ELEMENTS, OF_PLACES, Features
from latentopt.pmf.tables import Ints

INPUTS, OUTPUTS = OF_PLACES + OF_ELEMENTS, 2
_HIDDEN = 16
SHAPES = ((INPUTS + 1, _HIDDEN), (_HIDDEN + 1, _HIDDEN), (_HIDDEN + 1, OUTPUTS))
"""Of the layers; the last row has the biases."""
SIZE = sum(rows * columns for rows, columns in SHAPES)

TOP = 255
"""Largest activation of a hidden element."""
LARGEST_WEIGHT = 1023
_LARGEST_BIAS = 1 << 22
SHIFTS = (6, 8, 10)
"""By how many bits the sums of each layer are shifted down."""
_BLOCK = 1 << 13
"""Elements at a time: their activations stay within a processor's cache."""


@dataclass(frozen=True)
class Network:
    """Three layers; activations of the hidden ones are integers from 0 to ``TOP``."""

    layers: Sequence[Ints]
    """Of :data:`SHAPES`."""

    def __post_init__(self) -> None:
        for layer in self.layers:
            weights, bias = np.abs(layer[:-1].astype(np.int64)), np.abs(layer[-1].astype(np.int64))
            if weights.max() > LARGEST_WEIGHT or bias.max() > _LARGEST_BIAS:
                raise WeightsError("a context network's weights are beyond what it can sum exactly")

    def __call__(self, features: Features) -> NDArray[np.float32]:
        """(OUTPUTS, c * n) integers, for the elements of a pass."""
        (first, bias), *_ = self._arrays
        shared = first[:, :OF_PLACES] @ features.places + bias
        channels, n = features.elements.shape[1:]
        found = np.empty((OUTPUTS, channels, n), np.float32)
        rows = max(1, _BLOCK // max(1, n))
        for start in range(0, channels, rows):
            some = slice(start, start + rows)
            found[:, some] = self._of(features.elements[:, some], shared)
        return found.reshape(OUTPUTS, -1)

    def _of(
        self, elements: NDArray[np.float32], shared: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """The outputs (OUTPUTS, c, n) for some channels, given what their places have in common."""
        (first, _), (second, bias), (last, last_bias) = self._arrays
        x = first[:, OF_PLACES:] @ elements.reshape(OF_ELEMENTS, -1)
        planes = x.reshape(-1, *elements.shape[1:])
        planes += shared[:, None]
        x = second @ _activation(x)
        x += bias
        x = last @ _activation(x)
        x += last_bias
        return np.floor(x, out=x).reshape(OUTPUTS, *elements.shape[1:])

    @cached_property
    def _arrays(self) -> list[tuple[NDArray[np.float32], NDArray[np.float32]]]:
        """(outputs, inputs) and (outputs, 1) of each layer, shifted down: powers of 2 are exact."""
        turned = [
            np.ascontiguousarray(layer.T, np.float32) * np.float32(2.0**-shift)
            for layer, shift in zip(self.layers, SHIFTS)
        ]
        return [(layer[:, :-1], layer[:, -1:]) for layer in turned]

    def dump(self) -> Ints:
        """All its integers."""
        return np.concatenate([layer.ravel() for layer in self.layers]).astype(np.int32)

    @staticmethod
    def load(dumped: Ints) -> "Network":
        """The network of :meth:`dump`; WeightsError where it is of another size."""
        if len(dumped) != SIZE:
            raise WeightsError(f"a context network of {len(dumped)} weights, not {SIZE}")
        pieces = np.split(dumped, np.cumsum([rows * columns for rows, columns in SHAPES])[:-1])
        return Network([piece.reshape(shape) for piece, shape in zip(pieces, SHAPES)])

    def digest(self) -> bytes:
        """SHA-256 of :meth:`dump`."""
        return hashlib.sha256(self.dump().astype("<i4").tobytes()).digest()


def _activation(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """Sums kept within the range of activations, as integers, in place."""
    np.clip(x, 0, TOP, out=x)
    return np.floor(x, out=x)
