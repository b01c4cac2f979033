"""Quality of a decoded image against its original, both as 8-bit RGB."""

import math

import torch
from torch import Tensor

from latentopt.extras import need

MS_SSIM_MIN_SIDE = 161
"""Pixels: five scales of an 11-tap window do not fit into less."""

_ROWS = 256  # of images whose errors are taken at a time: they are float64


def psnr_db(x: Tensor, x_hat: Tensor) -> float:
    """PSNR in dB over all samples of two uint8 images of equal shape; infinite if they agree.

    >>> a = torch.zeros(3, 2, 2, dtype=torch.uint8)
    >>> f"{psnr_db(a, a + 1):.2f}"
    '48.13'
    """
    bands = zip(x.split(_ROWS, dim=-2), x_hat.split(_ROWS, dim=-2))
    errors = ((a.double() - b.double()).square().sum().item() for a, b in bands)  # integers
    mse = sum(errors) / x.numel()
    return 10.0 * math.log10(255.0**2 / mse) if mse > 0 else math.inf


def ms_ssim(x: Tensor, x_hat: Tensor) -> float:
    """MS-SSIM, linear in [0, 1], of two (3, H, W) uint8 images; NaN where a side is too short.

    Raises:
        MissingExtraError: pytorch_msssim is not installed.
    """
    need("metrics", "pytorch_msssim")
    from pytorch_msssim import ms_ssim as measured

    if min(x.shape[-2:]) < MS_SSIM_MIN_SIDE:
        return math.nan
    with torch.no_grad():
        value = measured(x[None].float(), x_hat[None].float(), data_range=255)
    return float(value.item())


def ms_ssim_db(value: float) -> float:
    """MS-SSIM in dB, -10 log10(1 - value), which spreads out the values near 1; NaN stays NaN.

    >>> f"{ms_ssim_db(0.99):.1f}"
    '20.0'
    """
    return math.inf if value >= 1.0 else -10.0 * math.log10(1.0 - value)
