"""Symbols with the frequencies that they have, which are sent ahead of them."""

from dataclasses import dataclass

import numpy as np

from latentopt.bitstream.ans import SymbolDecoder, SymbolEncoder, integer_bits
from latentopt.densities import Floats
from latentopt.errors import BitstreamError
from latentopt.latents.sampling.cut import Ints64
from latentopt.pmf import Counts
from latentopt.pmf.tables import Ints

_SMOOTHING = 0.01  # Laplace's, of each symbol: the thesis's alpha


@dataclass(frozen=True)
class Empirical:
    """An alphabet 0 … n-1, and how often each symbol comes."""

    frequencies: Ints64  # (n,)

    @staticmethod
    def of(symbols: Ints64, size: int) -> "Empirical":
        """Those of symbols (k,)."""
        return Empirical(np.bincount(symbols, minlength=size).astype(np.int64))

    @property
    def counts(self) -> Counts:
        """The alphabet, every symbol of which is possible."""
        return Counts.from_probabilities(self.frequencies + _SMOOTHING)

    @property
    def _length(self) -> int:
        """Up to the last symbol that comes at all."""
        return int(np.max(np.flatnonzero(self.frequencies), initial=-1)) + 1

    def bits_ahead(self) -> float:
        """Cost of the frequencies."""
        sent = self.frequencies[: self._length]
        return float(integer_bits(np.array([self._length])).sum() + integer_bits(sent).sum())

    def encode(self, encoder: SymbolEncoder, symbols: Ints64) -> None:
        """The frequencies of all symbols up to the last that comes, then the symbols."""
        encoder.integers(np.array([self._length]))
        encoder.integers(self.frequencies[: self._length])
        encoder.run(self.counts, symbols.astype(np.int32))

    @staticmethod
    def decode(decoder: SymbolDecoder, n: int, size: int) -> Ints:
        """The mirror of :meth:`encode`, for n symbols of an alphabet of that size.

        Raises:
            BitstreamError: the frequencies are not those of the symbols.
        """
        [length] = decoder.integers(1)
        if not 0 <= length <= size:
            raise BitstreamError(f"corrupt: {length} frequencies of an alphabet of {size}")
        frequencies = np.zeros(size, np.int64)
        frequencies[:length] = decoder.integers(int(length))
        if frequencies.min() < 0 or frequencies.sum() != n:
            raise BitstreamError("corrupt: frequencies that are not those of the symbols")
        symbols = decoder.run(Empirical(frequencies).counts, n)
        if not np.array_equal(np.bincount(symbols, minlength=size), frequencies):
            raise BitstreamError("corrupt: symbols that do not have their frequencies")
        return symbols

    def bits(self, symbols: Ints64) -> Floats:
        """(k,) cost of each symbol, with its share of the frequencies."""
        each: Floats = self.counts.bits[symbols] + self.bits_ahead() / max(len(symbols), 1)
        return each
