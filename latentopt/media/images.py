"""Read and write 8-bit RGB images as tensors, refusing what that would silently degrade."""

import io
import re
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from latentopt.atomic import write_whole
from latentopt.errors import DataError, InputError
from latentopt.media.profiles import to_srgb

# What PIL raises on broken files: SyntaxError on PNG, TypeError and others on TIFF.
_BROKEN = (OSError, SyntaxError, ValueError, TypeError, LookupError, ArithmeticError, struct.error)
_OPAQUE = ("1", "L", "P", "RGB")
_ALPHA = ("LA", "PA", "RGBA")
_REFUSED = {
    "CMYK": "is CMYK; convert it to RGB with its colour profile first",
    "F": "holds floating-point samples; tone-map it to 8-bit RGB first",
    "I": "has more than 8 bits per sample; convert it to 8-bit RGB first",
}
_EIGHT_BITS = "has 16 bits per sample; convert it to 8-bit RGB first"


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
    with _opened(path, content) as image:
        opaque = _opaque(ImageOps.exif_transpose(image), path)
        pixels = np.array(to_rgb(opaque, path), dtype=np.uint8)  # (H, W, 3)
    return torch.from_numpy(pixels).permute(2, 0, 1).unsqueeze(0).float() / 255.0


def image_size(path: str | Path, content: bytes | None = None) -> tuple[int, int]:
    """(width, height) in pixels as `read_image` would return it, without decoding the pixels."""
    with _opened(Path(path), content) as image:
        width, height = image.size
        sideways = image.getexif().get(0x0112, 1) in (5, 6, 7, 8)  # EXIF orientation
    return (height, width) if sideways else (width, height)


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


@contextmanager
def _opened(path: Path, content: bytes | None) -> Iterator[Image.Image]:
    """The image, its kind checked; PIL's own failures inside the block become DataError."""
    try:
        with Image.open(path if content is None else io.BytesIO(content)) as image:
            reason = _refusal(image)
            if reason:
                raise DataError(f"{path}: {reason}")
            yield image
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such image file") from error
    except Image.DecompressionBombError as error:
        raise DataError(f"{path}: too large to open safely ({error}); cut it into tiles") from error
    except _BROKEN as error:
        raise DataError(f"{path}: not a readable image ({error}); replace the file") from error


def _refusal(image: Image.Image) -> str | None:
    if image.mode in _REFUSED:
        return _REFUSED[image.mode]
    if image.mode.startswith("I;") or _sixteen_bit(image):
        return _EIGHT_BITS
    if image.mode not in _OPAQUE + _ALPHA:
        return f"is of mode {image.mode}; convert it to 8-bit RGB first"
    # An MPO is a phone's JPEG with a second view of the same scene; its first frame is the photo.
    if getattr(image, "n_frames", 1) > 1 and image.format != "MPO":
        return f"holds {getattr(image, 'n_frames', 1)} frames; extract one first"
    return None


def _sixteen_bit(image: Image.Image) -> bool:
    """Whether PIL would cut 16-bit colour samples down to 8 bits without saying so."""
    if image.format in ("PNG", "TIFF"):
        return any(re.search(r";(16|32)", str(tile[3])) for tile in getattr(image, "tile", ()))
    if image.format == "PPM":  # the decoder's arguments are (raw mode, largest sample)
        return any(
            isinstance(arg, int) and arg > 255
            for tile in getattr(image, "tile", ())
            if tile[0] != "raw" and isinstance(tile[3], tuple)
            for arg in tile[3]
        )
    return False


def _opaque(image: Image.Image, path: Path) -> Image.Image:
    """Without alpha, palette or single bits: of mode RGB or L."""
    if image.mode in _ALPHA or "transparency" in image.info:
        rgba = image.convert("RGBA")
        if np.asarray(rgba.getchannel("A")).min() < 255:
            raise DataError(
                f"{path}: has transparent pixels, which the codec cannot represent; "
                "flatten it onto a background first"
            )
        return rgba.convert("L" if image.mode in ("L", "LA") else "RGB")
    return image.convert("L" if image.mode in ("1", "L") else "RGB")
