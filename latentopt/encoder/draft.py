"""The synthesis as the encoder's searches use it: differentiable, in low precision."""

from contextlib import AbstractContextManager

import torch
from torch import Tensor

from latentopt.adapters import Adapter


class Draft:
    """A codec's synthesis for estimates: a main latent (B, M, h, w) to images, not clipped."""

    def __init__(self, adapter: Adapter):
        self._adapter = adapter

    def __call__(self, y_hat: Tensor) -> Tensor:
        y_hat = y_hat.to(next(self._adapter.model.parameters()))
        with low_precision(y_hat.device):
            y_hat = y_hat.contiguous(memory_format=torch.channels_last)
            return self._adapter.synthesis(y_hat).float()


def low_precision(device: torch.device, wanted: bool = True) -> AbstractContextManager[object]:
    """Half the bits for the networks' products, where the device is faster with them."""
    has_bf16 = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    fast = device.type == "cuda" or (device.type == "cpu" and has_bf16())
    return torch.autocast(device.type, torch.bfloat16, enabled=wanted and fast)
