"""Which lattice codes the dithered points of a level, and their tables."""

from weakref import WeakValueDictionary

import numpy as np

from latentopt.densities import Density
from latentopt.latents.lattice.placed import PlacedTables
from latentopt.lattices import LATTICES, Rule

LEAST_WIDTH = 0.5
"""Narrower levels use `int`, which has no product form to be inaccurate."""


class DitherTables(PlacedTables):
    """The tables of all levels of a density, whatever the seed.

    Args:
        rule: which lattice the vectors of a level use; narrow levels use `int`.
    """

    def __init__(self, density: Density, rule: Rule):
        super().__init__(density)
        self.lattices = [
            rule.lattice(spread) if _width(density, level) >= LEAST_WIDTH else LATTICES["int"]
            for level, spread in enumerate(density.spreads)
        ]
        """Of each level."""

    @staticmethod
    def ruled(density: Density, rule: Rule) -> "DitherTables":
        """Those that some channel of an equal density and rule has, or new ones."""
        key = density.fingerprint, rule.name
        return _SHARED.setdefault(key, _SHARED.get(key) or DitherTables(density, rule))


_SHARED = WeakValueDictionary[tuple[str, str], DitherTables]()


def _width(density: Density, level: int) -> float:
    """Standard deviation of a Gaussian with the same peak: what is sharp at 0 is narrow."""
    return 1 / (np.sqrt(2 * np.pi) * float(density.pdf(level, np.zeros(1))[0]))
