"""The refinement of one codec's main latents: what :func:`refine` needs, from the codec's parts."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from latentopt.adapters import Adapter
from latentopt.encoder.correction import fit_corrections
from latentopt.encoder.effort import Effort
from latentopt.encoder.refine import Field, Objective, refine
from latentopt.encoder.sensitivity import Sensitivity, measure, probe
from latentopt.latents.lattice import LatentCoder

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
        synthesis: differentiable, see :class:`Objective`.
        corrected: whether the codec corrects its scales.
        lmbda: of lambda * 255^2 * MSE + bits per pixel, which the model was trained for; None:
            estimated.
    """

    def __init__(
        self,
        adapter: Adapter,
        coder: LatentCoder,
        synthesis: Callable[[Tensor], Tensor],
        corrected: bool,
        lmbda: float | None = None,
    ):
        self._adapter, self._coder, self._synthesis = adapter, coder, synthesis
        self._corrected, self._lmbda = corrected, lmbda

    @cached_property
    def sensitivity(self) -> Sensitivity:
        """Of the codec's latent; measured once."""
        measured = measure(self._adapter, self._synthesis)
        if self._lmbda is None:
            return measured
        return replace(measured, trade=self._lmbda * 255**2 / 3)  # three samples per pixel

    def corrections(self, given: Any, y: NDArray[np.floating]) -> NDArray[np.int32] | None:
        """(M,) by how much each channel's scales are corrected, for a latent (n,)."""
        if not self._corrected:
            return None
        return fit_corrections(self._coder, self._adapter.prior(given, y), y)

    def choose(self, aim: Aim, given: Any, effort: Effort) -> Choice:
        """Anneal one image's latent; its entropy parameters follow from what is ``given``."""
        y = torch.from_numpy(aim.y.ravel()).to(aim.x.device)
        objective = self._objective(aim, effort)
        fits = np.linspace(0, effort.schedule.steps, effort.refits + 2)[:-1].astype(int)
        corrections, field = None, None

        def field_of(step: int, mean: Tensor) -> Field:
            nonlocal corrections, field
            if field is None or step in fits or self._adapter.contextual:
                prior = self._adapter.prior(given, mean.cpu().numpy())
                if self._corrected and step in fits:
                    corrections = fit_corrections(self._coder, prior, mean.cpu().numpy())
                if corrections is not None:
                    prior = prior.corrected(self._coder.density, corrections)
                scalar = self._adapter.contextual  # a walk packs other vectors than the estimate
                field = Field(self._coder, prior, y, objective.weight, scalar)
            return field

        with _Clock(effort) as clock:
            target = refine(objective, y, aim.y.shape, field_of, effort.schedule, clock)
        if field is None:  # not a single step
            corrections = self.corrections(given, aim.y.ravel())
        weight = objective.weight.cpu().numpy()
        return Choice(target.cpu().numpy(), weight, corrections)

    def cost(self, aim: Aim, bits: float, y_hat: Tensor) -> float:
        """Rate and distortion, in bits, of a decoded latent (1, M, h, w) of so many bits."""
        image = self._synthesis(y_hat)[..., : aim.x.shape[-2], : aim.x.shape[-1]]
        error = (image.clamp(0, 1) - aim.x).square().sum(dtype=torch.float64)
        return bits + self.sensitivity.trade * float(error)

    def _objective(self, aim: Aim, effort: Effort) -> Objective:
        squared = self.sensitivity.squared
        if effort.probes:
            y = torch.from_numpy(aim.y)[None].to(aim.x.device)
            squared = probe(self._synthesis, y, effort.probes, np.random.default_rng(0))
        plane = aim.y.shape[1] * aim.y.shape[2]
        worth = effort.schedule.caution * self.sensitivity.trade * squared
        weight = np.repeat(worth, plane)
        floor = torch.from_numpy(np.maximum(weight, _LEAST_WEIGHT)).float().to(aim.x.device)
        return Objective(self._synthesis, aim.x, self.sensitivity.trade, floor)


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
