"""The dither: a place on each axis for each element, from a counter-based generator.

Philox4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3") in integer
arithmetic: any element's number follows from seed and position alone, on any machine, in any order.
docs/reference/format.md has it to the last bit.
"""

import numpy as np
from numpy.typing import NDArray

_ROUNDS = 10
_FACTORS = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_BUMPS = 0x9E3779B9, 0xBB67AE85
_WORD, _LOW = np.uint64(32), np.uint64(0xFFFFFFFF)
_MASK = 0xFFFFFFFF

Words = NDArray[np.uint64]


def philox(counter: tuple[Words, Words, Words, Words], key: tuple[int, int]) -> Words:
    """Four words of 32 bits (4, n) for each of n counters, whose four words are such, too."""
    a, b, c, d = counter
    for _ in range(_ROUNDS):
        first, second = _FACTORS[0] * a, _FACTORS[1] * c
        a, b = (second >> _WORD) ^ b ^ np.uint64(key[0]), second & _LOW
        c, d = (first >> _WORD) ^ d ^ np.uint64(key[1]), first & _LOW
        key = (key[0] + _BUMPS[0]) & _MASK, (key[1] + _BUMPS[1]) & _MASK
    return np.stack([a, b, c, d])


def places(seed: int, shape: tuple[int, ...], stream: int = 0) -> NDArray[np.uint8]:
    """The places (n,), 0 to 63, of the elements of a latent (M, h, w); a seed has many streams."""
    n = int(np.prod(shape))
    blocks = np.arange(-(-n // 16), dtype=np.uint64)
    of_shape = (np.full_like(blocks, side) for side in shape)
    words = philox((blocks, *of_shape), (seed, stream))  # type: ignore[arg-type]
    return (words.T.astype("<u4").ravel().view(np.uint8)[:n] >> 2).astype(np.uint8)
