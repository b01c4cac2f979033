"""The linear model: a codec whose transforms are one 8x8 convolution each, as JPEG's are."""

import math

import torch
from compressai.models import FactorizedPrior
from torch import Tensor, nn

from latentopt.errors import InputError

BLOCK = 8
WIDTH = 3 * BLOCK**2
"""Channels: as many as a block has samples."""

_YCC = ((0.299, 0.587, 0.114), (-0.168736, -0.331264, 0.5), (0.5, -0.418688, -0.081312))
"""JPEG's colours (T.871), luma first."""


class LinearCodec(FactorizedPrior):
    """Blocks of 8x8 pixels, transformed linearly to 192 channels with a factorized prior.

    As it starts, channels are orthonormal transforms of a block about grey, in units of a step.
    """

    def __init__(self) -> None:
        super().__init__(BLOCK, WIDTH)
        self.g_a = nn.Conv2d(3, WIDTH, BLOCK, stride=BLOCK)
        self.g_s = nn.ConvTranspose2d(WIDTH, 3, BLOCK, stride=BLOCK)

    @classmethod
    def starting(cls, at: str, step: float, seed: int) -> "LinearCodec":
        """Before training: ``at`` is ``orthogonal``, that is random, or ``jpeg``, YCC and DCT.

        Args:
            at: which transform.
            step: of the quantization, in units of 1/255.
            seed: of what is random.

        Raises:
            InputError: there is no such start.
        """
        if at not in _STARTS:
            raise InputError(f"start {at!r}: choose {', '.join(_STARTS)}")
        torch.manual_seed(seed)
        model = cls()
        forward = _STARTS[at]() * 255 / step  # (192, 192), from samples to channels
        backward = torch.linalg.inv(forward).T
        weights = {
            "g_a.weight": forward.reshape(model.g_a.weight.shape),
            "g_a.bias": -forward.sum(dim=1) / 2,
            "g_s.weight": backward.reshape(model.g_s.weight.shape),
            "g_s.bias": torch.full((3,), 0.5),
        }
        model.load_state_dict(weights, strict=False)
        return model


def high_rate_step(lmbda: float) -> float:
    """The step, in units of 1/255, that is best for lambda * 255^2 * MSE + bits per pixel.

    At a high rate a pixel's three samples cost 3 log2(1/step) bits and have the error step^2 / 12.
    """
    return math.sqrt(12 * 3 / (2 * math.log(2) * lmbda))


def _orthogonal() -> Tensor:
    return nn.init.orthogonal_(torch.empty(WIDTH, WIDTH))


def _jpeg() -> Tensor:
    """Colours, then a DCT of each: rows are channels (colour, v, u), columns (colour, y, x)."""
    k = torch.arange(BLOCK, dtype=torch.float32)
    dct = torch.cos(math.pi / BLOCK * (k[None] + 0.5) * k[:, None]) * math.sqrt(2 / BLOCK)
    dct[0] /= math.sqrt(2)
    return torch.kron(torch.tensor(_YCC), torch.kron(dct, dct))


_STARTS = {"orthogonal": _orthogonal, "jpeg": _jpeg}
