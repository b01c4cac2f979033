"""Images as frames: a folder of PNG, or a single image. RGB throughout, no colour conversion."""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from PIL import Image
from torch import Tensor

from latentopt.errors import DataError, InputError
from latentopt.media.clips.clip import DEFAULT_RATE, Format, Frames
from latentopt.media.images import read_image, to_uint8

IMAGES = (".png", ".bmp", ".jpg", ".jpeg", ".webp")  # those that frames are kept in


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
        pixels = to_uint8(x).permute(1, 2, 0).numpy()  # (H, W, 3)
        Image.fromarray(pixels).save(folder / f"{next(numbers):06d}.png")

    yield put


def _natural(path: Path) -> list[tuple[int, str]]:
    """Numbers by value, the rest by letters."""
    parts = re.findall(r"\d+|\D+", path.name)
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]


def _read(path: Path) -> Tensor:
    """(1, 3, H, W) in [0, 1]."""
    try:
        return read_image(path)
    except DataError as error:
        raise InputError(str(error)) from error
