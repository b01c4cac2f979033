"""Wiener filters of decoded images: an encoder fits one to each image, and sends its weights.

    x_hat ─► opponent colours ─► + sum of weight * tap, for each ─► colours ─► clipped
                                 taps: 5 × 5 pixels about it, the other colours, a constant

Adaptive loop filters of video codecs are of this kind (Karczewicz et al., *VVC In-Loop Filters*,
IEEE TCSVT 2021). Whatever made the image, the filter knows nothing of it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from latentopt.errors import BitstreamError

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]

COLOURS: Floats = np.array([[1, 1, 1], [1, 0, -1], [1, -2, 1]]) / np.sqrt([[3], [2], [6]])
"""Opponent colours of (R, G, B), orthonormal: squared errors in them add up to the image's."""
REACH = 2
"""Pixels to each side that a filter looks at."""
PAIRS = tuple((i, j) for i in range(REACH + 1) for j in range(-REACH, REACH + 1) if (i, j) > (0, 0))
"""Neighbours (row, column), one of each two that are mirrored about the pixel."""
TAPS = len(PAIRS) + 4
"""Of each colour: pairs of neighbours less the pixel, the three colours of the pixel less grey, and
a constant."""
CONSTANT = 0.25
FINENESS = (6, 7, 8, 9)
"""Weights are whole numbers of 2^-fineness."""

_MEAN = COLOURS.sum(axis=1) / 2  # opponent colours of grey
_PIXELS = 1 << 16  # of an image, that are filtered at a time
_HELD = 1 << 14  # whose taps are held at a time: they stay within a processor's cache
_RICE = 8  # parameters of the code of weights
_LARGEST = 1 << 11  # of a weight's number
_UNARY = 64  # bits, the zero at their end among them
_RIDGE = 1e-7


def _classes() -> Iterator[list[float]]:
    """Rows, each of neighbours that are alike in their distances along the axes."""
    kinds = [tuple(sorted(map(abs, pair))) for pair in PAIRS]
    for kind in sorted(set(kinds)):
        yield [float(own == kind) for own in kinds] + [0.0] * 4


SHAPES: tuple[Floats, ...] = (
    np.array([*_classes(), *np.eye(TAPS)[len(PAIRS) :]]),
    np.eye(TAPS),
)
"""(weights, TAPS): which taps share a weight; all alike in distance, or none."""


@dataclass(frozen=True)
class Wiener:
    """A filter, as it is sent."""

    shape: int
    """Which of :data:`SHAPES`."""
    fineness: int
    """Which of :data:`FINENESS`."""
    numbers: tuple[tuple[int, ...], ...]
    """The weights of each opponent colour, in 2^-fineness; none of :data:`IDENTITY`."""

    def __call__(self, images: Tensor) -> Tensor:
        """Images (B, 3, H, W) in [0, 1], filtered and clipped."""
        if not self.numbers:
            return images
        kernel, bias = (torch.from_numpy(own).to(images) for own in self._kernel())
        strips = (
            images[..., rows, :] + F.conv2d(around, kernel, bias)
            for rows, around in _strips(images, _PIXELS)
        )
        return torch.cat([strip.clamp(0, 1) for strip in strips], dim=-2)

    def __str__(self) -> str:
        """What it is, in a few words."""
        if not self.numbers:
            return "none"
        used = sum(any(own) for own in self.numbers)
        return f"{len(self.numbers[0])} weights for each of {used} colours"

    def _kernel(self) -> tuple[Floats, Floats]:
        """What is added to an image, as a convolution: (3, 3, 5, 5) and (3,)."""
        weights = np.array(self.numbers) * 2.0 ** -FINENESS[self.fineness] @ SHAPES[self.shape]
        side = 2 * REACH + 1
        kernel, bias = np.zeros((3, 3, side, side)), weights[:, -1] * CONSTANT
        for colour, own in enumerate(weights):
            for (i, j), weight in zip(PAIRS, own):
                kernel[colour, colour, REACH + i, REACH + j] += weight
                kernel[colour, colour, REACH - i, REACH - j] += weight
                kernel[colour, colour, REACH, REACH] -= 2 * weight
            kernel[colour, :, REACH, REACH] += own[len(PAIRS) : -1]
        bias = bias - weights[:, len(PAIRS) : -1] @ _MEAN
        return np.einsum("ca,cdij,db->abij", COLOURS, kernel, COLOURS), COLOURS.T @ bias

    # -- as bytes --------------------------------------------------------------------------------

    def to_bytes(self) -> bytes:
        """0 of the identity; else another byte, then weights in the shortest Rice code."""
        if not self.numbers:
            return b"\0"
        numbers = [number for own in self.numbers for number in own]
        rice = int(_lengths(np.array(numbers)).argmin())
        bits = "".join(_rice(number, rice) for number in numbers)
        head = 1 + self.shape + len(SHAPES) * (self.fineness + len(FINENESS) * rice)
        return bytes([head]) + _packed(bits)

    @staticmethod
    def read(string: bytes) -> tuple["Wiener", bytes]:
        """The mirror of :meth:`to_bytes`, and what follows.

        Raises:
            BitstreamError: the string does not begin so.
        """
        if not string:
            raise BitstreamError("truncated: an empty string where a filter was expected")
        if not string[0]:
            return IDENTITY, string[1:]
        rest, shape = divmod(string[0] - 1, len(SHAPES))
        rice, fineness = divmod(rest, len(FINENESS))
        if rice >= _RICE:
            raise _corrupt()
        count = len(SHAPES[shape])
        numbers = _numbers(string[1:], 3 * count, rice)
        found = Wiener(shape, fineness, tuple(_batches(numbers, count)))
        data = found.to_bytes()
        if not string.startswith(data) or not any(numbers):
            raise _corrupt()
        return found, string[len(data) :]


IDENTITY = Wiener(0, 0, ())
"""The filter that leaves images as they are."""


def _batches(numbers: list[int], count: int) -> Iterator[tuple[int, ...]]:
    return (tuple(numbers[k : k + count]) for k in range(0, len(numbers), count))


def _lengths(numbers: NDArray[np.int64]) -> Floats:
    """(..., _RICE) bits of ``numbers`` (..., n) in each Rice code; infinite where it has none."""
    zigzag = np.where(numbers >= 0, 2 * numbers, -2 * numbers - 1)[..., None]
    quotients = zigzag >> np.arange(_RICE)
    bits = (quotients + 1 + np.arange(_RICE)).sum(axis=-2)
    return np.where(quotients.max(axis=-2) < _UNARY, bits, np.inf)


def _rice(number: int, rice: int) -> str:
    """Quotient by 2^rice in unary, then the remainder."""
    zigzag = 2 * number if number >= 0 else -2 * number - 1
    quotient, rest = divmod(zigzag, 1 << rice)
    return "1" * quotient + "0" + (f"{rest:0{rice}b}" if rice else "")


def _packed(bits: str) -> bytes:
    size = -(-len(bits) // 8)
    return int(bits.ljust(8 * size, "0"), 2).to_bytes(size, "big")


def _numbers(data: bytes, count: int, rice: int) -> list[int]:
    """So many of the numbers that bytes begin with."""
    data = data[: count * (_UNARY + _RICE) // 8]
    bits, position, found = f"{int.from_bytes(data, 'big'):0{8 * len(data)}b}", 0, list[int]()
    for _ in range(count):
        end = bits.find("0", position)
        if not position <= end < position + _UNARY or end + 1 + rice > len(bits):
            raise _corrupt()
        value = (end - position) << rice | int("0" + bits[end + 1 : end + 1 + rice], 2)
        found.append(-(value + 1) // 2 if value % 2 else value // 2)
        position = end + 1 + rice
    return found


def _corrupt() -> BitstreamError:
    return BitstreamError("corrupt: the filter at the head of a string is none")


# -- the encoder's side ----------------------------------------------------------------------------


@dataclass(frozen=True)
class _Normal:
    """Of one opponent colour, what says how much any weights take from its squared error."""

    gram: Floats
    cross: Floats

    def solved(self, shape: Floats) -> Floats:
        """The best weights of a shape."""
        gram = shape @ self.gram @ shape.T
        gram += np.eye(len(gram)) * (_RIDGE * np.trace(gram) + np.finfo(float).tiny)
        found: Floats = np.linalg.solve(gram, shape @ self.cross)
        return found

    def change(self, weights: Floats) -> float:
        """Of the squared error, by weights of all taps."""
        return float(weights @ self.gram @ weights - 2 * self.cross @ weights)


def fit(decoded: Tensor, original: Tensor, trade: float) -> Wiener:
    """The filter of the least bits and squared error: the identity, where no other pays.

    Args:
        decoded: the image (1, 3, H, W) in [0, 1] that is to be filtered.
        original: what it should be.
        trade: bits that a squared error of 1, summed over the samples, is worth.
    """
    normals, best, least = _normals(decoded, original), IDENTITY, 0.0
    for shape, fineness in product(range(len(SHAPES)), range(len(FINENESS))):
        unit = 2.0 ** -FINENESS[fineness]
        exact = [own.solved(SHAPES[shape]) / unit for own in normals]
        if not np.abs(exact).max() < _LARGEST:
            continue
        rounded = np.rint(exact).astype(np.int64)
        gains = [
            trade * normal.change(own * unit @ SHAPES[shape])
            for normal, own in zip(normals, rounded)
        ]
        pays = _paying(np.array(gains), rounded)
        if not pays.any():
            continue
        numbers = rounded * pays[:, None]
        found = Wiener(shape, fineness, tuple(map(tuple, numbers.tolist())))
        size = len(found.to_bytes()) - len(IDENTITY.to_bytes())
        cost = 8 * size + float(np.dot(pays, gains))
        if cost < least:
            best, least = found, cost
    return best


def _paying(gains: Floats, rounded: NDArray[np.int64]) -> NDArray[np.bool_]:
    """(3,) of which colours the numbers take more from the error, in bits, than they are."""
    costs = _lengths(rounded) + gains[:, None]  # (3, _RICE)
    nothing = _lengths(np.zeros_like(rounded))
    rice = int(np.minimum(costs, nothing).sum(axis=0).argmin())
    pays: NDArray[np.bool_] = costs[:, rice] < nothing[:, rice]
    return pays


def _normals(decoded: Tensor, original: Tensor) -> list[_Normal]:
    """Of each opponent colour."""
    grams, crosses = np.zeros((3, TAPS, TAPS)), np.zeros((3, TAPS))
    for taps, wanted in _taps(decoded, original):
        grams += taps @ taps.transpose(0, 2, 1)
        crosses += (taps @ wanted[..., None])[..., 0]
    return [_Normal(*own) for own in zip(grams, crosses)]


def _taps(decoded: Tensor, original: Tensor) -> Iterator[tuple[Singles, Singles]]:
    """Some rows at a time, of each opponent colour taps (3, TAPS, n) and what lacks (3, n)."""
    mean = _MEAN.astype(np.float32)[:, None, None]
    for rows, around in _strips(decoded, _HELD):
        own, theirs = _opponent(around), _opponent(original[..., rows, :])
        pixel = _moved(own, 0, 0)
        taps = np.empty((3, TAPS, *pixel.shape[1:]), np.float32)
        for tap, (i, j) in enumerate(PAIRS):
            np.add(_moved(own, i, j), _moved(own, -i, -j), out=taps[:, tap])
        taps[:, : len(PAIRS)] -= 2 * pixel[:, None]
        taps[:, len(PAIRS) : -1] = pixel - mean
        taps[:, -1] = CONSTANT
        yield taps.reshape(3, TAPS, -1), (theirs - pixel).reshape(3, -1)


def _strips(images: Tensor, pixels: int) -> Iterator[tuple[slice, Tensor]]:
    """Which rows, and these with a margin, in which the images' edges are repeated."""
    height, width = images.shape[-2:]
    rows = max(1, pixels // width)
    for first in range(0, height, rows):
        end = min(first + rows, height)
        seen = torch.arange(first - REACH, end + REACH, device=images.device).clamp(0, height - 1)
        yield slice(first, end), F.pad(images[..., seen, :], (REACH, REACH, 0, 0), mode="replicate")


def _moved(around: Singles, i: int, j: int) -> Singles:
    """Of rows and columns with a margin, those so far below and to the right."""
    height, width = (side - 2 * REACH for side in around.shape[1:])
    return around[:, REACH + i : REACH + i + height, REACH + j : REACH + j + width]


def _opponent(image: Tensor) -> Singles:
    """(3, H, W) of an image (1, 3, H, W)."""
    colours = torch.from_numpy(COLOURS).float() @ image[0].float().cpu().flatten(1)
    return colours.view(3, *image.shape[-2:]).numpy()
