"""The transforms as the encoder's searches use them: differentiable, in low precision."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace

import torch
from torch import Tensor

from latentopt.adapters import Adapter, Tiled
from latentopt.adapters.tiles import WHOLE, Tile

DRAFT_SIDE = 32
"""Blocks a side of a tile: gradients hold all that the networks computed of it."""


class Draft:
    """A codec's transforms for estimates.

    Called, its synthesis: main latents (B, M, h, w) to images, not clipped.
    """

    def __init__(self, adapter: Adapter):
        self._adapter = adapter

    def __call__(self, y_hat: Tensor) -> Tensor:
        y_hat = self._as_the_model(y_hat)
        with low_precision(y_hat.device):
            y_hat = y_hat.contiguous(memory_format=torch.channels_last)
            return Tiled(drafting(self._adapter, y_hat)).synthesis(y_hat).float()

    def picture(self, y_hat: Tensor, size: Sequence[int]) -> Tensor:
        """Images (B, 3, H, W) in [0, 1] of main latents, of this size."""
        return self(y_hat)[..., : size[0], : size[1]].clamp(0, 1)

    def analysis(self, x: Tensor) -> Tensor:
        """Main latents (B, M, h, w) of images (B, 3, H, W), padded to a multiple of the stride."""
        with low_precision(x.device):
            x = x.contiguous(memory_format=torch.channels_last)
            return Tiled(drafting(self._adapter, x)).analysis(x).float()

    def tiles(self, y_hat: Tensor) -> Iterator[Tile]:
        """Parts of main latents that can be synthesized one after the other, to save memory."""
        tiling = Tiled(self._adapter).tiling(self._as_the_model(y_hat))
        if tiling is None:
            return iter([WHOLE])
        return replace(tiling, side=DRAFT_SIDE).tiles(*y_hat.shape[-2:])

    def _as_the_model(self, y_hat: Tensor) -> Tensor:
        """Of its type and on its device."""
        return y_hat.to(next(self._adapter.model.parameters()))


def drafting(adapter: Adapter, x: Tensor) -> Adapter:
    """A view of an adapter for ``x`` in the least time that its device allows, but for last digits
    as the model computes."""
    is_plain = x.device.type == "cpu" and x.dtype == torch.float32
    return adapter.quickly() if is_plain else adapter


def low_precision(device: torch.device) -> AbstractContextManager[object]:
    """Half the bits for the networks' products, where the device is faster with them."""
    return torch.autocast(device.type, torch.bfloat16, enabled=_has_halves(device))


def _has_halves(device: torch.device) -> bool:
    has_bf16 = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    return device.type == "cuda" or (device.type == "cpu" and has_bf16())
