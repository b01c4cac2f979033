"""The refinement of one codec's main latents: what :func:`refine` needs, from the codec's parts."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from latentopt.adapters import Adapter
from latentopt.adapters.tiles import is_large
from latentopt.encoder.correction import fit_corrections
from latentopt.encoder.draft import DRAFT_SIDE, Draft
from latentopt.encoder.effort import Effort
from latentopt.encoder.prices import Prices
from latentopt.encoder.refine import Field, Objective, refine
from latentopt.encoder.sensitivity import Sensitivity, probe, sensitivity_of
from latentopt.latents import Prior, Walk
from latentopt.latents.lattice import Ahead, LatticeChannel, Part, pack
from latentopt.lattices import LATTICES

_PROBED = 128  # elements a side whose sensitivity is probed, at most
_LEAST_WEIGHT = 0.5
"""Bits per squared unit: what elements are worth at least that seem to change nothing."""


@dataclass(frozen=True)
class Aim:
    """What one image's main latent is to describe."""

    y: NDArray[np.float32]  # (M, h, w)
    x: Tensor  # (1, 3, H, W)


@dataclass(frozen=True)
class Choice:
    """What determines lattice points by rate and distortion."""

    target: NDArray[np.float32]  # (n,)
    weight: NDArray[np.float32]  # (n,) bits per squared unit
    corrections: NDArray[np.int32] | None  # (M,)


class Annealer:
    """Chooses where the points of a codec's main latents should be.

    Args:
        lmbda: see :func:`sensitivity_of`.
    """

    def __init__(
        self,
        adapter: Adapter,
        channel: LatticeChannel,
        prices: Prices,
        lmbda: float | None = None,
    ):
        self.adapter, self.channel, self.prices = adapter, channel, prices
        self._lmbda = lmbda
        self._draft = Draft(adapter)

    @property
    def sensitivity(self) -> Sensitivity:
        """Of the codec's latent."""
        return sensitivity_of(self.adapter, self._lmbda)

    def corrections(self, walk: Walk, y: NDArray[np.floating]) -> NDArray[np.int32] | None:
        """(M,) by how much each channel's scales are corrected, for a latent (n,)."""
        return self.fitted(walk.estimate(y), y) if self.channel.corrected else None

    def fitted(self, prior: Prior, y: NDArray[np.floating]) -> NDArray[np.int32]:
        """(M,) the same, given the entropy parameters."""
        return fit_corrections(self.channel.density, self.prices, prior, y)

    def choose(self, aim: Aim, walk: Walk, effort: Effort) -> Choice:
        """Anneal one image's latent, which will cross in this walk."""
        y = torch.from_numpy(aim.y.ravel()).to(aim.x.device)
        objective = self._objective(aim, effort)
        field = _Fields(self, walk, y, objective.weight, effort)
        with _Clock(effort) as clock:
            target = refine(objective, y, aim.y.shape, field, effort.schedule, clock)
        corrections = field.corrections
        if field.is_new:  # not a single step
            corrections = self.corrections(walk, aim.y.ravel())
        weight = objective.weight.cpu().numpy()
        return Choice(target.cpu().numpy(), weight, corrections)

    def _objective(self, aim: Aim, effort: Effort) -> Objective:
        squared = self.sensitivity.squared
        if effort.probes:
            y = torch.from_numpy(aim.y)[None].to(aim.x.device)
            middle = _middle(y, DRAFT_SIDE if is_large(aim.x) else _PROBED)
            squared = probe(self._draft, middle, effort.probes, np.random.default_rng(0))
        plane = aim.y.shape[1] * aim.y.shape[2]
        trade = self.sensitivity.trade
        worth = np.maximum(effort.schedule.caution * trade * squared, _LEAST_WEIGHT)
        weight = torch.from_numpy(np.repeat(worth.astype(np.float32), plane)).to(aim.x.device)
        return Objective(self._draft, aim.x, trade, weight, self._draft.tiles)


class _Fields:
    """The random points of each step of one annealing; made anew where their tables change."""

    def __init__(self, annealer: Annealer, walk: Walk, y: Tensor, weight: Tensor, effort: Effort):
        self._annealer, self._walk, self._y, self._weight = annealer, walk, y, weight
        steps = effort.schedule.steps
        self._fits = np.linspace(0, steps, effort.refits + 2)[:-1].astype(int)
        self._field: Field | None = None
        self.corrections: NDArray[np.int32] | None = None

    @property
    def is_new(self) -> bool:
        """Whether no step was asked for."""
        return self._field is None

    def __call__(self, step: int, mean: Tensor) -> Field:
        if self._field is None or step in self._fits or self._annealer.adapter.contextual:
            self._field = self._made(step, mean.cpu().numpy())
        return self._field

    def _made(self, step: int, mean: NDArray[np.floating]) -> Field:
        own, channel = self._annealer, self._annealer.channel
        prior = self._walk.estimate(mean)
        if channel.corrected and step in self._fits:
            self.corrections = own.fitted(prior, mean)
        if self.corrections is not None:
            prior = prior.corrected(channel.density, self.corrections)
        if channel.prepacked:
            parts: Sequence[Part] = channel.packed_ahead(prior, self._ahead, self.corrections)
        elif own.adapter.contextual:  # a walk packs other vectors than the estimate
            parts = pack(prior.levels, [LATTICES["int"]] * channel.density.levels)
        else:
            rounded = prior.values(np.rint(prior.residual(mean)))
            prior, parts = channel.packed(prior, rounded)
        spreads = channel.density.spreads
        return Field(spreads, own.prices, parts, prior, self._y, self._weight)

    @cached_property
    def _ahead(self) -> Ahead:
        return Ahead.of(self._walk)


def _middle(y: Tensor, most: int) -> Tensor:
    """The middle of main latents (1, M, h, w): enough to see how sensitive an image is."""
    top, left = (max(0, (side - most) // 2) for side in y.shape[-2:])
    return y[..., top : top + most, left : left + most]


class _Clock:
    """Counts steps, on a bar if wanted, and says when the time is over."""

    def __init__(self, effort: Effort):
        self._effort, self._start = effort, time.monotonic()
        self._bar = tqdm(
            total=effort.schedule.steps,
            unit="step",
            desc="refining",
            leave=False,
            disable=not effort.progress,
        )

    def __enter__(self) -> Callable[[int], bool]:
        return self._go_on

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def _go_on(self, step: int) -> bool:
        self._bar.update(min(step, 1))
        limit = self._effort.seconds
        return limit is None or time.monotonic() - self._start < limit
