"""Spectral normalization of an analysis: latents that move no more than images do."""

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm
from torch.nn.utils.parametrize import (
    is_parametrized,
    register_parametrization,
    remove_parametrizations,
)

_WARM_UP = 100
"""Power iterations before training: each access to a weight in training mode is one."""


class _Times(nn.Module):
    """Multiplies a weight of norm 1 by a constant."""

    def __init__(self, norm: float):
        super().__init__()
        self._norm = norm

    def forward(self, weight: Tensor) -> Tensor:
        return self._norm * weight


def hold_norms(network: nn.Module, norm: float | None = None) -> None:
    """Put a network into training with the spectral norm of each convolution held (Miyato et al.).

    Of its weights as a matrix with a row for each output channel; the largest singular value is
    followed by a power iteration at each training step. Until :func:`release_norms`, state dicts
    have other entries.

    Args:
        norm: what it is held at; None: where it is, so that training starts from the same function.
    """
    for layer in _convolutions(network):
        with torch.no_grad():
            own = float(torch.linalg.matrix_norm(layer.weight.flatten(1), ord=2))
            spectral_norm(layer.train())
            for _ in range(_WARM_UP):
                _ = layer.weight
        register_parametrization(layer, "weight", _Times(own if norm is None else norm))


def release_norms(network: nn.Module) -> None:
    """Leave the weights as they are, and free from now on."""
    for layer in _convolutions(network):
        if is_parametrized(layer, "weight"):
            _unshare_class(layer)
            remove_parametrizations(layer, "weight")


def _unshare_class(layer: nn.Module) -> None:
    """Give a layer a class of its own: PyTorch takes the weight from that of all its copies."""
    kind = type(layer)
    own = {k: v for k, v in vars(kind).items() if k not in ("__dict__", "__weakref__")}
    layer.__class__ = type(kind.__name__, kind.__bases__, own)


def _convolutions(network: nn.Module) -> list[nn.Conv2d]:
    return [layer for layer in network.modules() if isinstance(layer, nn.Conv2d)]
