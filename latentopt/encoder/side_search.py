"""The side latent by rate: annealed to where it, and the main latent given it, cost least.

    z ─► hyper-synthesis ─► scales, means ─► bits(y)        cost = bits(z) + bits(y)
    ▲                                           │
    └──── pull: the gradient over 2 w ◄─────────┘

This is the mean-field annealing of :mod:`latentopt.encoder.refine`, with the bits of the main
latent for an image's error. How curved they are is measured where the side latent is, as a mean
over each channel.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from latentopt.adapters import Adapter, Conditioned, Describe, SideAdapter
from latentopt.densities import RARE, GaussianDensity
from latentopt.encoder.annealer import Aim
from latentopt.encoder.draft import low_precision
from latentopt.encoder.effort import Effort, Schedule
from latentopt.encoder.prices import Prices, RowPrices, integer_rows
from latentopt.encoder.refine import Field, refine, within_reach
from latentopt.encoder.sensitivity import gradients
from latentopt.latents import AdaptiveChannel, Channel, Prior
from latentopt.latents.lattice import LatticeChannel, pack
from latentopt.lattices import LATTICES

_INT = LATTICES["int"]
_PROBE = 0.5  # units of z, to either side, between which the curvature is measured
_PROBES = 2
_LEAST_WEIGHT = 0.05  # bits per squared unit
_FURTHEST = 1 << 10
_ALIKE = 0.03  # relative and absolute: half precision has as much
_BEYOND = 2  # integers beyond those of a latent that have a price of their own
_TRUST = 4  # elements that a prior which adapts is taken to be worth


@dataclass(frozen=True)
class MainBits:
    """What a main latent ``y`` (1, M, h, w) costs, given a side latent of ``shape`` (N, h, w)."""

    describe: Describe
    y: Tensor
    shape: tuple[int, ...]
    narrowest: float
    """The least scale that the codec knows."""

    def __call__(self, side: Tensor) -> Tensor:
        """In bits, rounded to integers around its means; ``side`` (n,)."""
        with low_precision(side.device):
            scales, means = self.describe(side.reshape(1, *self.shape).to(self.y))
        scales = scales.float().clamp(min=self.narrowest)
        distance = (self.y.float() - means.float()).abs()
        ends = [torch.special.ndtr((end - distance) / scales) for end in (0.5, -0.5)]
        return -torch.log2(ends[0] - ends[1] + RARE).sum()

    def gradient(self, side: Tensor) -> Tensor:
        """(n,) by the side latent (n,)."""
        with gradients():
            leaf = side.clone().requires_grad_(True)
            [gradient] = torch.autograd.grad(self(leaf), leaf)
        return gradient

    def weight(self, side: Tensor) -> Tensor:
        """(n,) bits that a squared unit of error in ``side`` (n,) costs; two gradients a probe."""
        rng, curvature = np.random.default_rng(0), torch.zeros_like(side)
        for _ in range(_PROBES):
            v = torch.from_numpy(rng.choice([-1.0, 1.0], len(side))).to(side)
            ends = [self.gradient(side + step * v) for step in (_PROBE, -_PROBE)]
            curvature += v * (ends[0] - ends[1]) / (2 * _PROBE * _PROBES)
        channels = curvature.reshape(self.shape[0], -1).mean(dim=1) / 2
        least = channels.nan_to_num(0.0).clamp(min=_LEAST_WEIGHT)
        return least.repeat_interleave(len(side) // self.shape[0])


@dataclass(frozen=True)
class SideObjective:
    """What is minimized besides the side latent's own bits: those of the main one."""

    bits: MainBits
    weight: Tensor  # (n,) bits that a squared unit of error is taken to cost

    def pull(self, side: Tensor, shape: tuple[int, ...], /) -> Tensor:
        """See :class:`latentopt.encoder.refine.Pulling`."""
        return within_reach(-self.bits.gradient(side) / (2 * self.weight))


class SideSearch:
    """Chooses where the points of a codec's side latents should be."""

    def __init__(
        self, adapter: SideAdapter, channel: LatticeChannel | AdaptiveChannel, schedule: Schedule
    ):
        self._adapter, self._channel, self._schedule = adapter, channel, schedule

    def choose(self, aim: Aim, z: NDArray[np.float32]) -> NDArray[np.float32]:
        """The target (N, h, w) for the side latent ``z`` of an image's main latent.

        It is ``z`` itself where nothing cheaper is found.
        """
        y = torch.from_numpy(aim.y)[None].to(next(self._adapter.model.parameters()))
        describe = self._adapter.describing(y)
        assert describe, "see side_search()"
        narrowest = float(self._adapter.main_density.scales[0])
        bits = MainBits(describe, y, z.shape, narrowest)
        prior = Prior.of_channels(self._adapter.side_density, z.shape)
        prices = self._prices(prior, z)
        found = self._annealed(bits, prior, prices, z)
        return min(z, found, key=lambda target: _cost(bits, prior, prices, target))

    def _annealed(
        self, bits: MainBits, prior: Prior, prices: Prices, z: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        start = torch.from_numpy(z.ravel()).to(bits.y.device)
        weight = self._schedule.caution * bits.weight(start)
        # Channels that hardly ever move are few elements, too: none is left out.
        wide, parts = np.full(len(z), np.inf), pack(prior.levels, [_INT] * len(z))
        field = Field(wide, prices, parts, prior, start, weight)
        objective = SideObjective(bits, weight)
        mean = refine(objective, start, z.shape, lambda *_: field, self._schedule)
        return mean.cpu().numpy().reshape(z.shape)

    def _prices(self, prior: Prior, z: NDArray[np.float32]) -> Prices:
        """What integers around the medians cost, where ``z`` (N, h, w) is about the latent."""
        m = np.rint(prior.residual(z.ravel())).reshape(len(z), -1)
        reach = min(int(np.abs(m).max()), _FURTHEST) + _BEYOND
        rows = np.array(integer_rows(self._channel.tables, reach))
        if isinstance(self._channel, AdaptiveChannel):
            symbols = m.clip(-reach, reach).astype(np.int64) + reach
            seen = [np.bincount(row, minlength=2 * reach + 1) for row in symbols]
            rows = -np.log2((_TRUST * 2.0**-rows + seen) / (_TRUST + m.shape[1]))
        return RowPrices(self._channel.density, list(rows))


def side_search(
    adapter: Adapter, channels: Sequence[Channel], effort: Effort | None
) -> SideSearch | None:
    """The search that an effort asks for, where there is a side latent that can be searched."""
    if effort is None or effort.side is None or not isinstance(adapter, SideAdapter):
        return None
    if not adapter.keep("side search", lambda: _is_described(adapter)):
        return None
    channel = channels[1]
    assert isinstance(channel, LatticeChannel | AdaptiveChannel)  # as an effort needs
    return SideSearch(adapter, channel, effort.side)


@torch.no_grad()
def _is_described(adapter: SideAdapter) -> bool:
    """Whether a family says for searches what its walk says: subclasses may change but one."""
    like, density = next(adapter.model.parameters()), adapter.side_density
    if not isinstance(adapter.main_density, GaussianDensity):
        return False
    prior = Prior.of_channels(density, (density.levels, 2, 2))
    side = prior.values(np.rint(density.draw(prior.levels, np.random.default_rng(0))))
    walk = adapter.walk([side], (2, 2))
    y = np.zeros(walk.shape, np.float32)
    describe = adapter.describing(torch.from_numpy(y)[None].to(like))
    if describe is None or not isinstance(walk, Conditioned):
        return False
    found, expected = (
        describe(torch.from_numpy(side).reshape(1, -1, 2, 2).to(like)),
        walk.parameters(y.ravel()),
    )
    pairs = zip(found, (expected.scales, expected.means))
    return all(np.allclose(a.float().cpu().ravel(), b.ravel(), _ALIKE, _ALIKE) for a, b in pairs)


def _cost(bits: MainBits, prior: Prior, prices: Prices, target: NDArray[np.float32]) -> float:
    """Of both latents in bits, this one rounded to integers around its medians."""
    m = np.rint(prior.residual(target.ravel()))
    hat = torch.from_numpy(prior.values(m).astype(np.float32)).to(bits.y.device)
    own = prices.of(_INT)(torch.from_numpy(prior.levels), torch.from_numpy(m)[None])
    return float(bits(hat)) + float(own.sum())
