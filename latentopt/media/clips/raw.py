"""Uncompressed planes: headerless `.yuv` and `.y4m`, 4:2:0 of 8 bits, read and written exactly.

A frame is its planes one after another: y, u, v. In `.y4m` a line of text comes before the first
frame ("YUV4MPEG2 W352 H288 F25:1 C420jpeg") and before each ("FRAME").
"""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from torch import Tensor

from latentopt.errors import InputError
from latentopt.media.clips.clip import DEFAULT_RATE, Format, Frames, Source
from latentopt.media.clips.color import BT709, Colours, rgb_to_yuv420, yuv420_to_rgb

_MAGIC = b"YUV4MPEG2 "
_FRAME = b"FRAME"
_LONGEST_LINE = 4096
_EIGHT_BIT_420 = ("420", "420jpeg", "420mpeg2", "420paldv")  # of various siting, which we ignore


@dataclass(frozen=True)
class RawFile:
    """Frames at known places of a file."""

    path: Path
    format: Format
    colours: Colours
    places: Sequence[int]
    """Where each frame's samples begin, in bytes."""

    @property
    def count(self) -> int:
        return len(self.places)

    def frames(self, start: int) -> Frames:
        with self.path.open("rb") as file:
            for place in self.places[start:]:
                file.seek(place)
                yield _to_rgb(file.read(frame_bytes(self.format)), self.format, self.colours)


def frame_bytes(format: Format) -> int:
    """Bytes of a frame's planes.

    >>> frame_bytes(Format(3, 5, Fraction(25)))
    27
    """
    return sum(height * width for height, width in _plane_shapes(format))


def open_yuv(path: Path, size: tuple[int, int] | None) -> RawFile:
    """A headerless file; (width, height) and frames per second as in `clip_320x192_12fps.yuv`."""
    if re.search(r"(?<!\d)(10|12|16)-?bit", path.stem, re.IGNORECASE):
        raise InputError(f"{path}: its name says more than 8 bits per sample; convert it to 8")
    width, height = size or _size_in_name(path)
    rate = re.search(r"(\d+(?:\.\d+)?)fps", path.stem)
    format = Format(width, height, Fraction(rate[1]) if rate else DEFAULT_RATE)
    total, each = path.stat().st_size, frame_bytes(format)
    whole, rest = divmod(total, each)
    if rest or not whole:
        raise InputError(
            f"{path}: {total} bytes are {whole} whole frames of {width}x{height} (4:2:0, 8 bits) "
            f"and {rest} bytes: of another size (pass --size), another format, or truncated"
        )
    return RawFile(path, format, BT709, range(0, total, each))


def open_y4m(path: Path) -> Source:
    """A Y4M file; other samples than 8-bit 4:2:0 are left to FFmpeg."""
    with path.open("rb") as file:
        fields = _header(path, file.readline(_LONGEST_LINE))
        if fields.get("C", "420") not in _EIGHT_BIT_420:
            from latentopt.media.clips.encoded import open_container

            return open_container(path)
        try:
            format = Format(int(fields["W"]), int(fields["H"]), _rate(fields.get("F", "0:0")))
        except (KeyError, ValueError) as error:
            raise InputError(f"{path}: a damaged Y4M header ({error})") from error
        places = _frame_places(path, file, frame_bytes(format))
    full_range = "XCOLORRANGE=FULL" in fields.values()
    return RawFile(path, format, replace(BT709, full_range=full_range), places)


@contextmanager
def yuv_writer(path: Path, format: Format) -> Iterator[Callable[[Tensor], object]]:
    """Gives what appends a frame, (1, 3, H, W) in [0, 1]."""
    with path.open("wb") as file:
        yield lambda x: file.write(_to_bytes(x))


@contextmanager
def y4m_writer(path: Path, format: Format) -> Iterator[Callable[[Tensor], object]]:
    """Gives what appends a frame, (1, 3, H, W) in [0, 1]."""
    rate = f"{format.rate.numerator}:{format.rate.denominator}"
    # 420jpeg: chroma in the middle of its four pixels, as in color.py.
    fields = f"W{format.width} H{format.height} F{rate} Ip A1:1 C420jpeg XCOLORRANGE=LIMITED\n"
    with path.open("wb") as file:
        file.write(_MAGIC + fields.encode())
        yield lambda x: file.write(_FRAME + b"\n" + _to_bytes(x))


def _plane_shapes(format: Format) -> tuple[tuple[int, int], ...]:
    chroma = ((format.height + 1) // 2, (format.width + 1) // 2)
    return (format.height, format.width), chroma, chroma


def _to_rgb(data: bytes, format: Format, colours: Colours) -> Tensor:
    shapes = _plane_shapes(format)
    samples = torch.from_numpy(np.frombuffer(data, np.uint8).copy())
    planes = samples.split([height * width for height, width in shapes])
    y, u, v = (plane.view(1, 1, *shape) for plane, shape in zip(planes, shapes))
    return yuv420_to_rgb(y, u, v, colours).clamp_(0, 1)


def _to_bytes(x: Tensor) -> bytes:
    return b"".join(plane.numpy().tobytes() for plane in rgb_to_yuv420(x))


def _size_in_name(path: Path) -> tuple[int, int]:
    found = re.search(r"(?<!\d)(\d+)x(\d+)(?!\d)", path.stem)
    if not found:
        raise InputError(
            f"{path}: raw video does not say how large its frames are; pass --size WIDTHxHEIGHT "
            "or put it into the name, as in clip_352x288_30fps.yuv"
        )
    return int(found[1]), int(found[2])


def _header(path: Path, line: bytes) -> dict[str, str]:
    """Each field by its letter ("X" may occur several times; of those only the range matters)."""
    if not line.startswith(_MAGIC) or not line.endswith(b"\n"):
        raise InputError(f"{path}: no Y4M file: it does not begin with YUV4MPEG2 and a format")
    fields = line[len(_MAGIC) :].decode("ascii", "replace").split()
    fields.sort(key=lambda field: field.startswith("XCOLORRANGE="))
    return {field[0]: field if field[0] == "X" else field[1:] for field in fields}


def _rate(field: str) -> Fraction:
    numerator, denominator = map(int, field.split(":"))
    return Fraction(numerator, denominator) if denominator else DEFAULT_RATE


def _frame_places(path: Path, file: BinaryIO, each: int) -> list[int]:
    """Where the frames from here on begin; ``each`` bytes follow every FRAME line."""
    places: list[int] = []
    total = path.stat().st_size
    while line := file.readline(_LONGEST_LINE):
        whole_line = line.startswith(_FRAME) and line.endswith(b"\n")
        if not whole_line or file.tell() + each > total:
            raise InputError(
                f"{path}: truncated or damaged after {len(places)} whole frames; replace it, "
                "or cut it to whole frames"
            )
        places.append(file.tell())
        file.seek(each, 1)
    if not places:
        raise InputError(f"{path}: holds no frame")
    return places
