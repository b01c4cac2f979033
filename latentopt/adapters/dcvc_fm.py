"""DCVC-FM's predicted frames (Li et al. 2024): ``DMC`` as DCVC-DC's, with three differences.

- Its networks see YCbCr (BT.709, full range): pictures are turned on their way in and out.
- Features that the frame before left are dropped after each 32 frames, and which network they go
  through repeats after eight; frames are counted from the key frame.
- Steps have one number for all channels, of any of 64 rates: between the checkpoint's two.

The class is known by its structure; none of its code is here.
"""

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from latentopt.adapters import dcvc_dc
from latentopt.adapters.base import Adapter
from latentopt.adapters.colours import rgb, ycbcr
from latentopt.adapters.dcvc_dc import NETWORKS
from latentopt.adapters.dmc import AnyDMCAdapter, Gains
from latentopt.adapters.predicted import MakeAdapter, with_key
from latentopt.adapters.reference import Reference
from latentopt.errors import InputError

RATES = 64
_PERIOD = 32  # frames after which features are dropped
_GAINS = [f"{part}_q_{side}" for part in ("mv_y", "y") for side in ("enc", "dec")]


class _InYCbCr:
    """Mixed into adapters whose networks see YCbCr."""

    def seen(self, image: Tensor) -> Tensor:
        return ycbcr(image)

    def shown(self, image: Tensor) -> Tensor:
        return rgb(image)


class MotionAdapter(_InYCbCr, dcvc_dc.MotionAdapter):
    """Motion."""


class ResidualAdapter(_InYCbCr, dcvc_dc.ResidualAdapter):
    """The frame itself."""

    adaptors = (0, 1, 0, 2, 0, 2, 0, 2)

    def _adapted(self, networks: Any, reference: Reference, frame: Tensor) -> Tensor:
        if reference.age % _PERIOD == 0:
            reference = replace(reference, features=None)
        return super()._adapted(networks, reference, frame)


def is_fm(model: nn.Module) -> bool:
    """Whether a model is DCVC-FM's ``DMC``, or built like it."""
    return all(hasattr(model, name) for names in (*NETWORKS, _GAINS) for name in names)


class FMAdapter(AnyDMCAdapter):
    """``DMC``, with an image codec for key frames.

    Args:
        key: adapter of the codec of key frames, whose side latent has a stride of 64.
        q_index: which of 64 rates, the lowest first.

    Raises:
        UnsupportedModelError: the key frames' codec has another stride.
        InputError: there is no such rate.
    """

    motion, residual, networks = MotionAdapter, ResidualAdapter, NETWORKS

    def __init__(self, model: nn.Module, portable: bool, key: Adapter, q_index: int = 0):
        if type(q_index) is not int or not 0 <= q_index < RATES:
            raise InputError(f"q_index {q_index!r}: DCVC-FM has {RATES} rates")
        steps = [_between(getattr(model, name), q_index) for name in _GAINS]
        gains = [Gains(*steps[:2]), Gains(*steps[2:])]
        super().__init__(model, portable, key, gains)


def video(
    key: nn.Module, adapter: MakeAdapter, q_index: int = 0
) -> Callable[[nn.Module, bool], FMAdapter]:
    """For ``latentopt.wrap(dmc, adapter=video(key, adapter))``.

    Args:
        key: the codec of key frames, with a hyperprior.
        adapter: its adapter, for example ``latentopt.adapters.adapter_class(key)``.
        q_index: see :class:`FMAdapter`.
    """
    return with_key(partial(FMAdapter, q_index=q_index), key, adapter)


def _between(ends: Tensor, q_index: int) -> Tensor:
    """(1, 1, 1, 1) of a rate, between those of the first and the last, in logarithms."""
    # not PyTorch's own, whose last bit is another on other machines
    first, last = (math.log(end) for end in ends.detach().flatten().tolist())
    step = math.exp(first + (last - first) * q_index / (RATES - 1))
    return torch.full((1, 1, 1, 1), step, device=ends.device)
