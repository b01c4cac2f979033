"""Read and write 8-bit RGB images as tensors."""

import io
from collections.abc import Callable
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from latentopt.atomic import write_whole
from latentopt.errors import DataError, InputError
from latentopt.media.profiles import to_srgb
from latentopt.media.rgb import read_rgb


def read_image(path: str | Path, content: bytes | None = None) -> Tensor:
    """The image as a (1, 3, H, W) float32 tensor in [0, 1], upright (EXIF rotation applied).

    ``content`` is the file's, where it is not at ``path``, which names it in errors all the same.

    Grey and palette images become RGB, and colours of another profile than sRGB are converted to
    it, with a `LatentoptWarning` (profiles.py). An alpha channel is dropped where it is fully
    opaque and refused elsewhere; 16-bit, floating-point, CMYK and animated images are refused
    (DataError).
    """
    return _read(Path(path), content, to_srgb)


def read_samples(path: str | Path) -> Tensor:
    """The same without regard to colour profiles, as published measurements take images."""
    return _read(Path(path), None, lambda image, _: image.convert("RGB"))


def _read(
    path: Path, content: bytes | None, to_rgb: Callable[[Image.Image, Path], Image.Image]
) -> Tensor:
    pixels = read_rgb(path, content, to_rgb)
    return torch.from_numpy(pixels).permute(2, 0, 1).unsqueeze(0).float() / 255.0


# -- grey images: one channel, or three that are equal ---------------------------------------------


def without_copies(x: Tensor) -> Tensor:
    """An image (B, 3, H, W) as one channel (B, 1, H, W) where all three are equal."""
    return x[:, :1] if bool((x == x[:, :1]).all()) else x


def as_rgb(x: Tensor) -> Tensor:
    """Images of one channel or three as three (B, 3, H, W)."""
    return x.expand(-1, 3, -1, -1) if x.shape[1] == 1 else x


def as_grey(x: Tensor) -> Tensor:
    """RGB images (B, 3, H, W) as their means (B, 1, H, W): of all greys the nearest."""
    return x.mean(dim=1, keepdim=True)


# -- writing ---------------------------------------------------------------------------------------


def write_png(path: str | Path, x_hat: Tensor) -> None:
    """Write a (3, H, W) or (1, 3, H, W) image in [0, 1] as 8-bit PNG: whole, or not at all.

    Grey ones (1, H, W) and (1, 1, H, W) become PNGs of one channel.
    """
    levels = to_uint8(x_hat)
    try:
        write_whole(path, _png(levels))
    except (OSError, InputError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"{path}: cannot be written ({reason})") from error


def png_bytes(x_hat: Tensor) -> bytes:
    """An image in [0, 1] as the content of an 8-bit PNG file, see `write_png`."""
    return _png(to_uint8(x_hat))


def _png(levels: Tensor) -> bytes:
    """Of (3 or 1, H, W) uint8."""
    png, mode = io.BytesIO(), "RGB" if len(levels) == 3 else "L"
    pixels = levels.permute(1, 2, 0).cpu().numpy()
    Image.fromarray(pixels if mode == "RGB" else pixels[..., 0], mode).save(png, format="PNG")
    return png.getvalue()


def to_uint8(x: Tensor) -> Tensor:
    """(3 or 1, H, W) uint8 of one image in [0, 1]: clamped, then rounded to the nearest level."""
    if x.ndim == 4 and x.shape[0] == 1:
        x = x[0]
    if x.ndim != 3 or x.shape[0] not in (1, 3):
        shape = tuple(x.shape)
        raise InputError(f"an image has shape (3, H, W), or (1, H, W) if grey, this one {shape}")
    if not torch.isfinite(x).all():
        raise InputError("the image holds NaN or infinity: the codec's output is broken")
    return x.detach().clamp(0.0, 1.0).mul_(255.0).round_().to(torch.uint8)
