"""CompressAI's variable-rate models (Kamisli et al. 2024), each of whose gains is a step.

One checkpoint has a list of gains, one for each rate. A latent is coded times its gain, which is to
say with a step of 1 / gain; the entropy parameters follow it, and in most models so does the step
of the side latent. A model :func:`at_rate` is a codec of one rate, like all others.

The models' own decoders also move each element towards its mean, by an offset that a small network
predicts from its scale. That is not done here: the latent shift, whose step is sent, is the same.
"""

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from compressai.entropy_models import EntropyBottleneckVbr
from compressai.models import CompressionModel
from compressai.models.vbr import (
    JointAutoregressiveHierarchicalPriorsVbr,
    MeanScaleHyperpriorVbr,
    ScaleHyperpriorVbr,
)
from numpy.typing import NDArray
from torch import Tensor, nn

from latentopt.adapters.base import Places, Scale, cpu_copy, derived, scale_table
from latentopt.adapters.context import ContextAdapter
from latentopt.adapters.hyperprior import MeanScaleAdapter, ScaleAdapter
from latentopt.adapters.scales import standard_scales
from latentopt.adapters.side import Describe, Leaf, Parameters
from latentopt.densities import FactorizedDensity, GaussianDensity, ScaleDensity
from latentopt.errors import InputError, UnsupportedModelError
from latentopt.latents import AtOnce, Prior, Walk


class FixedRate(CompressionModel):
    """A variable-rate model at one gain, with the verbs of a codec of one rate.

    Whatever else is asked of it, the model answers.

    Args:
        model: shared, not copied.
        gain: the inverse of the main latent's step, positive.
        lmbda: of lambda * 255^2 * MSE + bits per pixel, if known.
    """

    def __init__(self, model: nn.Module, gain: float, lmbda: float | None = None):
        super().__init__()
        self.model: Any = model
        self.lmbda = lmbda
        self.gain: Tensor
        self.register_buffer("gain", torch.tensor(gain))

    def __getattr__(self, name: str) -> nn.Module:
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name == "model":  # not there yet, while it is copied
                raise
            model: Any = self.model
            answer: nn.Module = getattr(model, name)
            return answer

    def forward(self, x: Tensor) -> dict[str, object]:
        """As CompressAI's, of an image batch (B, 3, H, W)."""
        return self.model(x, inputscale=self.gain)

    def compress(self, x: Tensor) -> dict[str, object]:
        """As CompressAI's."""
        return self.model.compress(x, inputscale=self.gain)

    def decompress(self, strings: list[list[bytes]], shape: Sequence[int]) -> dict[str, Tensor]:
        """As CompressAI's."""
        return self.model.decompress(strings, shape, inputscale=self.gain)

    def update(self, scale_table: Tensor | None = None, force: bool = False, **_: object) -> bool:
        """CompressAI's tables of this gain, and of the scales that the model has."""
        own: Tensor = self.model.gaussian_conditional.scale_table
        if scale_table is None:
            scale_table = own if own.numel() else standard_scales()
        with torch.no_grad():
            return self.model.update(scale_table, force=force, scale=self.gain)

    def with_step(self, step: float) -> "FixedRate":
        """The same at another gain: its step multiplied."""
        lmbda = self.lmbda and self.lmbda / step**2
        other = FixedRate(copy.deepcopy(self.model), float(self.gain) / step, lmbda)
        other.to(self.gain.device).update(force=True)
        return other.eval()


def at_rate(
    model: nn.Module, index: int | None = None, *, gain: float | None = None
) -> CompressionModel:
    """A copy of a variable-rate model, fixed to one of its rates.

    >>> model = MeanScaleHyperpriorVbr(8, 12)
    >>> float(at_rate(model, 7).gain), float(at_rate(model, gain=0.5).gain)
    (1.0, 0.5)

    Args:
        model: of a class of ``compressai.models.vbr``.
        index: of the model's gains, the lowest rate first: what CompressAI calls ``s``.
        gain: a gain between those instead, or any other: CompressAI's ``inputscale``.

    Raises:
        UnsupportedModelError: the model has one rate only.
        InputError: neither index nor gain is given, or both are; or there is no such.
    """
    if not isinstance(model, ScaleHyperpriorVbr):
        raise UnsupportedModelError(f"{type(model).__qualname__} has no gains to choose a rate by")
    if (index is None) == (gain is None):
        raise InputError("a rate is an index of the model's gains, or a gain: give one of them")
    own: Any = copy.deepcopy(model)
    lmbda = None
    if index is not None:
        if index not in range(len(own.Gain)):
            raise InputError(f"index {index}: the model's rates are 0 to {len(own.Gain) - 1}")
        gain, lmbda = float(own.Gain[index].detach().abs()), own.lmbda[index]
    if gain is None or not (math.isfinite(gain) and gain > 0):
        raise InputError(f"gain {gain}: it must be a positive number")
    fixed = FixedRate(own, gain, lmbda).to(own.Gain.device)
    fixed.update(force=True)
    return fixed.eval()


def rate_adapter(model: nn.Module) -> "type[GainAdapter] | None":
    """The adapter of a variable-rate model; None for all others.

    Raises:
        UnsupportedModelError: the model has no fixed rate yet.
    """
    if isinstance(model, ScaleHyperpriorVbr):
        name, last = type(model).__qualname__, len(model.Gain) - 1
        raise UnsupportedModelError(
            f"{name} codes at several rates: choose one with "
            f"latentopt.adapters.at_rate(model, index), index 0 to {last}"
        )
    if not isinstance(model, FixedRate):
        return None
    own = type(model.model)
    return next(adapter for family, adapter in _ADAPTERS.items() if issubclass(own, family))


class GainAdapter(ScaleAdapter):
    """What the gain does to any of the families: a step for every element."""

    @property
    def places(self) -> Places | None:
        """Its coder asks networks of the model that it shares, which no view can replace."""
        return None

    @derived
    def gain(self) -> float:
        """The inverse of the main latent's step."""
        return float(self.model.gain)

    @derived
    def side_step(self) -> float | None:
        """The side latent's step; None where it does not follow the gain."""
        if not isinstance(self.model.entropy_bottleneck, EntropyBottleneckVbr):
            return None
        network = cpu_copy(self.model.gayn2zqstep)  # float64, rounded: alike on every machine
        step = network(torch.tensor([1 / self.gain], dtype=torch.float64)).detach().float()
        return float(self.model.lower_bound_zqstep.bound.cpu().maximum(step))

    def make_densities(self) -> tuple[ScaleDensity, FactorizedDensity]:
        step = self.side_step
        if step is None:
            return super().make_densities()
        main = GaussianDensity(scale_table(self.model.gaussian_conditional))
        return main, FactorizedDensity(_Bottleneck.of(self.model.entropy_bottleneck, step))

    def decoder_parts(self) -> list[nn.Module]:
        return [*super().decoder_parts(), Scale(self.model.gain)]

    def walk(self, above: Sequence[NDArray], grid: tuple[int, int]) -> Walk:
        step = self.side_step
        if above or step is None:
            return super().walk(above, grid)
        prior = Prior.of_channels(self.side_density, self._side_shape(grid))
        steps = np.full(len(prior.levels), step)
        return AtOnce(replace(prior, centres=prior.centres * step, steps=steps))

    def visit(self, features: NDArray, leaf: Leaf) -> None:
        def stepped(
            index: NDArray[np.int64],
            scales: NDArray,
            means: NDArray,
            steps: NDArray | None = None,
            /,
        ) -> NDArray[np.floating]:
            return leaf(index, scales * self.gain, means, np.full_like(means, 1 / self.gain))

        super().visit(features, stepped)

    def describing(self, y: Tensor) -> Describe | None:
        return None  # neither of its latents has unit steps

    def estimate(self, features: NDArray, y: NDArray) -> Parameters:
        found = super().estimate(features, y)
        steps = np.full_like(found.means, 1 / self.gain)
        return Parameters(found.scales * self.gain, found.means, steps)


class MeanScaleGainAdapter(GainAdapter, MeanScaleAdapter):
    """``mbt2018-mean-vbr``."""


class ContextGainAdapter(GainAdapter, ContextAdapter):
    """``mbt2018-vbr``: the context, too, knows the gain."""

    @property
    def walked(self) -> tuple[nn.Conv2d, nn.Module]:
        return self._told, self.model.entropy_parameters

    @derived
    def _told(self) -> nn.Conv2d:
        """The context convolution, with what it is told of the gain added to its bias."""
        told: nn.Conv2d = copy.deepcopy(self.model.context_prediction)
        if self.model.scl2ctx:
            assert told.bias is not None
            network = cpu_copy(self.model.scale_to_context)  # rounded once: alike on every machine
            word = network(torch.tensor([self.gain], dtype=torch.float64)).detach()
            told.bias.data = (told.bias.detach().cpu().double() + word).to(told.bias)
        return told


_ADAPTERS: dict[type[nn.Module], type[GainAdapter]] = {
    JointAutoregressiveHierarchicalPriorsVbr: ContextGainAdapter,
    MeanScaleHyperpriorVbr: MeanScaleGainAdapter,
    ScaleHyperpriorVbr: GainAdapter,
}
"""Subclasses first."""


@dataclass
class _Bottleneck:
    """The parameters of an ``EntropyBottleneckVbr``, of its latent in units of a step."""

    matrices: Sequence[Tensor]
    biases: Sequence[Tensor]
    factors: Sequence[Tensor]
    quantiles: Tensor

    @staticmethod
    def of(bottleneck: nn.Module, step: float) -> "_Bottleneck":
        own = dict(bottleneck.named_parameters())
        kinds = ("_matrix", "_bias", "_factor")
        matrices, biases, factors = (
            [own[name] for name in sorted(own) if name.startswith(kind)] for kind in kinds
        )
        slope = nn.functional.softplus(matrices[0].detach().double()) * step
        first = slope + torch.log(-torch.expm1(-slope))  # the inverse of softplus
        return _Bottleneck([first, *matrices[1:]], biases, factors, own["quantiles"] / step)
