"""Main latents that are coded in a few passes, each all over the image: DCVC's spatial priors.

    side latent, … ─► features: steps, scales, means of the first pass
                                           │
    points of the first pass ◄─────────────┤
               │                           │
        spatial prior ◄────────────────────┘
               │
    scales, means of the next pass ─► its points ─► …

The latent's channels are cut into parts and its positions into as many phases (DCVC-TCM: one;
DCVC-HEM: two, of a checkerboard; DCVC-DC: four, of 2 x 2 blocks). A pass codes one phase of each
part, each another one, so that later passes see neighbours at all positions. Each element has a
quantization step.
"""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from latentopt.adapters.base import as_numpy
from latentopt.adapters.side import Leaf, Parameters, Recorder, SideAdapter

_STRIDE = 64  # pixels per element of the side latent

LEAST_STEP = 0.5
"""DCVC's bound on the steps of quantization."""


class InPasses(SideAdapter):
    """A family whose features are steps, scales and means of the first pass, (3 M, h, w)."""

    contextual = True
    passes: int
    """Of coding, parts of the channels, and phases of the positions."""
    spatial_prior: str = "y_spatial_prior"
    """Name of the network that passes after the first have."""

    @property
    def stride(self) -> int:
        return _STRIDE

    @property
    def places(self) -> None:
        """Its own coder is another than CompressAI's."""

    @property
    def _shared(self) -> Any:
        """The networks that encoder and decoder must agree on: all, unless it is known which."""
        return self.exact_model if self.portable else self.model

    @abstractmethod
    def _phase(self, row: NDArray[np.int64], column: NDArray[np.int64]) -> NDArray[np.int64]:
        """Phase of each position, 0 … passes-1."""

    @abstractmethod
    def _see(self, networks: Any, k: int, decoded: Tensor, given: Tensor) -> Sequence[Tensor]:
        """Scales and means (1, M, h, w) of pass ``k``, from what is decoded, zero elsewhere."""

    @abstractmethod
    def _given(self, networks: Any, z_hat: Tensor) -> Tensor:
        """Features (1, 3 M, h, w) of a decoded side latent (1, N, h/4, w/4)."""

    def levels(self, scales: NDArray) -> NDArray[np.int16]:
        """Level of each scale: the nearest in ratio."""
        table = self.main_density.scales
        bounds = np.sqrt(table[:-1] * table[1:])
        return np.searchsorted(bounds, scales.astype(np.float64)).astype(np.int16)

    def features(self, side: NDArray, shape: tuple[int, ...]) -> NDArray:
        return self._run(self._shared, side, shape)

    def draft_features(self, side: NDArray, shape: tuple[int, ...]) -> NDArray:
        return self._run(self.model, side, shape)

    def _run(self, networks: Any, side: NDArray, shape: tuple[int, ...]) -> NDArray:
        z_hat = torch.from_numpy(side).reshape(1, *shape).to(next(networks.parameters()))
        return as_numpy(self._given(networks, z_hat)[0])

    def main_shape(self, features: NDArray) -> tuple[int, ...]:
        return tuple(self._first(torch.from_numpy(features)[None])[-1].shape[1:])

    def _first(self, given: Tensor) -> Sequence[Tensor]:
        """Steps, scales and means (1, M, h, w) of the first pass, from features."""
        steps, scales, means = given.chunk(3, dim=1)
        return steps.clamp(min=LEAST_STEP), scales, means

    def visit(self, features: NDArray, leaf: Leaf) -> None:
        self._visit(self._shared, torch.from_numpy(features)[None], leaf)

    def estimate(self, features: NDArray, y: NDArray) -> Parameters:
        recorder = Recorder(y)
        given = torch.from_numpy(features)[None].to(next(self.model.parameters()))
        self._visit(self.model, given, recorder)
        return recorder.parameters

    def _visit(self, networks: Any, given: Tensor, leaf: Leaf) -> None:
        """The passes, given (1, 3 M, h, w) features of the side latent."""
        steps, scales, means = self._first(given)
        pass_of = self._pass_of(means.shape[1:])
        decoded = means.new_zeros(means.shape)  # in units of the steps
        for k in range(self.passes):
            if k:
                scales, means = self._see(networks, k, decoded, given)
            places = np.flatnonzero(pass_of == k)
            index = torch.from_numpy(places).to(given.device)
            own = [t.flatten()[index] for t in (scales, means * steps, steps)]
            hat = leaf(places, *(as_numpy(t) for t in own))
            decoded.view(-1)[index] = torch.from_numpy(hat).to(decoded) / own[2]

    def _pass_of(self, shape: Sequence[int]) -> NDArray[np.int64]:
        """(M h w,) which pass codes each element."""
        channel, row, column = np.indices(tuple(shape))
        part = channel * self.passes // shape[0]
        return (-(part ^ self._phase(row, column)) % self.passes).ravel()


class InOnePass(InPasses):
    """DCVC-TCM's: features are scales and means alone, and all steps are one."""

    contextual = False
    passes = 1

    def _first(self, given: Tensor) -> Sequence[Tensor]:
        scales, means = given.chunk(2, dim=1)
        return torch.ones_like(means), scales, means

    def _phase(self, row: NDArray[np.int64], column: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.zeros_like(row)

    def _see(self, networks: Any, k: int, decoded: Tensor, given: Tensor) -> Sequence[Tensor]:
        return given.chunk(2, dim=1)  # whatever is decoded


class InTwoPasses(InPasses):
    """DCVC-HEM's: halves of the channels, phases of a checkerboard."""

    passes = 2

    def _phase(self, row: NDArray[np.int64], column: NDArray[np.int64]) -> NDArray[np.int64]:
        return (row + column) % 2

    def _see(self, networks: Any, k: int, decoded: Tensor, given: Tensor) -> Sequence[Tensor]:
        steps, scales, means = given.chunk(3, dim=1)
        seen = [decoded, means, scales, steps.clamp(min=LEAST_STEP)]
        output = getattr(networks, self.spatial_prior)(torch.cat(seen, dim=1))
        parts = output.chunk(4, dim=1)  # scales and means of each half of the channels
        return torch.cat(parts[0::2], dim=1), torch.cat(parts[1::2], dim=1)


class InFourPasses(InPasses):
    """DCVC-DC's: quarters of the channels, phases of 2 x 2 blocks; each later pass has an adaptor.

    Their names are the spatial prior's and ``_adaptor_1`` to ``_3``.
    """

    passes = 4

    def _phase(self, row: NDArray[np.int64], column: NDArray[np.int64]) -> NDArray[np.int64]:
        return 2 * (row % 2) + column % 2

    def _see(self, networks: Any, k: int, decoded: Tensor, given: Tensor) -> Sequence[Tensor]:
        adaptor = getattr(networks, f"{self.spatial_prior}_adaptor_{k}")
        spatial_prior = getattr(networks, self.spatial_prior)
        return spatial_prior(adaptor(torch.cat([decoded, given], dim=1))).chunk(2, dim=1)


def adaptor_names(spatial_prior: str) -> tuple[str, ...]:
    """Names of the adaptors of :class:`InFourPasses`."""
    return tuple(f"{spatial_prior}_adaptor_{k}" for k in range(1, InFourPasses.passes))
