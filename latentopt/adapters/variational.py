"""Codecs that send samples: the VAE, and the ladder of two levels.

    level 2   N(0, 1) ─► z2 ─► h_s ─► prior's mean, spread         both sides
    level 1   N(mean, spread) ─► z1 ─► g_s ─► image

A residual is in units in which the prior's spread is one of the density's scales: that which is
nearest to its ratio to what the encoder commonly leaves open.
"""

import copy
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from latentopt.adapters.base import Adapter, Networks, Places, as_numpy, cpu_copy, derived
from latentopt.adapters.tiles import Tiled
from latentopt.adapters.variational_net import Normal, Pln, Vae
from latentopt.densities import BelievedDensity, Density
from latentopt.latents import AtOnce, Gaussian, Prior


def _both(model: nn.Module, x: Tensor) -> Tensor:
    """Mean and logarithm of the spread, in two halves of the channels."""
    out: Tensor = model.get_submodule("g_a")(x)
    return out


class VariationalAdapter(Adapter):
    """:class:`Vae` and its subclasses."""

    @property
    def places(self) -> Places | None:
        """They have no coder of their own."""
        return None

    def make_densities(self) -> tuple[Density, ...]:
        """See :meth:`Adapter.make_densities`: one for all levels."""
        return (BelievedDensity(),) * self.model.levels

    def decoder_parts(self) -> list[nn.Module]:
        """See :meth:`Adapter.decoder_parts`."""
        names = ["unit", "unit2", "h_s"] if self._is_ladder else ["unit"]
        return [Networks(self.model, names), *self.synthesis_parts]

    @property
    def _is_ladder(self) -> bool:
        return isinstance(self.model, Pln)

    # -- encoder -----------------------------------------------------------------------------------

    def analysis(self, x: Tensor) -> Tensor:
        """Means of level 1, for images (B, 3, H, W)."""
        if self._analysis:
            return self._analysis(self.model, x)
        return _both(self.model, x).chunk(2, 1)[0]

    def deeper(self, y: Tensor) -> list[Tensor]:
        """Means of level 2, for those of level 1."""
        return [Normal.of(self.model.h_a(y)).mean] if self._is_ladder else []

    @torch.no_grad()
    def encoded(self, x: Tensor) -> list[Normal]:
        """What the encoder says of each level (B, C, h, w), level 1 first, without their priors."""
        view = copy.copy(self)  # whose analysis, which is cut into tiles, gives spreads, too
        view._analysis = _both
        first = Normal.of(Tiled(view).analysis(x))
        return [first, Normal.of(self.model.h_a(first.mean))] if self._is_ladder else [first]

    def posterior(self, depth: int, found: Normal, prior: Prior) -> Gaussian:
        """Of a level of one image (1, C, h, w), what shall arrive a sample of."""
        mean, spread = (v.cpu().double().ravel() for v in (found.mean, found.spread))
        own = Normal(mean, spread)
        if depth == 0 and self._is_ladder:
            believed = prior.centres, prior.scaled(self.densities[0].spreads[prior.levels])
            own = own.combined(Normal(*map(torch.from_numpy, believed)), self.model.power)
        return Gaussian(own.mean.numpy(), own.spread.numpy())

    # -- both sides --------------------------------------------------------------------------------

    def walk(self, above: Sequence[NDArray], grid: tuple[int, int]) -> AtOnce:
        """See :meth:`Adapter.walk`: of the deepest level, then of level 1."""
        if self._is_ladder and above:
            return self._first(above[0], grid)
        unit = self.model.unit2 if self._is_ladder else self.model.unit
        shape = (len(unit.spread), *grid)
        return AtOnce(self._prior(np.zeros(shape), np.ones(shape), as_numpy(unit.spread)))

    def _first(self, above: NDArray, grid: tuple[int, int]) -> AtOnce:
        second = torch.from_numpy(above.reshape(1, -1, *grid)).to(self.dtype)
        mean, spread = self._expects(second)
        return AtOnce(self._prior(mean, spread, as_numpy(self.model.unit.spread)))

    @torch.no_grad()
    def _expects(self, second: Tensor) -> tuple[NDArray, NDArray]:
        """Mean and spread (F, h, w) of level 1 given level 2 (1, G, h/4, w/4)."""
        run = self._exact_synthesis if self.portable else self.model.h_s
        found = Normal.of(Tiled(self).features(run, second))
        return as_numpy(found.mean[0]), as_numpy(found.spread[0])

    @derived
    def _exact_synthesis(self) -> nn.Module:
        """What level 2 says of level 1, in float64 on the CPU."""
        return cpu_copy(self.model.h_s)

    def _prior(self, mean: NDArray, spread: NDArray, unit: NDArray) -> Prior:
        """Of a level (C, h, w), of whose channels encoders commonly leave open ``unit`` (C,)."""
        scales = self.densities[0].spreads
        ratio = spread.astype(np.float64) / unit.astype(np.float64)[:, None, None]
        levels = np.searchsorted(scales[:-1], ratio.ravel()).astype(np.int16)
        steps = spread.ravel() / scales[levels]
        return Prior(mean.shape, levels, mean.ravel(), steps)


def is_variational(model: nn.Module) -> bool:
    """Whether a model is of this family."""
    return isinstance(model, Vae)
