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
        (first, bias), second, last = self._arrays
        shared = first[:, :OF_PLACES] @ features.places + bias
        own = first[:, OF_PLACES:] @ features.elements.reshape(OF_ELEMENTS, -1)
        x = own.reshape(-1, *features.elements.shape[1:])
        x += shared[:, None]
        x = _activation(own, SHIFTS[0])
        x = _activation(second[0] @ x + second[1], SHIFTS[1])
        return np.floor((last[0] @ x + last[1]) * np.float32(2.0 ** -SHIFTS[2]))

    @cached_property
    def _arrays(self) -> list[tuple[NDArray[np.float32], NDArray[np.float32]]]:
        """(outputs, inputs) and (outputs, 1) of each layer."""
        turned = [np.ascontiguousarray(layer.T, np.float32) for layer in self.layers]
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


def _activation(x: NDArray[np.float32], shift: int) -> NDArray[np.float32]:
    """Sums shifted down and kept within the range of activations, in place."""
    x *= np.float32(2.0**-shift)
    np.maximum(x, 0, out=x)
    np.minimum(x, TOP, out=x)
    return np.floor(x, out=x)
