"""Layers: a Gaussian is a mixture of uniform densities, and each of them is a dithered quantizer.

    N(0, τ²)  ▁▂▄▆█▆▄▂▁  =  ▂▂▂▂▂▂▂▂▂  +    ▃▃▃▃▃    +    ▄▄▄     of widths w = 2rτ,  r² ~ χ² of 3

    both      draw a layer's width w and a dither u in [0, 1) for each element
    encoder   k = the integer for which  w (k + u)  is nearest to y   ──► ANS, given w and u
    decoder   w (k + u)  is uniform within w / 2 of y, given w; over all w it is N(y, τ²)

Layered quantization (Wilson 2000; Hegazy and Li 2022): exact, and one step for each element. It
costs what uniform noise costs, I(Y; Y + U | w): 0.52 bits above KL where the rate is high, and
nothing where nothing is sent. With one width it is the dithered channel (``uniform``), whose noise
is uniform.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammainc, gammaincinv

from latentopt.bitstream.ans import SymbolDecoder, SymbolEncoder, integer_bits
from latentopt.densities import Floats
from latentopt.errors import BitstreamError
from latentopt.latents.dither.philox import Words
from latentopt.latents.sampling.belief import Belief
from latentopt.latents.sampling.cut import Ints64
from latentopt.latents.sampling.drawn import Drawn
from latentopt.latents.sampling.posterior import Normals
from latentopt.latents.sampling.sampler import Sampler
from latentopt.latents.sampling.staircase import Levels, Steps
from latentopt.pmf import PRECISION, Counts

LAYERS = 256
_GRID = 4096.0  # widths are multiples of 1 / this, in spreads: last bits do not reach them
_MOST = 64  # cells that an alphabet has room for; beyond, low bits are coded as they are
_ROWS = 1 << 14
_DRAWS = 128  # from which the least cost of a level is estimated


def gaussian_widths() -> Floats:
    """(256,) of the layers of N(0, 1): root mean squares of 2r on equal shares of its mass."""
    ends = 2 * gammaincinv(1.5, np.arange(1, LAYERS) / LAYERS)
    below = np.concatenate([[0.0], gammainc(2.5, ends / 2), [1.0]])  # of the mass of r²
    return np.rint(2 * np.sqrt(3 * LAYERS * np.diff(below)) * _GRID) / _GRID


def uniform_widths() -> Floats:
    """(256,) of one uniform density, of variance 1."""
    return np.full(LAYERS, np.rint(np.sqrt(12) * _GRID) / _GRID)


@dataclass(frozen=True)
class Cells:
    """The layers of elements, and the alphabets of their integers, which both sides know."""

    steps: Steps
    levels: Levels  # (n,)
    width: Floats  # (n,)
    dither: Floats  # (n,) in [0, 1)
    shift: Ints64  # (n,) how many low bits of k are coded as they are
    first: Ints64  # (n,) k >> shift of symbol 0
    size: Ints64  # (n,) symbols, of which the last is for all others

    @staticmethod
    def of(steps: Steps, widths: Floats, spreads: Floats, levels: Levels, words: Words) -> "Cells":
        """Of elements (n,) with these posteriors' spreads, and these random words."""
        width = widths[(words & np.uint64(LAYERS - 1)).astype(np.int64)] * spreads
        dither = (words >> np.uint64(8)).astype(np.float64) / (1 << 24)
        last = np.ceil(steps.reach[levels] / width).astype(np.int64)
        shift = _bit_length((2 * last + 1) // _MOST)
        first = -last >> shift
        size = 1 << _bit_length((last >> shift) - first + 1)
        return Cells(steps, levels, width, dither, shift, first, size)

    def nearest(self, mean: Floats) -> Ints64:
        """(n,) the integers of the points nearest to ``mean``."""
        return np.floor(mean / self.width - self.dither + 0.5).astype(np.int64)

    def points(self, k: Ints64) -> Floats:
        """(n,) of these integers."""
        return self.width * (k + self.dither)

    def symbols(self, k: Ints64) -> tuple[Ints64, NDArray[np.bool_]]:
        """(n,) of the alphabets, and which of them say nothing of k."""
        symbols = (k >> self.shift) - self.first
        escaped = (symbols < 0) | (symbols >= self.size - 1)
        return np.where(escaped, self.size - 1, symbols), escaped

    def weights(self, rows: Ints64) -> Floats:
        """Counts less one (len(rows), size) of alphabets of one size."""
        size, levels = int(self.size[rows[0]]), self.levels[rows, None]
        k = (self.first[rows, None] + np.arange(size)) << self.shift[rows, None]
        edges = self.width[rows, None] * (k + self.dither[rows, None] - 0.5)
        c = self.steps.cumulative(levels, edges)
        rest = c[:, :1] + ((1 << PRECISION) - c[:, -1:])
        return Counts.rows(np.concatenate([np.diff(c, axis=1), rest], axis=1)) - 1.0

    def rows(self) -> Iterator[Ints64]:
        """Elements whose alphabets are coded at once: by size, then place."""
        for size in np.unique(self.size):
            own = np.flatnonzero(self.size == size)
            yield from (own[i : i + _ROWS] for i in range(0, len(own), _ROWS))

    def low_bits(self, kept: NDArray[np.bool_]) -> Iterator[tuple[Counts, Ints64]]:
        """Uniform alphabets of low bits, and the elements (of those that are kept) with them."""
        for shift in np.unique(self.shift[kept & (self.shift > 0)]):
            yield (
                Counts.from_probabilities(np.ones(1 << shift)),
                np.flatnonzero(kept & (self.shift == shift)),
            )


@dataclass(frozen=True)
class Layered:
    """Elements that crossed in layers."""

    cells: Cells
    k: Ints64  # (n,)

    @property
    def values(self) -> Floats:
        """(n,) the samples."""
        return self.cells.points(self.k)

    def bits(self) -> Floats:
        """(n,) cost of each element."""
        symbols, escaped = self.cells.symbols(self.k)
        cost = np.where(escaped, 0.0, self.cells.shift).astype(np.float64)
        for rows in self.cells.rows():
            counts = np.take_along_axis(self.cells.weights(rows), symbols[rows, None], axis=1)
            cost[rows] += PRECISION - np.log2(counts[:, 0] + 1)
        cost[escaped] += integer_bits(self.k[escaped])
        return cost

    def escaped(self) -> int:
        """Integers beyond their alphabets."""
        return int(self.cells.symbols(self.k)[1].sum())

    def encode(self, encoder: SymbolEncoder) -> None:
        """Symbols, low bits of those that have some, then integers that escaped."""
        symbols, escaped = self.cells.symbols(self.k)
        for rows in self.cells.rows():
            encoder.rows(partial(self.cells.weights, rows), symbols[rows].astype(np.int32))
        for table, own in self.cells.low_bits(~escaped):
            encoder.run(table, (self.k[own] % len(table.counts)).astype(np.int32))
        if escaped.any():
            encoder.integers(self.k[escaped])

    @staticmethod
    def decode(cells: Cells, decoder: SymbolDecoder) -> "Layered":
        """The mirror of :meth:`encode`."""
        symbols = np.zeros(len(cells.levels), np.int64)
        for rows in cells.rows():
            symbols[rows] = decoder.rows(cells.weights(rows))
        escaped = symbols == cells.size - 1
        k = (symbols + cells.first) << cells.shift
        for table, own in cells.low_bits(~escaped):
            k[own] += decoder.run(table, len(own))
        if escaped.any():
            k[escaped] = decoder.integers(int(escaped.sum()))
            if not np.array_equal(cells.symbols(k)[1], escaped):
                raise BitstreamError("corrupt: an integer escaped that its alphabet has")
        return Layered(cells, k)


class LayerCoder(Sampler):
    """Samples by layers of these widths (256,), in spreads.

    Layers are as wide as both sides believe posteriors to be, whatever these are.

    Args:
        belief: of both sides.
        widths: :func:`gaussian_widths` or :func:`uniform_widths`.
        number: of the words that are drawn for elements.
    """

    def __init__(self, belief: Belief, widths: Floats, number: int = 0):
        self._belief, self._widths, self._number = belief, widths, number

    def send(self, levels: Levels, places: Ints64, target: Normals, drawn: Drawn) -> Layered:
        """A sample around the mean of each element's posterior."""
        cells = self._cells(levels, places, drawn)
        return Layered(cells, cells.nearest(target.mean))

    def receive(
        self, levels: Levels, places: Ints64, decoder: SymbolDecoder, drawn: Drawn
    ) -> Layered:
        """The mirror of :meth:`send` and :meth:`Layered.encode`."""
        return Layered.decode(self._cells(levels, places, drawn), decoder)

    def least_bits(self, levels: Levels) -> float:
        """Half of what the likeliest symbols cost, in the mean over some draws of each level."""
        number = np.bincount(levels)
        own = np.flatnonzero(number)
        each, places = own.repeat(_DRAWS), np.tile(np.arange(_DRAWS), len(own))
        cells, cost = self._cells(each, places, Drawn(0, (1, 1, _DRAWS))), np.zeros(len(each))
        for rows in cells.rows():
            cost[rows] = PRECISION - np.log2(cells.weights(rows).max(axis=1) + 1)
        return float(0.5 * number[own] @ cost.reshape(-1, _DRAWS).mean(axis=1))

    def _cells(self, levels: Levels, places: Ints64, drawn: Drawn) -> Cells:
        words = drawn.words(places, np.full(1, self._number))
        spreads = self._belief.posteriors[levels]
        return Cells.of(self._belief.bare, self._widths, spreads, levels, words)


def _bit_length(values: Ints64) -> Ints64:
    return np.frexp(values.astype(np.float64))[1].astype(np.int64)
