"""A dithered latent: points of a lattice moved by a dither that both sides know."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from latentopt.bitstream.ans import SymbolEncoder
from latentopt.densities import Density, Floats
from latentopt.latents.channel import Crossed, Kinds
from latentopt.latents.dither.tables import DitherTables
from latentopt.latents.lattice.latent import lattice_kinds
from latentopt.latents.lattice.placed import Placed
from latentopt.latents.prior import Prior


@dataclass(frozen=True)
class DitheredLatent(Crossed):
    """One latent of one image, in the vectors of its groups, in the order of coding."""

    density: Density
    tables: DitherTables
    prior: Prior
    vectors: Sequence[Placed]
    arrived: Sequence[Floats]
    """(n, v) of each of the vectors: what is taken for its points."""

    @cached_property
    def residual(self) -> NDArray[np.floating]:
        """(n,) what is taken for the dithered points, each element at its own place."""
        flat = np.empty_like(self.prior.centres)
        for vectors, values in zip(self.vectors, self.arrived):
            flat[vectors.part.index] = values
        return flat

    @property
    def kinds(self) -> Kinds:
        """The lattice of each element."""
        return lattice_kinds(len(self.prior.levels), (vectors.part for vectors in self.vectors))

    def escaped(self) -> int:
        """Coordinates that are coded as plain integers."""
        return sum(vectors.escapes(self.tables) for vectors in self.vectors)

    def bits(self) -> Floats:
        """(n,) cost of each element: each vector's cost shared equally by its elements."""
        cost = np.zeros(len(self.prior.levels))
        for vectors in self.vectors:
            cost[vectors.part.index] = vectors.bits(self.tables)[:, None] / vectors.lattice.dim
        return cost

    def string(self) -> bytes:
        """Each group's parts, one after the other."""
        encoder = SymbolEncoder()
        for vectors in self.vectors:
            vectors.encode(self.tables, encoder)
        return encoder.finish()
