"""Scale corrections: by how many levels each channel's scales are off in one image, sent ahead."""

import numpy as np
from numpy.typing import NDArray

from latentopt.bitstream.ans import SymbolDecoder, SymbolEncoder
from latentopt.pmf import Counts

MAX_CORRECTION = 7
"""Largest correction of a channel's scales, in levels; one of each sign, and none, are coded."""

_COUNTS = Counts.from_probabilities(
    0.5 ** (2.0 * np.abs(np.arange(-MAX_CORRECTION, MAX_CORRECTION + 1)) ** 0.5)
)
"""How corrections are coded: none is likely, most channels being nearly empty."""

CORRECTION_BITS = _COUNTS.bits
"""(2 MAX_CORRECTION + 1,) what each correction costs."""


def encode_corrections(encoder: SymbolEncoder, corrections: NDArray[np.int32]) -> None:
    """Write the corrections (M,) of a latent's channels."""
    encoder.run(_COUNTS, corrections + MAX_CORRECTION)


def decode_corrections(decoder: SymbolDecoder, channels: int) -> NDArray[np.int32]:
    """The mirror of :func:`encode_corrections`: (channels,)."""
    return decoder.run(_COUNTS, channels) - MAX_CORRECTION


def correction_bits(corrections: NDArray[np.int32]) -> NDArray[np.float64]:
    """(M,) what each of these corrections (M,) costs."""
    return CORRECTION_BITS[corrections + MAX_CORRECTION]
