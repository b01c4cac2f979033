"""8-bit RGB images as arrays, refusing what reading would silently degrade.

It needs no PyTorch, whose import takes seconds: a command looks at its images first.
"""

import io
import re
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from latentopt.errors import DataError

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


def read_rgb(
    path: Path, content: bytes | None, to_rgb: Callable[[Image.Image, Path], Image.Image]
) -> NDArray[np.uint8]:
    """The image as (H, W, 3), upright (EXIF rotation applied), converted by ``to_rgb``.

    ``content`` is the file's, where it is not at ``path``, which names it in errors all the same.

    Raises:
        DataError: it is no image, or none whose samples 8 bits of RGB hold.
    """
    with _opened(path, content) as image:
        ImageOps.exif_transpose(image, in_place=True)  # no copy: four bytes a pixel each
        return np.array(to_rgb(_opaque(image, path), path), dtype=np.uint8)


def image_size(path: str | Path, content: bytes | None = None) -> tuple[int, int]:
    """(width, height) in pixels as `read_image` would return it, without decoding the pixels."""
    with _opened(Path(path), content) as image:
        width, height = image.size
        sideways = image.getexif().get(0x0112, 1) in (5, 6, 7, 8)  # EXIF orientation
    return (height, width) if sideways else (width, height)


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
    except UnidentifiedImageError as error:
        if (path.stat().st_size if content is None else len(content)) == 0:
            raise DataError(f"{path}: is empty; take a whole copy of the image") from error
        what = "not a readable image (of no known format)"
        raise DataError(f"{path}: {what}; convert it to PNG, JPEG or WebP") from error
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
        rgba = as_mode(image, "RGBA")
        if np.asarray(rgba.getchannel("A")).min() < 255:
            raise DataError(
                f"{path}: has transparent pixels, which the codec cannot represent; "
                "flatten it onto a background first"
            )
        return rgba.convert("L" if image.mode in ("L", "LA") else "RGB")
    return as_mode(image, "L" if image.mode in ("1", "L") else "RGB")


def as_mode(image: Image.Image, mode: str) -> Image.Image:
    """Converted, without PIL's copy where it is of that mode already."""
    return image if image.mode == mode else image.convert(mode)
