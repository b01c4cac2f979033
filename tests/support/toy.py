"""A stand-in for an adapter whose sensitivity is known: one latent, any synthesis."""

from collections.abc import Callable, Sequence
from typing import Any

from numpy.typing import NDArray
from torch import Tensor, nn

from latentopt.densities import Density
from latentopt.latents import AtOnce, Prior, Walk


class Toy:
    """One latent of this density and these entropy parameters, whatever the size asked for."""

    local = False  # it is too small to be cut

    def __init__(self, density: Density, prior: Prior, synthesis: Callable[[Tensor], Tensor]):
        self.densities, self.prior, self.synthesis = (density,), prior, synthesis
        self.model: Any = nn.Linear(1, 1)  # says on which device and in which precision

    def quickly(self) -> "Toy":
        """See :meth:`latentopt.adapters.Adapter.quickly`."""
        return self

    def walk(self, above: Sequence[NDArray], grid: tuple[int, int]) -> Walk:
        """See :meth:`latentopt.adapters.Adapter.walk`."""
        return AtOnce(self.prior)
