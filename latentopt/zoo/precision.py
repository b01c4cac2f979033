"""Weights in few bits: a way to store them, not to run them. Entropy coding needs float32."""

from collections.abc import Mapping

import torch
from torch import Tensor

from latentopt.errors import WeightsError

_SCALE = "#scale"  # of a tensor in eight bits, one per slice of its first dimension
_SHAPE = "#shape"  # of a tensor that repeats itself, stored once
_LARGEST = 127
_MOST_CHANNELS = 1 << 12  # of a convolution


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
    """All in float32, by one exactly rounded multiplication: the same on every machine.

    Raises:
        WeightsError: a scale or shape is none of its tensor.
    """
    wide = {}
    for name, value in state.items():
        scale, shape = state.get(name + _SCALE), state.get(name + _SHAPE)
        if scale is not None:
            value = _scaled(name, value, scale)
        if shape is not None:
            value = _spread(name, value, shape)
        if not name.endswith((_SCALE, _SHAPE)):
            wide[name] = value.float() if value.is_floating_point() else value
    return wide


def _scaled(name: str, value: Tensor, scale: Tensor) -> Tensor:
    """The mirror of :func:`bytes_`."""
    if scale.shape != value.shape[:1] or not scale.is_floating_point():
        raise WeightsError(
            f"{name}: shape {tuple(value.shape)} needs as many scales as it has slices, and it "
            f"has {tuple(scale.shape)}"
        )
    return value.float() * scale.reshape(-1, *[1] * (value.ndim - 1))


def _spread(name: str, value: Tensor, shape: Tensor) -> Tensor:
    """The mirror of :func:`repeated`."""
    whole = shape.dtype == torch.int64 and shape.ndim == 1
    sides = shape.tolist() if whole else []
    fits = whole and value.shape[:2] == (1, 1) and tuple(sides[2:]) == value.shape[2:]
    if not fits or not all(0 < side <= _MOST_CHANNELS for side in sides[:2]):
        raise WeightsError(
            f"{name}: {tuple(value.shape)} does not repeat to a shape of {shape.tolist()}"
        )
    return value.expand(sides).contiguous()
