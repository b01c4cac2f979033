"""What is known of a latent before any of it is decoded, where a codec has a context model."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from latentopt.densities import Density
from latentopt.latents.prior import Prior
from latentopt.latents.walk import Walk, shown_along


@dataclass(frozen=True)
class Ahead:
    """The groups of a walk, and entropy parameters as if all elements before were zero.

    Both sides have them, from the side latent alone.
    """

    groups: Sequence[NDArray[np.int64]]
    prior: Prior

    @staticmethod
    def of(walk: Walk) -> "Ahead":
        """Go along a walk once."""
        groups = list[NDArray[np.int64]]()

        def nothing(index: NDArray[np.int64], prior: Prior) -> NDArray[np.floating]:
            groups.append(index)
            return np.zeros_like(prior.centres)

        prior = shown_along(walk, nothing)
        return Ahead(groups, prior)

    def levels(self, density: Density, corrections: NDArray[np.int32] | None) -> NDArray[np.int64]:
        """(n,) those of the elements, with the scales of channels corrected."""
        prior = self.prior
        if corrections is not None:
            prior = prior.corrected(density, corrections)
        return prior.levels.astype(np.int64)
