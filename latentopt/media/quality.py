"""Quality of a decoded image against its original, both as 8-bit RGB."""

import math

from torch import Tensor


def psnr_db(x: Tensor, x_hat: Tensor) -> float:
    """PSNR in dB over all samples of two uint8 images of equal shape; infinite if they agree.

    >>> import torch
    >>> a = torch.zeros(3, 2, 2, dtype=torch.uint8)
    >>> f"{psnr_db(a, a + 1):.2f}"
    '48.13'
    """
    mse = (x.double() - x_hat.double()).square().mean().item()
    return 10.0 * math.log10(255.0**2 / mse) if mse > 0 else math.inf
