"""What the predicted frames of DCVC-TCM, -HEM, -DC and -FM have in common: ``DMC``.

    x, frame before ─► optic_flow ─► mv_encoder ─► motion latent ─► mv_decoder ─► flow
                                                                                   │
    features of the frame before ─► feature_extractor ─► three scales ─► align ◄───┘
                                                                           │
                                            context_fusion_net ─► contexts of three scales
                                                                           │
    x ────────────────► contextual_encoder ─► residual latent ─► contextual_decoder
                                                                           │
                          features, for the next frame ◄── recon_generation_net ─► x_hat

Both latents are Laplace, coded in a few passes (:mod:`latentopt.adapters.spatial_prior`), given a
side latent and the same latent of the frame before, the residual's also given the contexts. After a
key frame there are no features and no latents: the frame itself, and what each family has, stand
for them. Tables depend on all of that, so where portable the decoder is float64 on the CPU, as in
:mod:`latentopt.adapters.dcvc_net`. The classes are known by their structure; none of their code is
here.
"""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from latentopt.adapters.base import Adapter, Networks, Scale
from latentopt.adapters.dcvc import bit_estimator_density
from latentopt.adapters.dcvc_net import warp
from latentopt.adapters.predicted import KeyedAdapter, Knowing, texture
from latentopt.adapters.reference import Reference
from latentopt.adapters.spatial_prior import InPasses
from latentopt.densities import FactorizedDensity, LaplaceDensity, ScaleDensity

SCALES = np.geomspace(0.01, 64, 64)
"""From DCVC's smallest to its largest, in a quarter of its steps."""

_MAIN_STRIDE = 16  # pixels per element

ENCODERS = (
    *("optic_flow", "mv_encoder", "mv_hyper_prior_encoder", "mv_prior_encoder"),
    *("contextual_encoder", "contextual_hyper_prior_encoder"),
)
"""What only the encoder computes."""

MOTION = (
    *("optic_flow", "mv_encoder", "mv_hyper_prior_encoder", "mv_hyper_prior_decoder"),
    *("mv_y_prior_fusion", "mv_y_spatial_prior", "mv_decoder", "bit_estimator_z_mv"),
)
"""Networks that the motion needs in all families."""


def residual_names(*adaptors: str) -> tuple[str, ...]:
    """Networks that the residual needs, with a family's own that adapt features."""
    return (
        *("feature_adaptor_I", *adaptors, "feature_extractor", "context_fusion_net"),
        *("contextual_encoder", "contextual_hyper_prior_encoder", "contextual_hyper_prior_decoder"),
        *("temporal_prior_encoder", "y_prior_fusion", "y_spatial_prior", "bit_estimator_z"),
        *("contextual_decoder", "recon_generation_net", "mv_decoder"),
    )


@dataclass(frozen=True)
class Gains:
    """What sets the rate of a part: each (1, C, 1, 1), or of one channel for all."""

    encoder: Tensor
    decoder: Tensor


class PartAdapter(InPasses):
    """What the motion and the residual latent have in common.

    Args:
        model: the networks of the part, see :class:`Networks`.
        gains: of its transforms.
    """

    spatial_prior: str
    prior_fusion: str
    estimator: str
    """Names of networks, and of the side latent's density."""

    def __init__(self, model: nn.Module, portable: bool, gains: Gains):
        self.gains = gains
        super().__init__(model, portable)

    def make_densities(self) -> tuple[ScaleDensity, FactorizedDensity]:
        return LaplaceDensity(SCALES), bit_estimator_density(getattr(self.model, self.estimator))

    def decoder_parts(self) -> list[nn.Module]:
        own = [module for name, module in self.model.named_children() if name not in ENCODERS]
        return [*own, Scale(self.gains.decoder)]

    def seen(self, image: Tensor) -> Tensor:
        """An image (B, 3, H, W) in the colours that the networks know."""
        return image

    def shown(self, image: Tensor) -> Tensor:
        """The inverse of :meth:`seen`."""
        return image

    @abstractmethod
    def _joined(self, networks: Any, given: Sequence[Tensor], before: Tensor | None) -> Tensor:
        """What the fusion of priors takes: all that is ``given`` (1, C, h, w), side by side, and
        the latent of the frame ``before``, if there is one (1, M, h, w).
        """

    def _fused(self, networks: Any, given: Sequence[Tensor], before: Tensor | None) -> Tensor:
        before = None if before is None else before.to(given[0])
        joined = self._joined(networks, given, before)
        fused: Tensor = getattr(networks, self.prior_fusion)(joined)
        return fused


@dataclass(frozen=True)
class Moving:
    """What the motion's networks know."""

    frame: Tensor
    """The one before, (1, 3, H, W) in [0, 1], as the networks see it."""
    latent: Tensor | None
    """Its motion (1, M, h, w)."""


class MotionPart(Knowing[Moving], PartAdapter):
    """Motion; its synthesis is the frame before, warped."""

    spatial_prior, prior_fusion = "mv_y_spatial_prior", "mv_y_prior_fusion"
    estimator = "bit_estimator_z_mv"

    @abstractmethod
    def flow(self, networks: Networks, y_hat: Tensor) -> Tensor:
        """Flow (B, 2, H, W) of a motion latent."""

    def knowledge(self, reference: Reference, decoded: Mapping[str, Tensor]) -> Moving:
        return Moving(self.seen(reference.image).clamp(0, 1), reference.latents.get("motion"))

    def synthesis(self, y_hat: Tensor) -> Tensor:
        flow = self.flow(self.model, y_hat)
        frame = texture(flow.shape[-2:], flow) if self.known is None else self.known.frame
        return self.shown(warp(frame.to(flow).expand(len(flow), -1, -1, -1), flow))

    def hyper_analysis(self, y: Tensor) -> Tensor:
        return self.model.mv_hyper_prior_encoder(y)

    def _given(self, networks: Any, z_hat: Tensor) -> Tensor:
        decoded = networks.mv_hyper_prior_decoder(z_hat)
        return self._fused(networks, [decoded], self.known.latent if self.known else None)


@dataclass(frozen=True)
class Seen:
    """What the residual's networks know."""

    contexts: Sequence[Tensor]
    """(1, C, H, W), and at a half and a quarter of the size."""
    latent: Tensor | None
    """The residual of the frame before (1, M, h, w)."""


class ResidualPart(Knowing[Seen], PartAdapter):
    """The frame itself, given contexts that are made of the one before and the motion.

    Args:
        motion: adapter of the motion's latents.
    """

    spatial_prior, prior_fusion = "y_spatial_prior", "y_prior_fusion"
    estimator = "bit_estimator_z"
    in_prior = 1
    """How many of the contexts the prior sees, the coarsest last."""

    def __init__(self, model: nn.Module, portable: bool, gains: Gains, motion: MotionPart):
        self._motion = motion
        super().__init__(model, portable, gains)

    def _adapted(self, networks: Any, reference: Reference, frame: Tensor) -> Tensor:
        """Features (1, C, H, W) of the frame before, which they see as ``frame``."""
        if reference.features is None:
            return networks.feature_adaptor_I(frame)
        adapted: Tensor = networks.feature_adaptor_P(reference.features.to(frame))
        return adapted

    def _aligned(self, networks: Any, features: Tensor, frame: Tensor, flow: Tensor) -> Tensor:
        """Features of the full size, moved to where the flow says."""
        return warp(features, flow)

    @abstractmethod
    def _decoded(self, y_hat: Tensor, half: Tensor, quarter: Tensor) -> Tensor:
        """What the contextual decoder makes of a latent (B, M, h, w), given contexts."""

    def decoder_parts(self) -> list[nn.Module]:
        return [*super().decoder_parts(), Scale(self._motion.gains.decoder)]

    @torch.no_grad()
    def knowledge(self, reference: Reference, decoded: Mapping[str, Tensor]) -> Seen:
        networks = self._shared
        like = next(networks.parameters())
        flow = self._motion.flow(networks, decoded["motion"].to(like))
        frame = self.seen(reference.image.to(like)).clamp(0, 1)
        features = self._adapted(networks, reference, frame)
        contexts = self._contexts(networks, features, frame, flow)
        return Seen(contexts, reference.latents.get("residual"))

    def _contexts(
        self, networks: Any, features: Tensor, frame: Tensor, flow: Tensor
    ) -> Sequence[Tensor]:
        """Contexts of three scales, from features of the frame before (1, C, H, W)."""
        flows = [flow]
        for _ in range(2):
            half = [side // 2 for side in flows[-1].shape[-2:]]
            flows.append(nn.functional.interpolate(flows[-1], half, mode="bilinear") / 2)
        fine, *coarser = networks.feature_extractor(features)
        aligned = self._aligned(networks, fine, frame, flow)
        contexts: Sequence[Tensor] = networks.context_fusion_net(
            aligned, *map(warp, coarser, flows[1:])
        )
        return contexts

    def _seen(self, like: Tensor, stride: int) -> Seen:
        """What is known, or what stands for it; ``like`` a latent of that stride."""
        if self.known is not None:
            return self.known
        networks = self.model
        size = [stride * side for side in like.shape[-2:]]
        frame = texture(size, next(networks.parameters()))[:1]
        still = frame.new_zeros(1, 2, *size)
        features = self._adapted(networks, Reference(frame), frame)
        return Seen(self._contexts(networks, features, frame, still), None)

    def synthesis(self, y_hat: Tensor) -> Tensor:
        return self._made(y_hat)[1]

    def remembered(self, y_hat: Tensor) -> tuple[Tensor, Tensor | None]:
        features, image = self._made(y_hat)
        return image, features

    def _made(self, y_hat: Tensor) -> tuple[Tensor, Tensor]:
        """Features and image."""
        contexts = self._seen(y_hat, _MAIN_STRIDE).contexts
        fine, half, quarter = (c.to(y_hat).expand(len(y_hat), -1, -1, -1) for c in contexts)
        decoded = self._decoded(y_hat, half, quarter)
        features, image = self.model.recon_generation_net(decoded, fine)
        return features, self.shown(image)

    def hyper_analysis(self, y: Tensor) -> Tensor:
        return self.model.contextual_hyper_prior_encoder(y)

    def _given(self, networks: Any, z_hat: Tensor) -> Tensor:
        decoded = networks.contextual_hyper_prior_decoder(z_hat)
        seen = self._seen(z_hat, self.stride)
        contexts = [context.to(z_hat) for context in seen.contexts]
        temporal = networks.temporal_prior_encoder(*contexts[-self.in_prior :])
        return self._fused(networks, [temporal, decoded], seen.latent)


class AnyDMCAdapter(KeyedAdapter):
    """A family's ``DMC``, with an image codec for key frames.

    Args:
        key: adapter of the codec of key frames, whose side latent has a stride of 64.
        gains: of motion and residual.

    Raises:
        UnsupportedModelError: the key frames' codec has another stride.
    """

    motion: type[MotionPart]
    residual: type[ResidualPart]
    networks: tuple[Sequence[str], Sequence[str]]
    """Their names, of each part."""

    def __init__(self, model: nn.Module, portable: bool, key: Adapter, gains: Sequence[Gains]):
        of_motion, of_residual = (Networks(model, names) for names in self.networks)
        motion = self.motion(of_motion, portable, gains[0])
        residual = self.residual(of_residual, portable, gains[1], motion)
        super().__init__(key, {"motion": motion, "residual": residual}, portable)
