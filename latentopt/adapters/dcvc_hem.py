"""DCVC-HEM's predicted frames (Li et al. 2022): ``DMC`` of two passes.

What goes where: :mod:`latentopt.adapters.dmc`. Latents are divided by a gain in the encoder; zeros
stand for those of the frame before where there are none. The class is known by its structure; none
of its code is here.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from latentopt.adapters.base import Adapter, Networks
from latentopt.adapters.dcvc import chosen_scale, least_gain
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
from latentopt.adapters.spatial_prior import InTwoPasses
from latentopt.errors import InputError

_RESIDUAL = residual_names("feature_adaptor_P")
_SCALES_OF = {"motion": "mv_y_q", "residual": "y_q"}
_KINDS = ("basic", "scale")


class _Part(InTwoPasses, PartAdapter):
    def scaled(self, y_hat: Tensor) -> Tensor:
        """A latent as the networks that come after it take it."""
        return y_hat * self.gains.decoder.to(y_hat)

    def _joined(self, networks: Any, given: Sequence[Tensor], before: Tensor | None) -> Tensor:
        if before is None:
            like = given[0]
            scaled = like.new_zeros(1, self.gains.decoder.shape[1], *like.shape[-2:])
        else:
            scaled = self.scaled(before)
        return torch.cat([*given, scaled.expand(len(given[0]), -1, -1, -1)], dim=1)


class MotionAdapter(_Part, MotionPart):
    """Motion."""

    def analysis(self, x: Tensor) -> Tensor:
        flow = self.model.optic_flow(self.seen(x), self.sure.frame.to(x))
        return self.model.mv_encoder(flow) / self.gains.encoder.to(x)

    def flow(self, networks: Networks, y_hat: Tensor) -> Tensor:
        found: Tensor = networks.get("mv_decoder")(self.scaled(y_hat))
        return found


class ResidualAdapter(_Part, ResidualPart):
    """The frame itself."""

    def analysis(self, x: Tensor) -> Tensor:
        contexts = [context.to(x) for context in self.sure.contexts]
        return self.model.contextual_encoder(self.seen(x), *contexts) / self.gains.encoder.to(x)

    def _decoded(self, y_hat: Tensor, half: Tensor, quarter: Tensor) -> Tensor:
        return self.model.contextual_decoder(self.scaled(y_hat), half, quarter)


def is_dmc(model: nn.Module) -> bool:
    """Whether a model is DCVC-HEM's ``DMC``, or built like it."""
    names = (*MOTION, *_RESIDUAL, *(f"{q}_{kind}" for q in _SCALES_OF.values() for kind in _KINDS))
    return all(hasattr(model, name) for name in names)


class DMCAdapter(AnyDMCAdapter):
    """``DMC``, with an image codec for key frames.

    Args:
        key: adapter of the codec of key frames, whose side latent has a stride of 64.
        q_index: which of the checkpoint's rates.
        q_scale: or multipliers of all steps, of motion and residual.

    Raises:
        UnsupportedModelError: the key frames' codec has another stride.
        InputError: there is no such rate.
    """

    motion, residual = MotionAdapter, ResidualAdapter
    networks = MOTION, _RESIDUAL

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
        super().__init__(model, portable, key, [Gains(gain, gain) for gain in gains])


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
    return with_key(partial(DMCAdapter, q_index=q_index, q_scale=q_scale), key, adapter)


def _parameter(model: nn.Module, part: str, kind: str) -> Tensor:
    found: Tensor = getattr(model, f"{_SCALES_OF[part]}_{kind}")
    return found.detach()
