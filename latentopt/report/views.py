"""The images of a comparison as data: URIs, maps among them with the scale they are drawn to."""

import base64
import io
from collections.abc import Iterator
from dataclasses import dataclass

import matplotlib
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from latentopt.report.slider import Comparison

AMPLIFIED = 8
"""How many times a difference map shows differences larger than they are."""

_SIDE = 1024  # pixels: of larger images the middle is shown, or a page would have tens of MB
_LEVELS = 256
_Bytes = NDArray[np.uint8]


@dataclass(frozen=True)
class Scale:
    """A colour bar."""

    low: str
    high: str
    unit: str
    uri: str
    """The colours, left to right."""


@dataclass(frozen=True)
class View:
    """One image that the page can show."""

    key: str
    title: str
    uri: str
    width: int
    height: int
    scale: Scale | None = None


def views(comparison: Comparison) -> Iterator[View]:
    """Original, baseline and ours, then maps: what differs, and where ours spent its bits."""
    config = comparison.choice.config
    named = (("baseline", "Baseline", comparison.baseline), ("ours", config, comparison.ours))
    yield _photo("original", "Original", comparison.original)
    for key, name, coded in named:
        title = f"{name}, {coded.bytes:,} bytes, {coded.psnr_db:.2f} dB"
        yield _photo(key, title, coded.pixels)
    for key, name, coded in named:
        title = f"{name}: difference from the original, {AMPLIFIED} times amplified"
        scale = _scale("magma", f"{_LEVELS / AMPLIFIED:g} or more", "of 255 levels")
        yield _map(
            f"{key}-difference",
            title,
            _difference(comparison.original, coded.pixels),
            "magma",
            scale,
        )
    yield _bits(comparison)


def pair(before: Tensor, after: Tensor, titles: tuple[str, str]) -> Iterator[View]:
    """Two images (3, H, W) uint8 of one size, and a map of what differs."""
    yield _photo("baseline", titles[0], before)
    yield _photo("ours", titles[1], after)
    title = f"What differs, {AMPLIFIED} times amplified"
    scale = _scale("magma", f"{_LEVELS / AMPLIFIED:g} or more", "of 255 levels")
    yield _map("difference", title, _difference(before, after), "magma", scale)


def is_cropped(comparison: Comparison) -> bool:
    """Whether the views show the middle of the image only."""
    return max(comparison.original.shape[-2:]) > _SIDE


def _photo(key: str, title: str, pixels: Tensor) -> View:
    image = Image.fromarray(_middle(pixels.permute(1, 2, 0).cpu().numpy()))
    return View(key, title, _uri(image, "WEBP", lossless=True), *image.size)


def _map(key: str, title: str, values: _Bytes, colours: str, scale: Scale) -> View:
    image = _coloured(_middle(values), colours)
    return View(key, title, _uri(image, "PNG"), *image.size, scale)


def _difference(before: Tensor, after: Tensor) -> _Bytes:
    """(H, W) mean over the channels, amplified."""
    between = (after.float() - before.float()).abs().mean(0)
    amplified = (AMPLIFIED * between).clamp(0, _LEVELS - 1)
    return amplified.round().cpu().numpy().astype(np.uint8)


def _bits(comparison: Comparison) -> View:
    bits, stride = comparison.bits, comparison.stride
    most = max(float(bits.max()), 1.0)
    levels = np.round((_LEVELS - 1) * bits / most).astype(np.uint8)
    height, width = comparison.original.shape[-2:]
    whole = levels.repeat(stride, axis=0).repeat(stride, axis=1)[:height, :width]
    unit = f"bits per position of {stride}x{stride} pixels"
    title = f"{comparison.choice.config}: bits of each position of the main latent"
    return _map("bits", title, whole, "viridis", _scale("viridis", f"{most:,.0f}", unit))


def _scale(colours: str, high: str, unit: str) -> Scale:
    ramp = _coloured(np.arange(_LEVELS, dtype=np.uint8)[None], colours)
    return Scale("0", high, unit, _uri(ramp, "PNG"))


def _middle(pixels: _Bytes) -> _Bytes:
    """(H, W, …) without what is beyond the longest side that is shown."""
    top, left = (max(side - _SIDE, 0) // 2 for side in pixels.shape[:2])
    return np.ascontiguousarray(pixels[top : top + _SIDE, left : left + _SIDE])


def _coloured(values: _Bytes, colours: str) -> Image.Image:
    """A palette image of (H, W) places in a colour map."""
    palette = matplotlib.colormaps[colours](np.arange(_LEVELS), bytes=True)[:, :3]
    image = Image.fromarray(values, "P")
    image.putpalette(palette.tobytes())
    return image


def _uri(image: Image.Image, kind: str, **options: object) -> str:
    file = io.BytesIO()
    image.save(file, format=kind, **options)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(file.getvalue()).decode()}"
