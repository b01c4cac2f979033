"""DCVC-RT's predicted frames (Jia et al. 2025): ``DMC``, which codes no motion.

    frame before, or the features it left ─► feature_adaptor ─► feature_extractor ─► context
                                                                       │                │
                                      temporal_prior_encoder ◄─────────┘                │
                                               │                                        │
               steps, scales, means ◄── y_prior_fusion ◄── side latent                  │
                                               │                                        │
    x ─► encoder ◄──────────────────── context ┼─► latent ─► decoder ◄──────────────────┘
                                                                │
                   features, for the next frame ◄───────────────┴─► recon_generation_net ─► x_hat

The latent is Gaussian, in the two passes of DCVC-HEM. Networks see YCbCr at an eighth of the size.
Frames have one of three qualities, by their number since the key frame: other multipliers in the
transforms, and another density of the side latent. Features are dropped after each 32 frames.
Tables depend on all of that, so where portable the decoder is float64 on the CPU. The class runs
without its CUDA kernels, in float32; it is known by its structure, and none of its code is here.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from latentopt.adapters.base import Adapter, Networks, Scale
from latentopt.adapters.colours import rgb, ycbcr
from latentopt.adapters.dcvc import bit_estimator_density, rate_index
from latentopt.adapters.predicted import KeyedAdapter, Knowing, MakeAdapter, texture, with_key
from latentopt.adapters.reference import Reference
from latentopt.adapters.scales import STANDARD_SCALES
from latentopt.adapters.spatial_prior import InTwoPasses
from latentopt.densities import FactorizedDensity, GaussianDensity, ScaleDensity
from latentopt.latents import OfChannels, Walk

RATES = 64
_SHIFTS = (0, 8, 4)
"""Of each quality, from a frame's rate to the one it is coded at."""
_QUALITIES = (0, 1, 0, 2, 0, 2, 0, 2)
"""Of frames, by their number; then again."""
_PERIOD = 32  # frames after which features are dropped
_FOLD = 8  # pixels a side that the networks see as channels
_MAIN_STRIDE = 16

_ENCODERS = ("encoder", "hyper_encoder")
NETWORKS = (
    *("feature_adaptor_i", "feature_adaptor_p", "feature_extractor", *_ENCODERS),
    *("hyper_decoder", "temporal_prior_encoder", "y_prior_fusion", "y_spatial_prior"),
    *("decoder", "recon_generation_net", "bit_estimator_z"),
)
_GAINS = ("q_encoder", "q_feature", "q_decoder", "q_recon")


@dataclass(frozen=True)
class Seen:
    """What the networks know."""

    quality: int
    context: Tensor
    """(1, C, H/8, W/8)"""
    temporal: Tensor
    """(1, C, h, w), for the prior."""


class FrameAdapter(Knowing[Seen], InTwoPasses):
    """The one latent of a predicted frame.

    Args:
        model: its networks, see :class:`Networks`.
        gains: of each quality, (3, C, 1, 1), by name.
        rates: at which each quality is coded.
    """

    def __init__(
        self, model: nn.Module, portable: bool, gains: Mapping[str, Tensor], rates: Sequence[int]
    ):
        self._gains, self._rates = gains, rates
        super().__init__(model, portable)

    def make_densities(self) -> tuple[ScaleDensity, FactorizedDensity]:
        """The side latent's has the channels of all qualities."""
        side = bit_estimator_density(self.model.bit_estimator_z, self._rates)
        return GaussianDensity(STANDARD_SCALES), side

    def decoder_parts(self) -> list[nn.Module]:
        own = [module for name, module in self.model.named_children() if name not in _ENCODERS]
        gains = [Scale(self._gains[name]) for name in _GAINS[1:]]
        return [*own, *gains, Scale(float(self._rates[0]))]

    def _gain(self, name: str, quality: int, like: Tensor) -> Tensor:
        return self._gains[name][quality][None].to(like)

    # -- what came before --------------------------------------------------------------------------

    @torch.no_grad()
    def knowledge(self, reference: Reference, decoded: Mapping[str, Tensor]) -> Seen:
        networks = self._shared
        frame = self.seen(reference.image.to(next(networks.parameters()))).clamp(0, 1)
        features = None if reference.age % _PERIOD == 0 else reference.features
        quality = _QUALITIES[(reference.age + 1) % len(_QUALITIES)]
        return self._known_of(networks, frame, features, quality)

    def _known_of(
        self, networks: Any, frame: Tensor, features: Tensor | None, quality: int
    ) -> Seen:
        if features is None:
            adapted = networks.feature_adaptor_i(F.pixel_unshuffle(frame, _FOLD))
        else:
            adapted = networks.feature_adaptor_p(features.to(frame))
        gain = self._gain("q_feature", quality, frame)
        context, temporal = networks.feature_extractor(adapted, gain)
        return Seen(quality, context, networks.temporal_prior_encoder(temporal))

    def _seen(self, like: Tensor, stride: int) -> Seen:
        """What is known, or what stands for it; ``like`` a latent of that stride."""
        if self.known is not None:
            return self.known
        size = [stride * side for side in like.shape[-2:]]
        frame = texture(size, next(self.model.parameters()))[:1]
        return self._known_of(self.model, self.seen(frame), None, 0)

    def seen(self, image: Tensor) -> Tensor:
        """An image (B, 3, H, W) as the networks see it."""
        return ycbcr(image)

    # -- transforms --------------------------------------------------------------------------------

    def analysis(self, x: Tensor) -> Tensor:
        seen = self.sure
        gain = self._gain("q_encoder", seen.quality, x)
        context = seen.context.to(x).expand(len(x), -1, -1, -1)
        return self.model.encoder(self.seen(x), context, gain)

    def synthesis(self, y_hat: Tensor) -> Tensor:
        return self._made(y_hat)[1]

    def remembered(self, y_hat: Tensor) -> tuple[Tensor, Tensor | None]:
        features, image = self._made(y_hat)
        return image, features

    def _made(self, y_hat: Tensor) -> tuple[Tensor, Tensor]:
        """Features and image."""
        seen = self._seen(y_hat, _MAIN_STRIDE)
        gains = [self._gain(name, seen.quality, y_hat) for name in ("q_decoder", "q_recon")]
        context = seen.context.to(y_hat).expand(len(y_hat), -1, -1, -1)
        features = self.model.decoder(y_hat, context, gains[0])
        return features, rgb(self.model.recon_generation_net(features, gains[1]))

    def hyper_analysis(self, y: Tensor) -> Tensor:
        return self.model.hyper_encoder(y)

    # -- entropy parameters ------------------------------------------------------------------------

    def walk(self, above: Sequence[NDArray], grid: tuple[int, int]) -> Walk:
        """See :meth:`Adapter.walk`: the side latent's levels are those of the frame's quality."""
        if above:
            return super().walk(above, grid)
        channels, quality = self._side_shape(grid)[0], self.known.quality if self.known else 0
        levels = range(channels * quality, channels * (quality + 1))
        return OfChannels(self.side_density, grid, levels)

    def _side_shape(self, grid: tuple[int, int]) -> tuple[int, ...]:
        return (self.side_density.levels // len(_SHIFTS), *grid)

    def _given(self, networks: Any, z_hat: Tensor) -> Tensor:
        temporal = self._seen(z_hat, self.stride).temporal.to(z_hat)
        decoded = networks.hyper_decoder(z_hat)
        fused: Tensor = networks.y_prior_fusion(torch.cat([decoded, temporal], dim=1))
        return fused

    def _see(self, networks: Any, k: int, decoded: Tensor, given: Tensor) -> Sequence[Tensor]:
        return networks.y_spatial_prior(torch.cat([decoded, given], dim=1)).chunk(2, dim=1)


def is_rt(model: nn.Module) -> bool:
    """Whether a model is DCVC-RT's ``DMC``, or built like it."""
    return all(hasattr(model, name) for name in (*NETWORKS, *_GAINS))


class RTAdapter(KeyedAdapter):
    """``DMC``, with an image codec for key frames.

    Args:
        key: adapter of the codec of key frames, whose side latent has a stride of 64.
        q_index: which of 64 rates, the lowest first.

    Raises:
        UnsupportedModelError: the key frames' codec has another stride.
        InputError: there is no such rate.
    """

    def __init__(self, model: nn.Module, portable: bool, key: Adapter, q_index: int = 0):
        rates = [rate_index(q_index, RATES) + shift for shift in _SHIFTS]
        gains = {name: getattr(model, name).detach()[rates] for name in _GAINS}
        frame = FrameAdapter(Networks(model, NETWORKS), portable, gains, rates)
        super().__init__(key, {"residual": frame}, portable)


def video(
    key: nn.Module, adapter: MakeAdapter, q_index: int = 0
) -> Callable[[nn.Module, bool], RTAdapter]:
    """For ``latentopt.wrap(dmc, adapter=video(key, adapter))``.

    Args:
        key: the codec of key frames, with a hyperprior.
        adapter: its adapter, for example ``latentopt.adapters.adapter_class(key)``.
        q_index: see :class:`RTAdapter`.
    """
    return with_key(partial(RTAdapter, q_index=q_index), key, adapter)
