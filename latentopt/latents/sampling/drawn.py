"""What both sides draw: words of 32 bits for each element of a latent, from a counter."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from latentopt.latents.dither.philox import Words, philox

_SAMPLE = 1  # the second word of the key; a dither's is 0
_PER_BLOCK = 4


@dataclass(frozen=True)
class Drawn:
    """The random words of a latent of that shape."""

    seed: int
    shape: tuple[int, ...]  # (M, h, w)

    def words(self, places: NDArray[np.int64], number: NDArray[np.int64]) -> Words:
        """The word of that number, for elements at ``places``; shapes broadcast."""
        block, lane = np.divmod(number, _PER_BLOCK)
        at, nth = np.broadcast_arrays(places, block)
        all_four = self._blocks(at.ravel(), nth.ravel()).reshape(_PER_BLOCK, *at.shape)
        found = np.take_along_axis(all_four, np.broadcast_to(lane, at.shape)[None], axis=0)
        return np.asarray(found[0])

    def batch(self, places: NDArray[np.int64], start: int) -> Words:
        """Words ``start`` to ``start`` + 3 of elements at ``places`` (n,): (4, n)."""
        return self._blocks(places, np.full(len(places), start // _PER_BLOCK))

    def _blocks(self, places: NDArray[np.int64], number: NDArray[np.int64]) -> Words:
        channels, height, width = self.shape
        size = (np.full(len(places), side, np.uint64) for side in (channels, height << 16 | width))
        counter = places.astype(np.uint64), number.astype(np.uint64), *size
        return philox(counter, (self.seed, _SAMPLE))  # type: ignore[arg-type]
