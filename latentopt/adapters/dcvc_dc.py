"""DCVC-DC's predicted frames (Li et al. 2023): ``DMC`` of four passes, with diverse offsets.

What goes where: :mod:`latentopt.adapters.dmc`. What is its own:

- The steps that set the rate are inside of the transforms, other ones in encoder and decoder.
- Features of the full size are moved by several flows each: a network says how these differ.
- The encoder of the motion sees what the decoder of the motion before it made on its way.
- Features that the frame before left go through one of three networks, by the number of the frame:
  qualities differ, in groups of four. Frames are counted from the key frame, where DCVC's own
  script counts those of the clip; so what follows a key frame decodes alone.
- Other networks prepare the fusion of priors where there is no latent of the frame before.

The class is known by its structure; none of its code is here.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from latentopt.adapters.base import Adapter, Networks
from latentopt.adapters.dcvc import two_gains
from latentopt.adapters.dcvc_net import warp
from latentopt.adapters.dmc import (
    MOTION,
    AnyDMCAdapter,
    Gains,
    MotionPart,
    PartAdapter,
    ResidualPart,
    residual_names,
)
from latentopt.adapters.predicted import MakeAdapter, with_key
from latentopt.adapters.reference import Reference
from latentopt.adapters.spatial_prior import InFourPasses, adaptor_names
from latentopt.errors import InputError

_PARTS = ("mv_y", "y")


def _of_priors(part: str) -> tuple[str, ...]:
    fusion = tuple(f"{part}_prior_fusion_adaptor_{k}" for k in (0, 1))
    return (*adaptor_names(f"{part}_spatial_prior"), *fusion)


NETWORKS = (
    (*MOTION, *_of_priors("mv_y")),
    (*residual_names("feature_adaptor", "align"), *_of_priors("y")),
)
"""Names of those of motion and residual."""

_GAINS = [
    f"{part}_q_{kind}_{side}"
    for part in _PARTS
    for kind in ("basic", "scale")
    for side in ("enc", "dec")
]


class _Part(InFourPasses, PartAdapter):
    def _joined(self, networks: Any, given: Sequence[Tensor], before: Tensor | None) -> Tensor:
        seen = [] if before is None else [before.expand(len(given[0]), -1, -1, -1)]
        adaptor = getattr(networks, f"{self.prior_fusion}_adaptor_{len(seen)}")
        joined: Tensor = adaptor(torch.cat([*given, *seen], dim=1))
        return joined


class MotionAdapter(_Part, MotionPart):
    """Motion."""

    def analysis(self, x: Tensor) -> Tensor:
        flow = self.model.optic_flow(self.seen(x), self.sure.frame.to(x))
        latent = self.sure.latent
        before = None if latent is None else self._made(self.model, latent.to(x))[1]
        return self.model.mv_encoder(flow, before, self.gains.encoder.to(x))

    def flow(self, networks: Networks, y_hat: Tensor) -> Tensor:
        return self._made(networks, y_hat)[0]

    def _made(self, networks: Any, y_hat: Tensor) -> tuple[Tensor, Tensor]:
        """The flow, and features for the next frame's encoder."""
        made: tuple[Tensor, Tensor] = networks.mv_decoder(y_hat, self.gains.decoder.to(y_hat))
        return made


class ResidualAdapter(_Part, ResidualPart):
    """The frame itself."""

    adaptors: Sequence[int] = (0, 1, 0, 2)
    """Which network adapts the features that the frame before left, by the frame's number."""

    def _adapted(self, networks: Any, reference: Reference, frame: Tensor) -> Tensor:
        if reference.features is None:
            return networks.feature_adaptor_I(frame)
        number = reference.age + 1
        adaptor = networks.feature_adaptor[self.adaptors[number % len(self.adaptors)]]
        adapted: Tensor = adaptor(reference.features.to(frame))
        return adapted

    def _aligned(self, networks: Any, features: Tensor, frame: Tensor, flow: Tensor) -> Tensor:
        align = networks.align
        seen = [warp(features, flow), warp(frame, flow), flow]
        half = align.conv_offset(torch.cat(seen, dim=1))
        *shifts, masks = nn.functional.interpolate(half, scale_factor=2, mode="bilinear").chunk(
            3, dim=1
        )
        shift = align.max_residue_magnitude * torch.tanh(torch.cat(shifts, dim=1))
        flows = shift + flow.repeat(1, masks.shape[1], 1, 1)
        groups = features.repeat(1, align.offset_num, 1, 1).chunk(masks.shape[1], dim=1)
        each = zip(groups, flows.split(2, dim=1), torch.sigmoid(masks).split(1, dim=1))
        moved = [warp(group, own) * mask for group, own, mask in each]
        return align.fusion(torch.cat(moved, dim=1))

    def analysis(self, x: Tensor) -> Tensor:
        contexts = [context.to(x) for context in self.sure.contexts]
        return self.model.contextual_encoder(self.seen(x), *contexts, self.gains.encoder.to(x))

    def _decoded(self, y_hat: Tensor, half: Tensor, quarter: Tensor) -> Tensor:
        gain = self.gains.decoder.to(y_hat)
        return self.model.contextual_decoder(y_hat, half, quarter, gain)


def is_dc(model: nn.Module) -> bool:
    """Whether a model is DCVC-DC's ``DMC``, or built like it."""
    return all(hasattr(model, name) for names in (*NETWORKS, _GAINS) for name in names)


Pair = tuple[float, float]


class DCAdapter(AnyDMCAdapter):
    """``DMC``, with an image codec for key frames.

    Args:
        key: adapter of the codec of key frames, whose side latent has a stride of 64.
        q_index: which of the checkpoint's rates.
        q_scale: or multipliers of motion and residual, each the encoder's and the decoder's.

    Raises:
        UnsupportedModelError: the key frames' codec has another stride.
        InputError: there is no such rate.
    """

    motion, residual, networks = MotionAdapter, ResidualAdapter, NETWORKS

    def __init__(
        self,
        model: nn.Module,
        portable: bool,
        key: Adapter,
        q_index: int = 0,
        q_scale: tuple[Pair, Pair] | None = None,
    ):
        if q_scale is not None and (not isinstance(q_scale, tuple) or len(q_scale) != 2):
            raise InputError(f"q_scale {q_scale!r}: expected two pairs, of motion and residual")
        pairs = zip(_PARTS, q_scale or (None, None))
        gains = [Gains(*two_gains(model, f"{part}_", pair, q_index)) for part, pair in pairs]
        super().__init__(model, portable, key, gains)


def video(
    key: nn.Module,
    adapter: MakeAdapter,
    q_index: int = 0,
    q_scale: tuple[Pair, Pair] | None = None,
) -> Callable[[nn.Module, bool], DCAdapter]:
    """For ``latentopt.wrap(dmc, adapter=video(key, adapter))``.

    Args:
        key: the codec of key frames, with a hyperprior.
        adapter: its adapter, for example ``latentopt.adapters.adapter_class(key)``.
        q_index, q_scale: see :class:`DCAdapter`.
    """
    return with_key(partial(DCAdapter, q_index=q_index, q_scale=q_scale), key, adapter)
