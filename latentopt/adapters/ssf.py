"""Scale-space flow (Agustsson et al. 2020), CompressAI's ``ScaleSpaceFlow`` (ssf2020).

A key frame is one latent. A predicted frame has two: motion, from which the prediction is warped
out of blurred copies of the frame before, and the residual of that prediction, whose synthesis sees
the motion latent, too. Each has a hyperprior of its own, with a network each for scales and means.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from latentopt.adapters.base import Places, as_numpy, cpu_copy, derived, scale_table
from latentopt.adapters.predicted import Knowing, VideoAdapter, texture
from latentopt.adapters.reference import Reference
from latentopt.adapters.side import Describe, Leaf, Parameters, SideAdapter
from latentopt.densities import FactorizedDensity, GaussianDensity, ScaleDensity

Warp = Callable[[Tensor, Tensor], Tensor]

_NAMES = ("img", "motion", "res")  # of the parts, in the model
_STRIDE = 128  # pixels per element of a side latent


class Part(nn.Module):
    """The networks of one latent; they stay the model's own."""

    def __init__(self, model: nn.Module, name: str):
        super().__init__()
        self.encoder = getattr(model, f"{name}_encoder")
        self.decoder = getattr(model, f"{name}_decoder")
        self.hyperprior = getattr(model, f"{name}_hyperprior")


class PartAdapter(SideAdapter):
    """The key frame's latent, and what all three have in common."""

    @property
    def stride(self) -> int:
        return _STRIDE

    def make_densities(self) -> tuple[ScaleDensity, FactorizedDensity]:
        prior = self.model.hyperprior
        main = GaussianDensity(scale_table(prior.gaussian_conditional))
        return main, FactorizedDensity(prior.entropy_bottleneck)

    def decoder_parts(self) -> list[nn.Module]:
        prior = self.model.hyperprior
        networks = [prior.hyper_decoder_mean, prior.hyper_decoder_scale, prior.gaussian_conditional]
        return [prior.entropy_bottleneck, *networks, self.model.decoder]

    @derived
    def _scales(self) -> nn.Module:
        """For portable streams. Only scales select tables, so only they need float64."""
        return cpu_copy(self.model.hyperprior.hyper_decoder_scale)

    @derived
    def _means(self) -> nn.Module:
        return cpu_copy(self.model.hyperprior.hyper_decoder_mean, torch.float32)

    def analysis(self, x: Tensor) -> Tensor:
        return self.model.encoder(x)

    def synthesis(self, y_hat: Tensor) -> Tensor:
        return self.model.decoder(y_hat)

    def hyper_analysis(self, y: Tensor) -> Tensor:
        return self.model.hyperprior.hyper_encoder(y)

    def describing(self, y: Tensor) -> Describe | None:
        prior = self.model.hyperprior
        return lambda side: (prior.hyper_decoder_scale(side), prior.hyper_decoder_mean(side))

    def features(self, side: NDArray, shape: tuple[int, ...]) -> NDArray:
        if not self.portable:
            return self.draft_features(side, shape)
        z_hat = torch.from_numpy(side).reshape(1, *shape)
        scales, means = self._scales(z_hat.double()), self._means(z_hat.float()).double()
        return as_numpy(torch.cat([scales, means], dim=1)[0])

    def draft_features(self, side: NDArray, shape: tuple[int, ...]) -> NDArray:
        prior = self.model.hyperprior
        z_hat = torch.from_numpy(side).reshape(1, *shape).to(next(prior.parameters()))
        scales, means = prior.hyper_decoder_scale(z_hat), prior.hyper_decoder_mean(z_hat)
        return as_numpy(torch.cat([scales, means], dim=1)[0])

    def main_shape(self, features: NDArray) -> tuple[int, ...]:
        return (len(features) // 2, *features.shape[1:])

    def visit(self, features: NDArray, leaf: Leaf) -> None:
        scales, means = features.reshape(2, -1)
        leaf(np.arange(len(scales)), scales, means)

    def estimate(self, features: NDArray, y: NDArray) -> Parameters:
        return Parameters(*np.split(features, 2))


class MotionAdapter(Knowing[Tensor], PartAdapter):
    """Motion: from the frame and the one before, to a prediction.

    Args:
        warp: from the frame before and a decoded motion to the prediction.
    """

    def __init__(self, model: nn.Module, portable: bool, warp: Warp):
        self._warp = warp
        super().__init__(model, portable)

    def knowledge(self, reference: Reference, decoded: Mapping[str, Tensor]) -> Tensor:
        return reference.image

    def analysis(self, x: Tensor) -> Tensor:
        return self.model.encoder(torch.cat([x, self.sure.to(x)], dim=1))

    def synthesis(self, y_hat: Tensor) -> Tensor:
        motion = self.model.decoder(y_hat)
        if self.known is None:
            reference = texture(motion.shape[-2:], motion)
        else:
            reference = self.known.to(motion)
        return self._warp(reference.expand(len(motion), -1, -1, -1), motion)


class ResidualAdapter(Knowing[tuple[Tensor, Tensor]], PartAdapter):
    """What the prediction lacks.

    Args:
        motion: the networks of the motion latent.
        warp: as above.
    """

    def __init__(self, model: nn.Module, portable: bool, motion: Part, warp: Warp):
        self._motion, self._warp = motion, warp
        super().__init__(model, portable)

    def knowledge(
        self, reference: Reference, decoded: Mapping[str, Tensor]
    ) -> tuple[Tensor, Tensor]:
        motion = decoded["motion"].to(next(self._motion.decoder.parameters()))
        return self._warp(reference.image.to(motion), self._motion.decoder(motion)), motion

    def analysis(self, x: Tensor) -> Tensor:
        return self.model.encoder(x - self.sure[0].to(x))

    def synthesis(self, y_hat: Tensor) -> Tensor:
        decoder = self.model.decoder
        if self.known is None:
            batch, channels, *plane = y_hat.shape
            motion = y_hat.new_zeros(batch, decoder[0].in_channels - channels, *plane)
            return decoder(torch.cat([y_hat, motion], dim=1))
        prediction, motion = self.known
        motion = motion.to(y_hat).expand(len(y_hat), -1, -1, -1)  # an encoder tries several y_hat
        return prediction + decoder(torch.cat([y_hat, motion], dim=1))


def _places(name: str) -> Places:
    return Places((f"{name}_encoder", f"{name}_hyperprior.hyper_encoder"), f"{name}_decoder")


class ScaleSpaceFlowAdapter(VideoAdapter):
    """CompressAI's ``ScaleSpaceFlow``."""

    places = MappingProxyType(
        {part: _places(name) for part, name in zip(("image", "motion", "residual"), _NAMES)}
    )

    def __init__(self, model: nn.Module, portable: bool = True):
        image, motion, residual = (Part(model, name) for name in _NAMES)
        warp: Warp = getattr(model, "forward_prediction")  # noqa: B009 (nn.Module has no types)
        self.key = PartAdapter(image, portable)
        self.predicted = {
            "motion": MotionAdapter(motion, portable, warp),
            "residual": ResidualAdapter(residual, portable, motion, warp),
        }
