"""Weights in few bits: a way to store them, not to run them. Entropy coding needs float32."""

from collections.abc import Mapping

import torch
from torch import Tensor

from latentopt.errors import WeightsError

_SCALE = "#scale"  # of a tensor in eight bits, one per slice of its first dimension
_SHAPE = "#shape"  # of a tensor that repeats itself, stored once
_LARGEST = 127


def halves(name: str, value: Tensor) -> dict[str, Tensor]:
    """A tensor in half precision; WeightsError where that has no such number."""
    half = value.half()
    if not torch.isfinite(half).all():
        raise WeightsError(f"{name}: holds NaN or values beyond half precision (65504)")
    return {name: half}


def bytes_(name: str, value: Tensor) -> dict[str, Tensor]:
    """A tensor in eight bits and a scale per slice of its first dimension.

    The scales have eleven bits, so that storing what was restored changes nothing.
    """
    largest = value.flatten(1).abs().amax(dim=1)
    scale = halves(name, (largest / _LARGEST).clamp(min=2**-14))[name].float()
    steps = value / scale.reshape(-1, *[1] * (value.ndim - 1))
    return {
        name: steps.round().clamp(-_LARGEST, _LARGEST).to(torch.int8),
        name + _SCALE: scale,
    }


def repeated(name: str, value: Tensor) -> dict[str, Tensor]:
    """A convolution's mask (out, in, kh, kw), which is the same for all channels."""
    once = value[:1, :1]
    assert torch.equal(once.expand_as(value), value), name
    return {name: once.contiguous(), name + _SHAPE: torch.tensor(value.shape)}


def restored(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """All in float32, by one exactly rounded multiplication: the same on every machine."""
    wide = {}
    for name, value in state.items():
        scale, shape = state.get(name + _SCALE), state.get(name + _SHAPE)
        if scale is not None:
            value = value.float() * scale.reshape(-1, *[1] * (value.ndim - 1))
        if shape is not None:
            value = value.expand(shape.tolist()).contiguous()
        if not name.endswith((_SCALE, _SHAPE)):
            wide[name] = value.float() if value.is_floating_point() else value
    return wide
