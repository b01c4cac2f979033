"""Samples that cross as numbers, in about 16 bits each: what the coders of a budget leave over."""

from dataclasses import dataclass

import numpy as np

from latentopt.bitstream.ans import SymbolDecoder, SymbolEncoder, integer_bits
from latentopt.densities import Floats
from latentopt.latents.sampling.belief import Belief
from latentopt.latents.sampling.cut import Ints64
from latentopt.latents.sampling.staircase import Levels

_FINE = 64.0  # steps in what a posterior's spread is expected to be
_LEAST = 2.0**-8  # so that the largest latent is counted in 30 bits


@dataclass(frozen=True)
class Plain:
    """Numbers on a grid that is fine against posteriors, with steps that are powers of two."""

    step: Floats  # (n,)
    k: Ints64  # (n,)

    @staticmethod
    def nearest(belief: Belief, levels: Levels, values: Floats) -> "Plain":
        """To samples (n,)."""
        step = _steps(belief, levels)
        return Plain(step, np.rint(values / step).astype(np.int64))

    @property
    def values(self) -> Floats:
        """(n,) the samples."""
        return self.step * self.k

    def bits(self) -> Floats:
        """(n,) cost of each."""
        return integer_bits(self.k)

    def encode(self, encoder: SymbolEncoder) -> None:
        """As plain integers."""
        encoder.integers(self.k)

    @staticmethod
    def decode(belief: Belief, levels: Levels, decoder: SymbolDecoder) -> "Plain":
        """The mirror of :meth:`encode`."""
        return Plain(_steps(belief, levels), decoder.integers(len(levels)))


def _steps(belief: Belief, levels: Levels) -> Floats:
    each = 2.0 ** np.floor(np.log2(belief.posteriors / _FINE))
    return np.maximum(each, _LEAST)[levels]
