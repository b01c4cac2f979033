"""Families whose main latent has a scale and a mean for each element, given a side latent."""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, cast

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from latentopt.adapters.base import Adapter
from latentopt.densities import FactorizedDensity, ScaleDensity
from latentopt.latents import Carry, OfChannels, Prior, Walk


class Leaf(Protocol):
    """Takes one group of elements across, like a :class:`Carry`, but given scales."""

    def __call__(
        self,
        index: NDArray[np.int64],
        scales: NDArray,
        means: NDArray,
        steps: NDArray | None = None,
        /,
    ) -> NDArray[np.floating]:
        """Places, scales, means and quantization steps, (k,) each, to the decoded values (k,).

        Scales are those of the residual, (value - mean) / step; means are in latent units.
        """


Describe = Callable[[Tensor], tuple[Tensor, Tensor]]
"""From a decoded side latent (1, N, h/4, w/4) to scales and means (1, M, h, w)."""


@dataclass(frozen=True)
class Parameters:
    """What the hyper-synthesis says of each element of the main latent; as for a :class:`Leaf`."""

    scales: NDArray[np.floating]  # (M, h, w) or (n,)
    means: NDArray[np.floating]  # likewise
    steps: NDArray[np.floating] | None = None  # likewise, where the codec has steps


class SideAdapter(Adapter):
    """A family whose main latent is conditioned on a side latent.

    The side latent itself has a factorized prior.

        side ─► features ─► visit ─► scales, means ─► levels ─► a group crosses ─┐
                              ▲                                                  │
                              └────────────── decoded elements ◄─────────────────┘
    """

    @abstractmethod
    def make_densities(self) -> tuple[ScaleDensity, FactorizedDensity]:
        """Of main and side latent."""

    @property
    def main_density(self) -> ScaleDensity:
        """Of the main latent."""
        return cast(ScaleDensity, self.densities[0])

    @property
    def side_density(self) -> FactorizedDensity:
        """Of the side latent."""
        return cast(FactorizedDensity, self.densities[1])

    # -- encoder -----------------------------------------------------------------------------------

    @abstractmethod
    def hyper_analysis(self, y: Tensor) -> Tensor:
        """Side latent (B, N, h/4, w/4) of a main latent."""

    def deeper(self, y: Tensor) -> list[Tensor]:
        """The side latent."""
        return [self.hyper_analysis(y)]

    @abstractmethod
    def estimate(self, features: NDArray, y: NDArray) -> Parameters:
        """Entropy parameters of the main latent ``y`` (n,), for estimates of its rate.

        Where they depend on what was decoded before, ``y`` itself stands for it.
        """

    def draft_features(self, side: NDArray, shape: tuple[int, ...]) -> NDArray:
        """:meth:`features` in the model's own precision, for estimates."""
        return self.features(side, shape)

    def describing(self, y: Tensor) -> Describe | None:
        """What a side latent says of the main latent ``y`` (1, M, h, w), for searches.

        Differentiable and in the model's own precision; what was decoded before an element is
        taken from ``y``. None: the family cannot say it, and its side latents are not searched.
        """
        return None

    # -- both sides --------------------------------------------------------------------------------

    @abstractmethod
    def features(self, side: NDArray, shape: tuple[int, ...]) -> NDArray:
        """Hyper-synthesis (C, h, w) of one image's decoded side latent (n,) of shape (N, h, w)."""

    @abstractmethod
    def main_shape(self, features: NDArray) -> tuple[int, ...]:
        """Shape (M, h, w) of the main latent that these features describe."""

    @abstractmethod
    def visit(self, features: NDArray, leaf: Leaf) -> None:
        """Call ``leaf`` for each group of the main latent's elements, in the order of coding."""

    def levels(self, scales: NDArray) -> NDArray[np.int16]:
        """Level of each scale: the first table entry that is not below it, as in CompressAI."""
        wide = scales.astype(np.float64, copy=False)
        return np.searchsorted(self.main_density.scales[:-1], wide).astype(np.int16)

    def walk(self, above: Sequence[NDArray], grid: tuple[int, int]) -> Walk:
        """See :meth:`Adapter.walk`: of the side latent, then of the main one."""
        if not above:
            return OfChannels(self.side_density, grid)
        return Conditioned(self, self.features(above[0], self._side_shape(grid)))

    def draft(self, above: Sequence[NDArray], grid: tuple[int, int]) -> Walk:
        """See :meth:`Adapter.draft`."""
        if not above:
            return self.walk(above, grid)
        return Conditioned(self, self.draft_features(above[0], self._side_shape(grid)))

    def _side_shape(self, grid: tuple[int, int]) -> tuple[int, ...]:
        return (self.side_density.levels, *grid)


class Conditioned:
    """The walk of a main latent, given what the hyper-synthesis says of it."""

    def __init__(self, adapter: SideAdapter, features: NDArray):
        self._adapter, self._features = adapter, features

    @property
    def features(self) -> NDArray:
        """What the hyper-synthesis says (C, h, w)."""
        return self._features

    @property
    def shape(self) -> tuple[int, ...]:
        """See :class:`Walk`."""
        return self._adapter.main_shape(self._features)

    def go(self, carry: Carry) -> None:
        """See :class:`Walk`."""

        def leaf(
            index: NDArray[np.int64],
            scales: NDArray,
            means: NDArray,
            steps: NDArray | None = None,
            /,
        ) -> NDArray[np.floating]:
            return carry(index, self._adapter.levels(scales), means, steps)

        self._adapter.visit(self._features, leaf)

    def parameters(self, y: NDArray[np.floating]) -> Parameters:
        """Like :meth:`estimate`, but scales instead of levels."""
        return self._adapter.estimate(self._features, y)

    def estimate(self, y: NDArray[np.floating]) -> Prior:
        """See :class:`Walk`."""
        found = self.parameters(y)
        levels = self._adapter.levels(found.scales.ravel())
        steps = None if found.steps is None else found.steps.ravel()
        return Prior(self.shape, levels, found.means.ravel(), steps)


class Recorder:
    """A :class:`Leaf` that notes the entropy parameters it is given.

    What stands for the decoded latent is ``y`` (n,).
    """

    def __init__(self, y: NDArray[np.floating]):
        self._y, self._found = y, np.ones((3, len(y)))
        self._has_steps = False

    def __call__(
        self,
        index: NDArray[np.int64],
        scales: NDArray,
        means: NDArray,
        steps: NDArray | None = None,
        /,
    ) -> NDArray[np.floating]:
        self._found[:2, index] = scales, means
        if steps is not None:
            self._found[2, index], self._has_steps = steps, True
        return self._y[index]

    @property
    def parameters(self) -> Parameters:
        """What was noted, (n,) each."""
        scales, means, steps = self._found
        return Parameters(scales, means, steps if self._has_steps else None)
