"""DCVC-HEM's predicted frames (Li et al. 2022): ``DMC``, whose priors see more than a frame.

    x, frame before ─► optic_flow ─► mv_encoder ─► motion latent ─► mv_decoder ─► flow
                                                                                   │
    features of the frame before ─► feature_extractor ─► three scales ─► warp ◄────┘
                                                                          │
                                           context_fusion_net ─► contexts of three scales
                                                                          │
    x ────────────────► contextual_encoder ─► residual latent ─► contextual_decoder
                                                                          │
                         features, for the next frame ◄── recon_generation_net ─► x_hat

Both latents are Laplace, coded in two passes (:mod:`latentopt.adapters.spatial_prior`), given a
side latent and the same latent of the frame before, the residual's also given the contexts. After a
key frame there are no features and no latents: the frame itself and zeros stand for them. Tables
depend on all of that, so where portable the decoder is float64 on the CPU, as in
:mod:`latentopt.adapters.dcvc_net`. The class is known by its structure; none of its code is here.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from latentopt.adapters.base import Adapter, Networks, Scale
from latentopt.adapters.dcvc import bit_estimator_density, chosen_scale, least_gain
from latentopt.adapters.dcvc_net import MakeAdapter, warp
from latentopt.adapters.predicted import KeyedAdapter, Knowing, texture
from latentopt.adapters.reference import Reference
from latentopt.adapters.spatial_prior import InTwoPasses
from latentopt.adapters.still import still_copy
from latentopt.densities import FactorizedDensity, LaplaceDensity, ScaleDensity
from latentopt.errors import InputError

SCALES = np.geomspace(0.01, 64, 64)
"""From DCVC's smallest to its largest, in a quarter of its steps."""

_MAIN_STRIDE = 16  # pixels per element

ENCODERS = (
    *("optic_flow", "mv_encoder", "mv_hyper_prior_encoder"),
    *("contextual_encoder", "contextual_hyper_prior_encoder"),
)
"""What only the encoder computes."""

_MOTION = (
    *("optic_flow", "mv_encoder", "mv_hyper_prior_encoder", "mv_hyper_prior_decoder"),
    *("mv_y_prior_fusion", "mv_y_spatial_prior", "mv_decoder", "bit_estimator_z_mv"),
)
_RESIDUAL = (
    *("feature_adaptor_I", "feature_adaptor_P", "feature_extractor", "context_fusion_net"),
    *("contextual_encoder", "contextual_hyper_prior_encoder", "contextual_hyper_prior_decoder"),
    *("temporal_prior_encoder", "y_prior_fusion", "y_spatial_prior", "bit_estimator_z"),
    *("contextual_decoder", "recon_generation_net", "mv_decoder"),
)
_SCALES_OF = {"motion": "mv_y_q", "residual": "y_q"}
_KINDS = ("basic", "scale")


class PartAdapter(InTwoPasses):
    """What the motion and the residual latent have in common.

    Args:
        model: the networks of the part, see :class:`Networks`.
        gain: what its latents are divided by in the encoder, per channel (1, M, 1, 1).
    """

    estimator: str
    """Name of the side latent's density."""

    def __init__(self, model: nn.Module, portable: bool, gain: Tensor):
        self._gain = gain
        super().__init__(model, portable)

    @property
    def _shared(self) -> Any:
        """See :attr:`InPasses._shared`."""
        return self.exact_model if self.portable else self.model

    def make_densities(self) -> tuple[ScaleDensity, FactorizedDensity]:
        return LaplaceDensity(SCALES), bit_estimator_density(getattr(self.model, self.estimator))

    def decoder_parts(self) -> list[nn.Module]:
        own = [module for name, module in self.model.named_children() if name not in ENCODERS]
        return [*own, Scale(self._gain)]

    def scaled(self, y_hat: Tensor) -> Tensor:
        """A latent as the networks that come after it take it."""
        return y_hat * self._gain.to(y_hat)

    def _before(self, latent: Tensor | None, like: Tensor) -> Tensor:
        """The latent of the frame before, as networks take it; zeros where there is none."""
        if latent is None:
            batch, _, *plane = like.shape
            return like.new_zeros(batch, self._gain.shape[1], *plane)
        return self.scaled(latent.to(like)).expand(len(like), -1, -1, -1)


@dataclass(frozen=True)
class _Moving:
    """What the motion's networks know."""

    frame: Tensor
    """The one before, (1, 3, H, W) in [0, 1]."""
    latent: Tensor | None
    """Its motion (1, M, h, w)."""


class MotionAdapter(Knowing[_Moving], PartAdapter):
    """Motion; its synthesis is the frame before, warped."""

    spatial_prior, estimator = "mv_y_spatial_prior", "bit_estimator_z_mv"

    def knowledge(self, reference: Reference, decoded: Mapping[str, Tensor]) -> _Moving:
        return _Moving(reference.image.clamp(0, 1), reference.latents.get("motion"))

    def analysis(self, x: Tensor) -> Tensor:
        flow = self.model.optic_flow(x, self.sure.frame.to(x))
        return self.model.mv_encoder(flow) / self._gain.to(x)

    def synthesis(self, y_hat: Tensor) -> Tensor:
        flow = self.model.mv_decoder(self.scaled(y_hat))
        frame = texture(flow.shape[-2:], flow) if self.known is None else self.known.frame
        return warp(frame.to(flow).expand(len(flow), -1, -1, -1), flow)

    def hyper_analysis(self, y: Tensor) -> Tensor:
        return self.model.mv_hyper_prior_encoder(y)

    def _given(self, networks: Any, z_hat: Tensor) -> Tensor:
        decoded = networks.mv_hyper_prior_decoder(z_hat)
        before = self._before(self.known.latent if self.known else None, decoded)
        fused: Tensor = networks.mv_y_prior_fusion(torch.cat([decoded, before], dim=1))
        return fused


@dataclass(frozen=True)
class _Seen:
    """What the residual's networks know."""

    contexts: Sequence[Tensor]
    """(1, C, H, W), and at a half and a quarter of the size."""
    latent: Tensor | None
    """The residual of the frame before (1, M, h, w)."""


class ResidualAdapter(Knowing[_Seen], PartAdapter):
    """The frame itself, given contexts that are made of the one before and the motion.

    Args:
        motion_gain: of the motion's latents.
    """

    estimator = "bit_estimator_z"

    def __init__(self, model: nn.Module, portable: bool, gain: Tensor, motion_gain: Tensor):
        self._motion_gain = motion_gain
        super().__init__(model, portable, gain)

    def decoder_parts(self) -> list[nn.Module]:
        return [*super().decoder_parts(), Scale(self._motion_gain)]

    @torch.no_grad()
    def knowledge(self, reference: Reference, decoded: Mapping[str, Tensor]) -> _Seen:
        networks = self._shared
        like = next(networks.parameters())
        motion = decoded["motion"].to(like)
        flow = networks.mv_decoder(motion * self._motion_gain.to(like))
        if reference.features is None:
            features = networks.feature_adaptor_I(reference.image.clamp(0, 1).to(like))
        else:
            features = networks.feature_adaptor_P(reference.features.to(like))
        return _Seen(_contexts(networks, features, flow), reference.latents.get("residual"))

    def _seen(self, like: Tensor, stride: int) -> _Seen:
        """What is known, or what stands for it; ``like`` a latent of that stride."""
        if self.known is not None:
            return self.known
        networks = self.model
        frame = texture([stride * side for side in like.shape[-2:]], next(networks.parameters()))
        still = frame.new_zeros(1, 2, *frame.shape[-2:])
        return _Seen(_contexts(networks, networks.feature_adaptor_I(frame[:1]), still), None)

    def analysis(self, x: Tensor) -> Tensor:
        contexts = [context.to(x) for context in self.sure.contexts]
        return self.model.contextual_encoder(x, *contexts) / self._gain.to(x)

    def synthesis(self, y_hat: Tensor) -> Tensor:
        return self._made(y_hat)[1]

    def remembered(self, y_hat: Tensor) -> tuple[Tensor, Tensor | None]:
        features, image = self._made(y_hat)
        return image, features

    def _made(self, y_hat: Tensor) -> tuple[Tensor, Tensor]:
        """Features and image."""
        contexts = self._seen(y_hat, _MAIN_STRIDE).contexts
        fine, half, quarter = (c.to(y_hat).expand(len(y_hat), -1, -1, -1) for c in contexts)
        decoded = self.model.contextual_decoder(self.scaled(y_hat), half, quarter)
        made: tuple[Tensor, Tensor] = self.model.recon_generation_net(decoded, fine)
        return made

    def hyper_analysis(self, y: Tensor) -> Tensor:
        return self.model.contextual_hyper_prior_encoder(y)

    def _given(self, networks: Any, z_hat: Tensor) -> Tensor:
        decoded = networks.contextual_hyper_prior_decoder(z_hat)
        seen = self._seen(z_hat, self.stride)
        temporal = networks.temporal_prior_encoder(seen.contexts[-1].to(z_hat))
        before = self._before(seen.latent, decoded)
        fused: Tensor = networks.y_prior_fusion(torch.cat([temporal, decoded, before], dim=1))
        return fused


def is_dmc(model: nn.Module) -> bool:
    """Whether a model is DCVC-HEM's ``DMC``, or built like it."""
    names = (*_MOTION, *_RESIDUAL, *(f"{q}_{kind}" for q in _SCALES_OF.values() for kind in _KINDS))
    return all(hasattr(model, name) for name in names)


class DMCAdapter(KeyedAdapter):
    """``DMC``, with an image codec for key frames.

    Args:
        key: adapter of the codec of key frames, whose side latent has a stride of 64.
        q_index: which of the checkpoint's rates.
        q_scale: or multipliers of all steps, of motion and residual.

    Raises:
        UnsupportedModelError: the key frames' codec has another stride.
        InputError: there is no such rate.
    """

    def __init__(
        self,
        model: nn.Module,
        portable: bool,
        key: Adapter,
        q_index: int = 0,
        q_scale: tuple[float, float] | None = None,
    ):
        if q_scale is not None and (not isinstance(q_scale, tuple) or len(q_scale) != 2):
            raise InputError(f"q_scale {q_scale!r}: expected two numbers, of motion and residual")
        own = [_parameter(model, name, "scale") for name in _SCALES_OF]
        given = q_scale or [chosen_scale(scales, q_index) for scales in own]
        basics = [_parameter(model, name, "basic") for name in _SCALES_OF]
        gains = [least_gain(basic, scale) for basic, scale in zip(basics, given)]
        predicted = {
            "motion": MotionAdapter(Networks(model, _MOTION), portable, gains[0]),
            "residual": ResidualAdapter(Networks(model, _RESIDUAL), portable, gains[1], gains[0]),
        }
        super().__init__(key, predicted, portable)


def video(
    key: nn.Module,
    adapter: MakeAdapter,
    q_index: int = 0,
    q_scale: tuple[float, float] | None = None,
) -> Callable[[nn.Module, bool], DMCAdapter]:
    """For ``latentopt.wrap(dmc, adapter=video(key, adapter))``.

    Args:
        key: the codec of key frames, with a hyperprior.
        adapter: its adapter, for example ``latentopt.adapters.adapter_class(key)``.
        q_index, q_scale: see :class:`DMCAdapter`.
    """

    def make(model: nn.Module, portable: bool) -> DMCAdapter:
        return DMCAdapter(model, portable, adapter(still_copy(key), portable), q_index, q_scale)

    return make


def _contexts(networks: Any, features: Tensor, flow: Tensor) -> Sequence[Tensor]:
    """Contexts of three scales, from features of the frame before (1, C, H, W)."""
    flows = [flow]
    for _ in range(2):
        half = [side // 2 for side in flows[-1].shape[-2:]]
        flows.append(nn.functional.interpolate(flows[-1], half, mode="bilinear") / 2)
    scales = networks.feature_extractor(features)
    contexts: Sequence[Tensor] = networks.context_fusion_net(*map(warp, scales, flows))
    return contexts


def _parameter(model: nn.Module, part: str, kind: str) -> Tensor:
    found: Tensor = getattr(model, f"{_SCALES_OF[part]}_{kind}")
    return found.detach()
