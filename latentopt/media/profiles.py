"""Colour profiles: pixels of others than sRGB are converted to it, since coded files carry none."""

import io
import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms

from latentopt.errors import LatentoptWarning
from latentopt.media.rgb import as_mode

_ROUNDING = 1  # levels by which a conversion from sRGB to itself may be off
_STEPS = 9  # of a grid of colours, a side


def to_srgb(image: Image.Image, path: Path) -> Image.Image:
    """An RGB or grey image (modes RGB, L) as RGB, its profile applied.

    Pixels with no profile, or with one of sRGB, stay as they are. What was converted, and profiles
    that cannot be read or are not of such an image, are told by a `LatentoptWarning`.
    """
    data = image.info.get("icc_profile")
    plain = as_mode(image, "RGB")
    if not data:
        return plain
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(data))
        transform = ImageCms.buildTransform(
            profile, ImageCms.createProfile("sRGB"), image.mode, "RGB"
        )
        if _changes_nothing(transform, image.mode):
            return plain
        converted = ImageCms.applyTransform(image, transform)
        name = ImageCms.getProfileDescription(profile).strip()
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError) as error:
        _warn(f"{path}: its colour profile cannot be applied ({error}) and was left out")
        return plain
    assert converted is not None  # it is where a transform works in place
    _warn(f"{path}: converted from its colour profile {name!r} to sRGB, which coded files hold")
    return converted


def _changes_nothing(transform: ImageCms.ImageCmsTransform, mode: str) -> bool:
    """Whether colours all over the cube, or greys, come out as what they are in sRGB."""
    levels = np.linspace(0, 255, _STEPS).round().astype(np.uint8)
    grid = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(1, -1, 3)
    sample = Image.fromarray(grid if mode == "RGB" else levels[None])
    out = ImageCms.applyTransform(sample, transform)
    assert out is not None
    change = np.asarray(out).astype(int) - np.asarray(sample.convert("RGB")).astype(int)
    return bool(np.abs(change).max() <= _ROUNDING)


def _warn(message: str) -> None:
    warnings.warn(message, LatentoptWarning, stacklevel=4)
