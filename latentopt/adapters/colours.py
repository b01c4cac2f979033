"""RGB and YCbCr of BT.709, full range, which networks of the later DCVC codecs see."""

import torch
from torch import Tensor

_KR, _KB = 0.2126, 0.0722
_KG = 1 - _KR - _KB


def ycbcr(image: Tensor) -> Tensor:
    """Of an image (B, 3, H, W) in RGB; not clipped."""
    red, green, blue = image.split(1, dim=1)
    luma = _KR * red + _KG * green + _KB * blue
    chroma = [(blue - luma) / (2 - 2 * _KB) + 0.5, (red - luma) / (2 - 2 * _KR) + 0.5]
    return torch.cat([luma, *chroma], dim=1)


def rgb(image: Tensor) -> Tensor:
    """The inverse of :func:`ycbcr`."""
    luma, of_blue, of_red = image.split(1, dim=1)
    red = luma + (2 - 2 * _KR) * (of_red - 0.5)
    blue = luma + (2 - 2 * _KB) * (of_blue - 0.5)
    return torch.cat([red, (luma - _KR * red - _KB * blue) / _KG, blue], dim=1)
