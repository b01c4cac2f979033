"""DCVC's image codecs: ``IntraNoAR`` of DCVC-HEM (Li et al. 2022) and -DC (2023), EVC's (2023), and
``DMCI`` of DCVC-FM (2024) and -RT (2025).

    x ─► enc ─► y ─► hyper_enc ─► z ─► hyper_dec ─► y_prior_fusion ─► steps, scales, means
                │                                                        │
                └─► lattice points of the first pass ◄───────────────────┤
                               │                                         │
                      y_spatial_prior ◄──────────────────────────────────┘
                               │
                    scales, means of the next pass ─► its lattice points ─► ...

How passes go: :mod:`latentopt.adapters.spatial_prior`. Their code is Microsoft's, public and not a
package: the classes are known by their structure (:mod:`latentopt.adapters.checkout` loads one).

Scales get the level of CompressAI's table that is nearest in ratio, where DCVC's own coder takes
the one below of 256: a quarter as many levels leave each enough elements to make vectors of, and
the tables of CompressAI's ship with latentopt. The nearest of 64 is at most 6.3 % off, which costs
0.002 bits per element, a quarter of what the next above (CompressAI's own rule) would.
"""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from latentopt.adapters.base import Networks, Scale, cpu_copy, derived
from latentopt.adapters.colours import rgb, ycbcr
from latentopt.adapters.scales import STANDARD_SCALES
from latentopt.adapters.side import Conditioned
from latentopt.adapters.spatial_prior import (
    InFourPasses,
    InPasses,
    InTwoPasses,
    adaptor_names,
)
from latentopt.densities import FactorizedDensity, GaussianDensity, ScaleDensity
from latentopt.errors import InputError
from latentopt.latents import Walk

_CODING = ("hyper_dec", "y_prior_fusion", "y_spatial_prior")
_ALL = ("enc", "dec", "hyper_enc", "bit_estimator_z", *_CODING)
_ADAPTORS = adaptor_names("y_spatial_prior")

Scales = float | tuple[float, float]
_SCALES = (1e-3, 1e3)


class IntraAdapter(InPasses):
    """What these codecs have in common.

    Args:
        q_scale: multiplier of all steps, which sets the rate; see the subclasses.
        q_index: or its index among those of the checkpoint; the first unless given.

    Raises:
        InputError: both are given, or the model has no such one.
    """

    coding: Sequence[str]
    """Names of the networks that entropy parameters come from."""

    def __init__(
        self,
        model: nn.Module,
        portable: bool = True,
        q_scale: Scales | None = None,
        q_index: int | None = None,
    ):
        if q_scale is not None and q_index is not None:
            raise InputError("give q_scale or q_index, not both")
        self._q_scale, self._q_index = q_scale, q_index or 0
        super().__init__(model, portable)

    @property
    @abstractmethod
    def gain(self) -> Tensor:
        """What the decoder multiplies by, per channel (1, C, 1, 1); from ``q_scale``."""

    def make_densities(self) -> tuple[ScaleDensity, FactorizedDensity]:
        main = GaussianDensity(STANDARD_SCALES)
        return main, bit_estimator_density(self.model.bit_estimator_z)

    def refresh(self) -> None:
        super().refresh()
        _ = self.gain  # refuse now what does not exist

    def decoder_parts(self) -> list[nn.Module]:
        refined = ("refine",) if hasattr(self.model, "refine") else ()
        names = ("bit_estimator_z", *self.coding, "dec", *refined)
        return [*(getattr(self.model, name) for name in names), Scale(self.gain)]

    def hyper_analysis(self, y: Tensor) -> Tensor:
        return self.model.hyper_enc(y)

    @derived
    def _shared(self) -> Networks:
        """See :attr:`InPasses._shared`."""
        copied = cpu_copy(Networks(self.model, self.coding), self.dtype)
        assert isinstance(copied, Networks)
        return copied

    def _given(self, networks: Any, z_hat: Tensor) -> Tensor:
        fused: Tensor = networks.y_prior_fusion(networks.hyper_dec(z_hat))
        return fused


class DualPriorAdapter(InTwoPasses, IntraAdapter):
    """``IntraNoAR`` of DCVC-HEM: two passes; ``q_scale`` divides the latent in the encoder."""

    coding = _CODING

    @property
    def gain(self) -> Tensor:
        scale = self._q_scale
        if scale is None:
            scale = chosen_scale(self.model.q_scale, self._q_index)
        return least_gain(self.model.q_basic.detach(), scale)

    def analysis(self, x: Tensor) -> Tensor:
        return self.model.enc(x) / self.gain.to(x)

    def synthesis(self, y_hat: Tensor) -> Tensor:
        return self.model.refine(self.model.dec(y_hat * self.gain.to(y_hat)))


class EVCAdapter(DualPriorAdapter):
    """EVC's (Wang et al. 2023): as DCVC-HEM's, but nothing refines what the decoder makes.

    Of those that have several encoders the latent is the mean of all, or of the first ones up to
    ``forward_enc_id``. (EVC codes an image with each number of them and keeps the cheapest.)
    """

    def analysis(self, x: Tensor) -> Tensor:
        encoders: Sequence[Any] = getattr(self.model, "encs", None) or [self.model.enc]
        last = getattr(self.model, "forward_enc_id", None)
        if last is not None:
            encoders = encoders[: last + 1]
        latents = torch.stack([encoder(x) for encoder in encoders])
        return latents.mean(dim=0) / self.gain.to(x)

    def synthesis(self, y_hat: Tensor) -> Tensor:
        return self.model.dec(y_hat * self.gain.to(y_hat))


class FourPartAdapter(InFourPasses, IntraAdapter):
    """``IntraNoAR`` of DCVC-DC: four passes.

    It has a ``q_scale`` for the encoder and one for the decoder, both inside of the transforms.
    """

    coding = (*_CODING, *_ADAPTORS)

    @property
    def gain(self) -> Tensor:
        return self._gains[1]

    @property
    def _gains(self) -> list[Tensor]:
        """Of encoder and decoder."""
        return two_gains(self.model, "", self._q_scale, self._q_index)

    def analysis(self, x: Tensor) -> Tensor:
        return self.model.enc(x, self._gains[0].to(x))

    def synthesis(self, y_hat: Tensor) -> Tensor:
        return self.model.refine(self.model.dec(y_hat, self.gain.to(y_hat)))


class TwoScaleAdapter(InFourPasses, IntraAdapter):
    """``DMCI`` of DCVC-RT (Jia et al. 2025), and of DCVC-FM: four passes, YCbCr, and 64 rates.

    At each position the encoder multiplies by one number and the decoder by another, both from the
    side latent. The decoder's is the step; what points are near to is the latent, times both.
    """

    coding = (*_CODING, *_ADAPTORS, "y_spatial_prior_reduction")

    @property
    def gain(self) -> Tensor:
        return self._gain("dec")

    def _gain(self, side: str) -> Tensor:
        gains: Tensor = getattr(self.model, f"q_scale_{side}").detach()
        if self._q_scale is not None:
            raise InputError(f"{type(self.model).__name__} has no q_scale: give a q_index")
        return gains[rate_index(self._q_index, len(gains))][None]

    def make_densities(self) -> tuple[ScaleDensity, FactorizedDensity]:
        rate = rate_index(self._q_index, len(self.model.q_scale_dec))
        side = bit_estimator_density(self.model.bit_estimator_z, [rate])
        return GaussianDensity(STANDARD_SCALES), side

    def decoder_parts(self) -> list[nn.Module]:
        return [*super().decoder_parts(), Scale(float(self._q_index))]

    def analysis(self, x: Tensor) -> Tensor:
        return self.model.enc(ycbcr(x), self._gain("enc").to(x))

    def synthesis(self, y_hat: Tensor) -> Tensor:
        image = self.model.dec(y_hat, self.gain.to(y_hat))
        return rgb(self.model.refine(image) if hasattr(self.model, "refine") else image)

    def target(self, y: NDArray[np.floating], walk: Walk) -> NDArray[np.floating]:
        assert isinstance(walk, Conditioned)
        both = self._multipliers(torch.from_numpy(walk.features)).prod(dim=0)
        return y * both.numpy().astype(np.float32)

    @staticmethod
    def _multipliers(features: Tensor) -> Tensor:
        """Of encoder and decoder (2, h, w)."""
        return 0.5 + 1.5 * torch.sigmoid(features[:2])

    def _first(self, given: Tensor) -> Sequence[Tensor]:
        scales, means = given[:, 2:].chunk(2, dim=1)
        return self._multipliers(given[0])[1].expand_as(means), scales, means

    def _see(self, networks: Any, k: int, decoded: Tensor, given: Tensor) -> Sequence[Tensor]:
        return super()._see(networks, k, decoded, networks.y_spatial_prior_reduction(given))


def intra_class(model: nn.Module) -> type[IntraAdapter] | None:
    """The adapter of an intra codec of the DCVC family, or of one built like it; else None."""
    if not all(hasattr(model, name) for name in _ALL):
        return None
    if all(hasattr(model, name) for name in (*_ADAPTORS, "q_scale_enc", "q_scale_dec")):
        has_two = hasattr(model, "y_spatial_prior_reduction")
        return TwoScaleAdapter if has_two else FourPartAdapter
    if not hasattr(model, "q_scale"):
        return None
    return DualPriorAdapter if hasattr(model, "refine") else EVCAdapter


def intra(
    q_scale: Scales | None = None, q_index: int | None = None
) -> Callable[[nn.Module, bool], IntraAdapter]:
    """For ``latentopt.wrap(model, adapter=intra(...))``: an intra codec at another rate.

    Args:
        q_scale: DCVC-HEM's q_scale, or EVC's; for DCVC-DC a pair, the encoder's and the decoder's.
        q_index: which one of the checkpoint's; the first unless one or the other is given.
    """

    def make(model: nn.Module, portable: bool) -> IntraAdapter:
        family = intra_class(model)
        if family is None:
            raise InputError(f"{type(model).__qualname__} is no intra codec of the DCVC family")
        return family(model, portable, q_scale, q_index)

    return make


class BitEstimator(Protocol):
    """DCVC's, of a side latent: four layers of parameters ``h``, ``b`` and, but the last, ``a``."""

    f1: nn.Module
    f2: nn.Module
    f3: nn.Module
    f4: nn.Module


def bit_estimator_density(
    estimator: BitEstimator, rates: Sequence[int] = (0,)
) -> FactorizedDensity:
    """The density of DCVC's ``BitEstimator``, which is CompressAI's bottleneck, one unit wide.

    Its residual is taken from 0, as DCVC rounds side latents around 0.

    Args:
        rates: of an estimator that has several, those whose channels follow each other.
    """
    layers: list[Any] = [estimator.f1, estimator.f2, estimator.f3, estimator.f4]

    def columns(parameters: Sequence[Tensor]) -> list[Tensor]:
        return [parameter[list(rates)].reshape(-1, 1, 1) for parameter in parameters]

    slopes = columns([layer.h for layer in layers])
    return FactorizedDensity(
        BottleneckParameters(
            slopes,
            columns([layer.b for layer in layers]),
            columns([layer.a for layer in layers if layer.a is not None]),
            torch.zeros(len(slopes[0]), 1, 3),
        )
    )


@dataclass
class BottleneckParameters:
    """A bottleneck's: CompressAI's class would draw random ones, from everyone's generator."""

    matrices: Sequence[Tensor]
    biases: Sequence[Tensor]
    factors: Sequence[Tensor]
    quantiles: Tensor


def chosen_scale(scales: Tensor, index: int) -> float:
    """One of a checkpoint's scales (n, 1, 1, 1)."""
    return float(scales.detach().flatten()[rate_index(index, len(scales))])


def rate_index(index: object, count: int) -> int:
    """One of so many rates; InputError where it is none."""
    if isinstance(index, bool) or not isinstance(index, int) or not 0 <= index < count:
        raise InputError(f"q_index {index!r}: the model has {count} scales")
    return index


def two_gains(model: nn.Module, prefix: str, q_scale: object | None, q_index: int) -> list[Tensor]:
    """DCVC-DC's of encoder and decoder, per channel.

    Args:
        prefix: of the names of the model's parameters.
        q_scale: of encoder and decoder; one of the checkpoint's where it is None.
    """
    basics, own = (
        [getattr(model, f"{prefix}q_{kind}_{side}").detach() for side in ("enc", "dec")]
        for kind in ("basic", "scale")
    )
    if q_scale is None:
        q_scale = tuple(chosen_scale(scales, q_index) for scales in own)
    if not isinstance(q_scale, tuple) or len(q_scale) != 2:
        raise InputError("DCVC-DC has two: q_scale=(of the encoder, of the decoder)")
    return [basic * positive_scale(scale) for basic, scale in zip(basics, q_scale)]


def least_gain(basic: Tensor, scale: Scales) -> Tensor:
    """DCVC-HEM's: what latents are divided by in the encoder, per channel as ``basic``."""
    return basic.clamp(min=0.5) * positive_scale(scale)


def positive_scale(scale: Scales) -> float:
    """One multiplier of steps; InputError where it is none, or so large or small that none is."""
    if not isinstance(scale, int | float) or not _SCALES[0] <= scale <= _SCALES[1]:
        raise InputError(
            f"q_scale {scale!r}: expected one positive number, {_SCALES[0]:g} to {_SCALES[1]:g}"
        )
    return float(scale)
