"""How elements are cut into blocks, whose candidates' indices cross."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from latentopt.densities import Floats

Ints64 = NDArray[np.int64]

_FINEST = 64.0


@dataclass(frozen=True)
class Cut:
    """Blocks, each of elements that follow each other."""

    starts: Ints64  # (b,) the first element of each
    block: Ints64  # (n,) of each element
    rank: Ints64  # (b,) of information: each is worth sqrt(2) of the one before

    @staticmethod
    def of(information: Floats, size: float, most: float = np.inf) -> "Cut":
        """Of elements (n,) that are expected to have so many bits, multiples of 1/1024.

        Args:
            size: bits of a block; 0: each element is one.
            most: elements of a block, a power of two.
        """
        counted = np.maximum(information, size / most)
        middle = np.cumsum(counted) - counted / 2  # exact
        number = np.floor(middle / size) if size else np.arange(len(information))
        is_first = np.diff(number, prepend=-1.0) != 0
        starts = np.flatnonzero(is_first)
        bits = np.add.reduceat(information, starts)
        rank = np.frexp(np.square(bits * _FINEST))[1].astype(np.int64) - 1
        return Cut(starts, np.cumsum(is_first) - 1, np.maximum(rank, 0))

    @staticmethod
    def of_sizes(sizes: Ints64) -> "Cut":
        """Of so many elements each (b,), all of one rank."""
        starts = np.cumsum(sizes) - sizes
        return Cut(starts, np.repeat(np.arange(len(sizes)), sizes), np.zeros(len(sizes), np.int64))

    @property
    def sizes(self) -> Ints64:
        """(b,) how many elements each block has."""
        return np.diff(self.starts, append=len(self.block))

    def elements(self, blocks: NDArray[np.bool_]) -> Ints64:
        """Those of some blocks."""
        return np.flatnonzero(blocks[self.block])

    def only(self, blocks: NDArray[np.bool_]) -> tuple[Ints64, "Cut"]:
        """The elements of some blocks, and how these are cut."""
        return self.elements(blocks), Cut.of_sizes(self.sizes[blocks])

    def sums(self, values: Floats, blocks: NDArray[np.bool_] | None = None) -> Floats:
        """Of each of some blocks, or all, of values (..., k) that belong to their elements."""
        sizes = self.sizes if blocks is None else self.sizes[blocks]
        summed: Floats = np.add.reduceat(values, np.cumsum(sizes) - sizes, axis=-1)
        return summed

    def by_rank(self) -> Iterator[tuple[int, Ints64]]:
        """The blocks whose indices have one and the same alphabet."""
        for rank in np.flatnonzero(np.bincount(self.rank)):
            yield int(rank), np.flatnonzero(self.rank == rank)
