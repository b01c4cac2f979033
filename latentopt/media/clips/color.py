"""RGB to Y'CbCr 4:2:0 of 8 bits and back, so that Y'CbCr → RGB → Y'CbCr changes nothing.

    RGB (B, 3, H, W) ── matrix ──┬─ luma ──────────────────── round ── y (B, 1, H, W)
                                 └─ chroma ── mean of 2×2 ─── round ── u, v (B, 1, ⌈H/2⌉, ⌈W/2⌉)
    y, u, v ── chroma to each of its 2×2 pixels ── inverse matrix ── RGB

All steps but the rounding are linear, and the mean of four copies is the sample itself: that makes
the way back exact. Chroma thus sits in the middle of its pixels (as in JPEG and MPEG-1); at an odd
edge it belongs to the pixels that are there.
"""

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, cat

from latentopt.errors import InputError

Planes = tuple[Tensor, Tensor, Tensor]


@dataclass(frozen=True)
class Colours:
    """Which Y'CbCr: the luma weights of red and blue, and the levels in use."""

    red: float = 0.2126
    blue: float = 0.0722
    full_range: bool = False
    """Levels 0–255 for luma and chroma; else luma 16–235 and chroma 16–240 ("limited")."""

    @property
    def green(self) -> float:
        return 1 - self.red - self.blue

    @property
    def luma(self) -> tuple[float, float]:
        """(level of black, levels from black to white)."""
        return (0.0, 255.0) if self.full_range else (16.0, 219.0)

    @property
    def chroma_levels(self) -> float:
        """Levels from the least chroma to the largest; no chroma is 128."""
        return 255.0 if self.full_range else 224.0


BT709 = Colours()
"""What is written, and what unflagged files are taken for: ITU-R BT.709, limited range."""


def rgb_to_yuv420(x: Tensor, colours: Colours = BT709) -> Planes:
    """Planes y (B, 1, H, W), u and v (B, 1, ⌈H/2⌉, ⌈W/2⌉), uint8, of RGB (B, 3, H, W).

    ``x`` is not clamped to [0, 1], so that the inverse below is undone exactly; the planes are
    clamped to 0–255.

    >>> import torch
    >>> y, u, v = rgb_to_yuv420(torch.ones(1, 3, 5, 3))
    >>> y.unique(), u.unique(), v.shape
    (tensor([235], dtype=torch.uint8), tensor([128], dtype=torch.uint8), torch.Size([1, 1, 3, 2]))
    """
    if x.ndim != 4 or x.shape[1] != 3:
        raise InputError(f"RGB frames have shape (B, 3, H, W), these {tuple(x.shape)}")
    r, g, b = x.float().split(1, dim=1)
    luma = colours.red * r + colours.green * g + colours.blue * b
    black, levels = colours.luma
    u, v = (
        128 + colours.chroma_levels * _halved((primary - luma) / (2 * (1 - weight)))
        for primary, weight in ((b, colours.blue), (r, colours.red))
    )
    return _to_uint8(black + levels * luma), _to_uint8(u), _to_uint8(v)


def yuv420_to_rgb(y: Tensor, u: Tensor, v: Tensor, colours: Colours = BT709) -> Tensor:
    """RGB (B, 3, H, W), float32, of planes y (B, 1, H, W), u and v (B, 1, ⌈H/2⌉, ⌈W/2⌉).

    The result is **not** clamped: triples outside the RGB gamut, of which real video has some, lie
    outside [0, 1], and `rgb_to_yuv420` returns the same planes for any y, u, v. Of a clamped result
    it does so wherever all (up to four) pixels of a chroma sample lie in the gamut.
    """
    height, width = y.shape[-2:]
    half = ((height + 1) // 2, (width + 1) // 2)
    if u.shape[-2:] != half or v.shape != u.shape:
        raise InputError(
            f"4:2:0 chroma of {width}x{height} frames has {half[1]}x{half[0]} samples; "
            f"u has shape {tuple(u.shape)}, v {tuple(v.shape)}"
        )
    return yuv_to_rgb(y, u, v, colours)


def yuv_to_rgb(y: Tensor, u: Tensor, v: Tensor, colours: Colours = BT709) -> Tensor:
    """The same for chroma that is halved in both directions, in one, or in none."""
    height, width = y.shape[-2:]
    black, levels = colours.luma
    luma = (y.float() - black) / levels
    cb, cr = (_spread((p.float() - 128) / colours.chroma_levels, height, width) for p in (u, v))
    b = luma + 2 * (1 - colours.blue) * cb
    r = luma + 2 * (1 - colours.red) * cr
    g = (luma - colours.red * r - colours.blue * b) / colours.green
    return cat((r, g, b), dim=1)


def _halved(plane: Tensor) -> Tensor:
    return F.avg_pool2d(plane, 2, ceil_mode=True)  # at odd edges the mean of what is there


def _spread(plane: Tensor, height: int, width: int) -> Tensor:
    """Each sample to the pixels that it belongs to."""
    for dim, size in ((-2, height), (-1, width)):
        if plane.shape[dim] < size:
            plane = plane.repeat_interleave(2, dim)
    return plane[..., :height, :width]


def _to_uint8(plane: Tensor) -> Tensor:
    return plane.round().clamp(0, 255).byte()
