"""A codec with another quantization step, as a model of its own: one checkpoint, several rates."""

import copy
import math
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from latentopt.adapters.base import Scale
from latentopt.adapters.context import ContextAdapter
from latentopt.adapters.dcvc import IntraAdapter
from latentopt.adapters.invcompress import InvCompressAdapter
from latentopt.adapters.predicted import VideoAdapter
from latentopt.adapters.registry import adapter_class
from latentopt.adapters.scales import standard_scales
from latentopt.adapters.side import SideAdapter
from latentopt.adapters.tree import TreeAdapter
from latentopt.adapters.variational import VariationalAdapter
from latentopt.adapters.vbr import FixedRate
from latentopt.bitstream import Origin
from latentopt.errors import InputError, UnsupportedModelError

_STEPS = (1e-3, 1e3)  # beyond these float32 holds neither the latent nor its scales
_UNSTEPPED = (InvCompressAdapter, TreeAdapter, IntraAdapter, VideoAdapter, VariationalAdapter)


def has_steps(model: nn.Module) -> bool:
    """Whether :func:`with_step` knows a CompressAI model's family.

    Raises:
        UnsupportedModelError: the model's class has no adapter.
    """
    return not issubclass(adapter_class(model), _UNSTEPPED)


def with_step(model: nn.Module, step: float) -> nn.Module:
    """A copy of a CompressAI model whose main latent is quantized with that step.

    Its latent is y / step, and its densities and networks are rescaled to match, so everything that
    works on the original (its own ``compress``, ``latentopt.wrap``) works on the copy. A step of 1
    returns the model itself.

    Raises:
        InputError: the step is not a positive number, or no such step can be coded.
        UnsupportedModelError: the model is a video codec, its class has no adapter, or it keeps
            its transforms elsewhere than in ``g_a`` and ``g_s`` or its densities elsewhere than its
            zoo's classes do.
    """
    if not (math.isfinite(step) and step > 0):
        raise InputError(f"step {step}: it must be a positive number")
    if not _STEPS[0] <= step <= _STEPS[1]:
        raise InputError(f"step {step:g}: from {_STEPS[0]:g} to {_STEPS[1]:g} can be coded")
    adapter = adapter_class(model)
    if step == 1:
        return model
    if isinstance(model, FixedRate):
        return _named(model.with_step(step), model, step)
    if not has_steps(model):
        name = type(model).__qualname__
        raise UnsupportedModelError(f"{name} cannot be measured at other steps: use step 1 only")
    stepped: Any = copy.deepcopy(model)
    stepped.g_a = nn.Sequential(stepped.g_a, Scale(1 / step))
    stepped.g_s = nn.Sequential(Scale(step), stepped.g_s)
    if issubclass(adapter, SideAdapter):
        stepped.h_a = nn.Sequential(Scale(step), stepped.h_a)
        last = "entropy_parameters" if issubclass(adapter, ContextAdapter) else "h_s"
        setattr(stepped, last, nn.Sequential(getattr(stepped, last), Scale(1 / step)))
        if issubclass(adapter, ContextAdapter):
            stepped.context_prediction.weight.data.mul_(step)
    else:
        _rescale_density(stepped.entropy_bottleneck, step)
    lmbda: Any = getattr(model, "lmbda", None)
    if lmbda:
        stepped.lmbda = lmbda / step**2  # as the error that a step makes goes with its square
    _named(stepped, model, step)
    stepped.to(next(model.parameters()).device)
    stepped.update(_scales(model), force=True)
    return stepped.eval()


def _scales(model: Any) -> Tensor:
    """The model's own table of scales, not one that this machine computes."""
    own = getattr(model, "gaussian_conditional", None)
    return own.scale_table if own is not None and own.scale_table.numel() else standard_scales()


def _named(stepped: Any, model: nn.Module, step: float) -> nn.Module:
    """The model of another step, with its origin where the model has one."""
    if isinstance(origin := getattr(model, "origin", None), Origin):
        # A step on top of another rounds otherwise than their product: it has no name.
        stepped.origin = replace(origin, step=float(step)) if origin.step == 1 else None
    return stepped


@torch.no_grad()
def _rescale_density(bottleneck: Any, step: float) -> None:
    """From the density of y to that of y / step: F(t) becomes F(step * t)."""
    first = bottleneck.matrices[0]
    slope = nn.functional.softplus(first.double()) * step
    first.copy_(slope + torch.log(-torch.expm1(-slope)))  # the inverse of softplus
    bottleneck.quantiles.div_(step)
