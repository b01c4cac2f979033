"""Copies of models whose weights stay where they are, so that threads may share them."""

import copy
import importlib
import inspect
from collections.abc import Callable
from functools import cache
from types import FunctionType
from typing import Any

import torch
from compressai.layers import CheckerboardMaskedConv2d, MaskedConv2d
from torch import Tensor, nn

_LOCALS = "<locals>"
_COMPILED = "_orig_mod"


class _Still(MaskedConv2d):
    """Masks its weights where it uses them.

    CompressAI's masked convolutions put masked weights in place of their own whenever they run: the
    memory that another thread's convolution reads is freed under it.
    """

    def forward(self, x: Tensor) -> Tensor:
        return self._conv_forward(x, self.weight * self.mask, self.bias)


class _StillCheckerboard(_Still, CheckerboardMaskedConv2d):
    """The same with a checkerboard's mask."""


_STILL = {MaskedConv2d: _Still, CheckerboardMaskedConv2d: _StillCheckerboard}


def still_copy(model: nn.Module) -> nn.Module:
    """A copy of a model that computes the same, never writes to its weights, and can be pickled."""
    own = copy.deepcopy(model)
    for module in own.modules():
        kind = type(module)
        module.__class__ = _STILL.get(kind) or _reachable(kind)
    return own


# -- what torch.compile wraps a module in ----------------------------------------------------------


def canonical(name: str) -> str:
    """A parameter's name without what ``torch.compile`` puts into it."""
    return name.replace(f"{_COMPILED}.", "")


def peeled(module: nn.Module) -> nn.Module:
    """The module itself, where ``torch.compile`` has wrapped it."""
    inner: nn.Module = getattr(module, _COMPILED, module)
    return inner


def uncompiled(module: nn.Module) -> nn.Module:
    """The module itself and, in place, its parts, where ``torch.compile`` has wrapped them."""
    found = peeled(module)
    for name, child in list(found.named_children()):
        setattr(found, name, uncompiled(child))
    return found


# -- classes that are defined inside of a function -------------------------------------------------
#
# CompressAI has some: the parts of ScaleSpaceFlow, the residual units of AttentionBlock. Pickle
# finds classes by name, and these have none that it could look up. But whatever makes one of their
# owners makes the class as well.


def _reachable(kind: Any) -> type[nn.Module]:
    """The class, or one like it that can be pickled, where pickle would not find it."""
    return kind if _LOCALS not in kind.__qualname__ else _stand_in(kind)


@cache
def _stand_in(kind: Any) -> type[nn.Module]:
    if _template(kind.__module__, kind.__qualname__) is None:
        return kind  # of a function of the user's own, which pickle will name
    return type(kind.__name__, (kind,), {"__reduce_ex__": _reduce, "__module__": kind.__module__})


def _reduce(module: nn.Module, protocol: int) -> tuple[Callable[..., nn.Module], Any, Any]:
    """For pickle: where the class is made, and the state but for functions from there."""
    local = type(module).__mro__[1]
    state: Any = module.__getstate__()
    state = {k: v for k, v in state.items() if not isinstance(v, FunctionType)}
    return _blank, (local.__module__, local.__qualname__), state


def _blank(path: str, name: str) -> nn.Module:
    """A module without state; the mirror of :func:`_reduce`."""
    template = _template(path, name)
    if template is None:
        raise ImportError(f"{path} has no {name} any more: another version of it?")
    made = object.__new__(_reachable(type(template)))
    functions = {k: v for k, v in vars(template).items() if isinstance(v, FunctionType)}
    vars(made).update(functions)
    return made


@cache
def _template(path: str, name: str) -> nn.Module | None:
    """A module of a local class, made by making an owner with as few channels as may be."""
    try:
        owner = getattr(importlib.import_module(path), name.split(".")[0])
        parameters = list(inspect.signature(owner).parameters.values())
        required = [p for p in parameters if p.default is p.empty and p.kind < p.VAR_POSITIONAL]
        with torch.device("meta"):
            made = owner(*[2] * len(required))
        return next((m for m in made.modules() if type(m).__qualname__ == name), None)
    except (ImportError, AttributeError, TypeError, ValueError, RuntimeError):
        return None
