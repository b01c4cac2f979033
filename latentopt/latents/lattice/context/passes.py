"""In which order the elements of a latent cross where they see each other.

The channels, the loudest first, are cut into bands, and each band crosses in two passes: the black
squares of a chessboard, then the white ones, which have a black one on every side.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from latentopt.pmf.tables import Mask

BOUNDS = (4, 10, 20, 40, 80)
"""How many channels come before each band but the first."""

QUIET = 0.03
"""Mean magnitude below which a channel carries next to nothing, and is left as it is."""


@dataclass(frozen=True)
class Pass:
    """Elements that cross at once: some channels, at some places."""

    channels: NDArray[np.int64]  # (c,)
    places: Mask  # (h, w)
    half: int | None
    """0: the first of a band, 1: the second; None: of the quiet channels, which come first."""

    @cached_property
    def flat(self) -> NDArray[np.int64]:
        """(n,) the places in a flattened plane."""
        return np.flatnonzero(self.places)

    @cached_property
    def index(self) -> NDArray[np.int64]:
        """(c * n,) in the flattened latent."""
        return (self.channels[:, None] * self.places.size + self.flat).ravel()


def schedule(loudness: NDArray[np.int64], quiet: int, grid: tuple[int, int]) -> Iterator[Pass]:
    """All passes of a latent (M, h, w), given its channels' loudness (M,) and what is quiet."""
    ranked = np.argsort(-loudness, kind="stable")
    count = int((loudness > quiet).sum())
    if count < len(ranked):
        yield Pass(ranked[count:], np.ones(grid, bool), None)
    black = np.add.outer(np.arange(grid[0]), np.arange(grid[1])) % 2 == 1
    for band in np.split(ranked[:count], BOUNDS):
        for half, places in enumerate((black, ~black)):
            if len(band) and places.any():
                yield Pass(band, places, half)
