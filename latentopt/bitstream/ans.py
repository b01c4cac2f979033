"""A stream of symbols as bytes: constriction's ANS coder, and plain integers for what escapes."""

from collections.abc import Callable, Iterable

import constriction
import numpy as np
from numpy.typing import NDArray

from latentopt.densities import Floats
from latentopt.errors import BitstreamError
from latentopt.pmf.counts import Counts
from latentopt.pmf.tables import Ints, Run

MAX_INTEGER_BITS = 32
_CHUNK_BITS = 16  # a uniform alphabet that the coder represents exactly
_ROWS = constriction.stream.model.Categorical(perfect=False)  # an alphabet for each symbol
_NEVER_SHORTER, _SLACK = 1.01, 64.0
"""What rounding within the coder, and its last state, may save of the bits that symbols cost."""
_BOTTOM = np.array([1], dtype=np.uint32)
"""What lies below all symbols on the stack. Not an empty stack: a decoder of corrupt data runs down
to that one, and would take it for a good end. It costs no bit, as log2(1) = 0."""


class SymbolEncoder:
    """Runs of symbols in, bytes out. ANS is a stack, so it codes the last run first.

    >>> table = Counts.from_probabilities(np.array([0.5, 0.25, 0.25]))
    >>> encoder = SymbolEncoder()
    >>> encoder.run(table, np.array([0, 0, 2, 1], dtype=np.int32))
    >>> encoder.integers(np.array([-70000]))
    >>> data = encoder.finish()
    >>> decoder = SymbolDecoder(data)
    >>> decoder.run(table, 4).tolist(), decoder.integers(1).tolist()
    ([0, 0, 2, 1], [-70000])
    >>> decoder.finish()
    """

    def __init__(self) -> None:
        self._runs: list[tuple[object, Ints, Callable[[], Floats] | None]] = []

    def run(self, counts: Counts, symbols: Ints) -> None:
        """Symbols (n,) of one alphabet; one that has a single symbol says nothing."""
        if len(counts.counts) > 1:
            self._runs.append((counts.model, symbols, None))

    def rows(self, weights: Callable[[], Floats], symbols: Ints) -> None:
        """Symbols (n,), each of an alphabet of its own: ``weights()`` are counts (n, k) less one.

        They are asked for when it is their turn, so that no more are held than these.
        """
        self._runs.append((_ROWS, symbols, weights))

    def runs(self, runs: Iterable[Run]) -> None:
        for counts, symbols in runs:
            self.run(counts, symbols)

    def integers(self, values: NDArray[np.integer]) -> None:
        """Integers (n,) of less than 31 bits, each at about its bit length plus 5 bits."""
        zigzag = _zigzag(values)
        lengths = _bit_length(zigzag)
        self._uniform(lengths, MAX_INTEGER_BITS + 1)
        for length, where in _by_length(lengths):
            for bits, offset in _chunks(length):
                self._uniform((zigzag[where] >> offset) & ((1 << bits) - 1), 1 << bits)

    def _uniform(self, symbols: NDArray[np.int64], size: int) -> None:
        model = constriction.stream.model.Uniform(size)
        self._runs.append((model, symbols.astype(np.int32), None))

    def finish(self) -> bytes:
        coder = constriction.stream.stack.AnsCoder(_BOTTOM)
        for model, symbols, weights in reversed(self._runs):
            if len(symbols):
                own = () if weights is None else (np.ascontiguousarray(weights()),)
                coder.encode_reverse(np.ascontiguousarray(symbols, dtype=np.int32), model, *own)
        # The last word is the head of the stack and never zero; its leading zero bytes say nothing.
        return coder.get_compressed().astype("<u4").tobytes().rstrip(b"\0")


class SymbolDecoder:
    """The mirror image of :class:`SymbolEncoder`: the same calls in the same order."""

    def __init__(self, data: bytes):
        if data.endswith(b"\0"):
            raise BitstreamError("the data ends in a zero byte, which no encoder writes")
        self._bits, self._least = 8 * len(data), 0.0
        words = np.frombuffer(data + b"\0" * (-len(data) % 4), dtype="<u4").astype(np.uint32)
        self._coder = constriction.stream.stack.AnsCoder(words)

    def expect(self, bits: float) -> None:
        """Say what the next symbols cost at least, before memory is taken for them.

        Raises:
            BitstreamError: the data cannot hold as much, and what was expected before.
        """
        self.check(bits)
        self._least += bits

    def check(self, bits: float) -> None:
        """Raises BitstreamError unless there is room for so much, besides what is expected."""
        if self._least + bits > self._bits * _NEVER_SHORTER + _SLACK:
            raise BitstreamError(
                f"corrupt: {self._bits // 8} bytes are too few for a latent of this size"
            )

    def run(self, counts: Counts, n: int) -> Ints:
        if len(counts.counts) == 1:
            return np.zeros(n, dtype=np.int32)
        return self._decode(counts.model, n)

    def rows(self, weights: Floats) -> Ints:
        """Symbols (n,) of the alphabets ``weights`` (n, k), see :meth:`SymbolEncoder.rows`."""
        if not len(weights):
            return np.zeros(0, dtype=np.int32)
        rows = np.ascontiguousarray(weights)  # as the coder takes for granted
        return self._coder.decode(_ROWS, rows)

    def integers(self, n: int) -> NDArray[np.int64]:
        lengths = self._uniform(n, MAX_INTEGER_BITS + 1)
        zigzag = np.zeros(n, dtype=np.int64)
        for length, where in _by_length(lengths):
            for bits, offset in _chunks(length):
                zigzag[where] |= self._uniform(int(where.sum()), 1 << bits) << offset
        if not np.array_equal(_bit_length(zigzag), lengths):
            raise BitstreamError("corrupt: an escaped integer is not in its shortest form")
        return np.where(zigzag & 1, -((zigzag + 1) >> 1), zigzag >> 1)

    def _uniform(self, n: int, size: int) -> NDArray[np.int64]:
        return self._decode(constriction.stream.model.Uniform(size), n).astype(np.int64)

    def _decode(self, model: object, n: int) -> Ints:
        return self._coder.decode(model, n) if n else np.zeros(0, dtype=np.int32)

    def finish(self) -> None:
        """Check that nothing is left but what the encoder started from.

        Raises:
            BitstreamError: the data is corrupt, or the tables are not those it was written with.
        """
        if not np.array_equal(self._coder.get_compressed(), _BOTTOM):
            raise BitstreamError(
                "the entropy-coded data does not end where the symbols do: it is corrupt, "
                "or was written by a codec with other weights, lattice or device settings"
            )


def integer_bits(values: NDArray[np.integer]) -> NDArray[np.float64]:
    """(n,) bits that :meth:`SymbolEncoder.integers` spends on each value."""
    return np.log2(MAX_INTEGER_BITS + 1) + _bit_length(_zigzag(values))


def _zigzag(values: NDArray[np.integer]) -> NDArray[np.int64]:
    wide = values.astype(np.int64)
    return np.where(wide < 0, -2 * wide - 1, 2 * wide)


def _bit_length(values: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.frexp(values.astype(np.float64))[1].astype(np.int64)  # exact below 2^53


def _by_length(lengths: NDArray[np.int64]) -> Iterable[tuple[int, NDArray[np.bool_]]]:
    for length in np.unique(lengths[lengths > 0]):
        yield int(length), lengths == length


def _chunks(length: int) -> Iterable[tuple[int, int]]:
    """(bits, offset) of the pieces in which an integer of that bit length is written."""
    for offset in range(0, length, _CHUNK_BITS):
        yield min(_CHUNK_BITS, length - offset), offset
