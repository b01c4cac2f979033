"""The bit that says of one latent whether its entropy parameters were adapted to a context."""

import numpy as np

from latentopt.bitstream.ans import SymbolDecoder, SymbolEncoder
from latentopt.pmf import Counts

_EVEN = Counts.from_probabilities(np.array([0.5, 0.5]))


def encode_switch(encoder: SymbolEncoder, on: bool) -> None:
    """Write the bit."""
    encoder.run(_EVEN, np.array([on], np.int32))


def decode_switch(decoder: SymbolDecoder) -> bool:
    """The mirror of :func:`encode_switch`."""
    return bool(decoder.run(_EVEN, 1)[0])
