"""Integer counts that an entropy coder uses exactly as they stand."""

from dataclasses import dataclass
from functools import cached_property

import constriction
import numpy as np
from numpy.typing import NDArray

from latentopt.densities import Floats

PRECISION = 24
TOTAL = 1 << PRECISION
"""Sum of the counts of every alphabet (the precision of constriction's coders)."""


@dataclass(frozen=True, eq=False)
class Counts:
    """An alphabet 0 … n-1 with its probabilities as integers that sum to ``TOTAL``.

    Integers, because both sides of a bitstream must hold bit-identical tables: a hash of integers
    says whether they do, and a last-bit difference between two ``erf`` does not reach them.
    """

    counts: NDArray[np.int32]  # (n,), each at least 1

    @staticmethod
    def from_probabilities(p: Floats, lift: float = 1.0) -> "Counts":
        """Round to counts: one each, the rest in proportion, what is left to the largest.

        ``lift`` multiplies what is rounded down, see :attr:`latentopt.densities.Density.lift`.
        """
        spare = TOTAL - len(p)
        counts = 1 + np.floor(p * (spare / p.sum()) * lift).astype(np.int64)
        counts[np.argmax(counts)] += TOTAL - counts.sum()
        return Counts(counts.astype(np.int32))

    @staticmethod
    def rows(p: Floats, lift: float = 1.0) -> Floats:
        """Counts (n, k) of n alphabets (n, k) at once, as :meth:`from_probabilities` has them.

        Sums go from the first to the last: equal ``p`` give equal counts on every machine.
        """
        spare = TOTAL - p.shape[1]
        share = spare / in_order(p.T)[:, None]
        counts: Floats = 1 + np.floor(p * share * lift)
        left = TOTAL - counts.sum(axis=1)  # of integers: exact in any order
        counts[np.arange(len(p)), counts.argmax(axis=1)] += left
        return counts

    @cached_property
    def bits(self) -> Floats:
        """(n,) cost of each symbol."""
        return np.asarray(PRECISION - np.log2(self.counts), dtype=np.float64)

    @cached_property
    def model(self) -> object:
        """The constriction model with exactly these counts.

        constriction gives every symbol one count, then shares out the rest in proportion to the
        weights. Weights ``counts - 1`` sum to that rest, so its scale is exactly 1: no rounding
        is left that another platform could do otherwise.
        """
        return constriction.stream.model.Categorical(
            (self.counts - 1).astype(np.float64), perfect=False
        )

    def __getstate__(self) -> dict[str, object]:
        return {"counts": self.counts}  # the constriction model is rebuilt where it is needed


def in_order(terms: Floats) -> Floats:
    """Sums over the first axis, from its first to its last: the same on every machine."""
    if terms.ndim < 2 or len(terms) > terms[0].size:
        return np.cumsum(terms, axis=0)[-1]
    total = terms[0].copy()
    for term in terms[1:]:
        total += term
    return total
