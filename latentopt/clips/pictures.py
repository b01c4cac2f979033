"""Images as frames: a folder of PNG, or a single image. RGB throughout, never converted."""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from latentopt.clips.clip import DEFAULT_RATE, Format, Frames
from latentopt.errors import InputError

IMAGES = (".png", ".bmp", ".jpg", ".jpeg", ".webp")  # what PIL reads without losing bits unsaid
_OPAQUE = ("1", "L", "P", "RGB")


@dataclass(frozen=True)
class Pictures:
    """One image file per frame."""

    paths: Sequence[Path]
    format: Format

    @property
    def count(self) -> int:
        return len(self.paths)

    def frames(self, start: int) -> Frames:
        for path in self.paths[start:]:
            yield _read(path)


def open_folder(folder: Path) -> Pictures:
    """The folder's PNG files in natural order: 2.png before 10.png."""
    found = [p for p in folder.iterdir() if p.suffix.lower() == ".png" and p.name[0] != "."]
    if not found:
        raise InputError(f"{folder}: holds no PNG file; name a folder of frames or a video file")
    return open_pictures(sorted(found, key=_natural))


def open_pictures(paths: Sequence[Path]) -> Pictures:
    """These images, one per frame; the first gives the size."""
    height, width = _read(paths[0]).shape[-2:]
    return Pictures(paths, Format(width, height, DEFAULT_RATE))


@contextmanager
def png_writer(folder: Path, format: Format) -> Iterator[Callable[[Tensor], None]]:
    """Gives what appends a frame, (1, 3, H, W) in [0, 1]: 000000.png, 000001.png, …"""
    folder.mkdir()
    numbers = count()

    def put(x: Tensor) -> None:
        pixels = (x[0] * 255).round().byte().permute(1, 2, 0).numpy()  # (H, W, 3)
        Image.fromarray(pixels).save(folder / f"{next(numbers):06d}.png")

    yield put


def _natural(path: Path) -> list[tuple[int, str]]:
    """Numbers by value, the rest by letters."""
    parts = re.findall(r"\d+|\D+", path.name)
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]


def _read(path: Path) -> Tensor:
    """(1, 3, H, W) in [0, 1], upright (EXIF rotation applied)."""
    try:
        with Image.open(path) as image:
            _check(image, path)
            pixels = np.array(ImageOps.exif_transpose(image).convert("RGB"))  # (H, W, 3)
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise InputError(f"{path}: not a readable image ({error}); replace the file") from error
    return torch.from_numpy(pixels).permute(2, 0, 1).unsqueeze(0).float() / 255


def _check(image: Image.Image, path: Path) -> None:
    """Refuse what a conversion to RGB would degrade without a word."""
    # PIL opens PNG of 16 bits per colour as RGB and tells in the raw mode only.
    deep = any(";16" in str(tile[3]) for tile in getattr(image, "tile", ()))
    transparent = "transparency" in image.info or image.mode not in _OPAQUE
    if deep or (transparent and not _is_opaque_rgba(image)):
        raise InputError(
            f"{path}: is no opaque image of 8 bits per sample (mode {image.mode}"
            f"{', 16 bits' if deep else ''}); convert it to 8-bit RGB"
        )
    if getattr(image, "n_frames", 1) > 1 and image.format in ("PNG", "WEBP"):
        raise InputError(f"{path}: is animated; convert it to a video or a folder of PNG")


def _is_opaque_rgba(image: Image.Image) -> bool:
    return image.mode in ("RGBA", "LA") and image.getchannel("A").getextrema() == (255, 255)
