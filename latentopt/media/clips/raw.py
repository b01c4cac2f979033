"""Uncompressed planes: headerless `.yuv` and `.y4m`, read exactly, and written in 4:2:0 of 8 bits.

A frame is its planes one after another (layout.py). In `.y4m` a line of text comes before the first
frame ("YUV4MPEG2 W352 H288 F25:1 C420jpeg") and before each ("FRAME").
"""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

from torch import Tensor

from latentopt.errors import InputError, counted
from latentopt.media.clips.clip import DEFAULT_RATE, Format, Frames, Source
from latentopt.media.clips.color import BT709, Colours, rgb_to_yuv420, yuv_to_rgb
from latentopt.media.clips.layout import Layout, layout_in_name

_SIZE = re.compile(r"(?<!\d)(\d+)x(\d+)(?!\d)")
_MAGIC = b"YUV4MPEG2 "
_FRAME = b"FRAME"
_LONGEST_LINE = 4096
_EIGHT_BIT_420 = ("420", "420jpeg", "420mpeg2", "420paldv")  # of various siting, which we ignore


@dataclass(frozen=True)
class RawFile:
    """Frames at known places of a file."""

    path: Path
    format: Format
    layout: Layout
    colours: Colours
    places: Sequence[int]
    """Where each frame's samples begin, in bytes."""

    @property
    def count(self) -> int:
        return len(self.places)

    def frames(self, start: int) -> Frames:
        each = self.layout.frame_bytes(self.format)
        with self.path.open("rb") as file:
            for place in self.places[start:]:
                file.seek(place)
                yield self._to_rgb(file.read(each))

    def _to_rgb(self, data: bytes) -> Tensor:
        try:
            planes = self.layout.planes(data, self.format)
        except InputError as error:
            raise InputError(f"{self.path}: {error}: of another format") from error
        return yuv_to_rgb(*planes, self.colours).clamp_(0, 1)


def open_yuv(path: Path, size: tuple[int, int] | None) -> RawFile:
    """A headerless file, of which the name tells what it is: `clip_320x192_12fps_422_10bit.yuv`."""
    width, height = size or _size_in_name(path)
    layout = layout_in_name(path)
    format = Format(width, height, _rate_in_name(path))
    total, each = path.stat().st_size, layout.frame_bytes(format)
    whole, rest = divmod(total, each)
    if rest or not whole:
        raise InputError(
            f"{path}: {total} bytes are {counted(whole, 'whole frame')} of {width}x{height} "
            f"({layout}) and {rest} bytes: of another size (pass --size), another format (say it "
            "in the name, as in clip_64x64_yuv422p10le.yuv), or truncated"
        )
    colours = replace(BT709, full_range=layout.full_range)
    return RawFile(path, format, layout, colours, range(0, total, each))


def open_y4m(path: Path) -> Source:
    """A Y4M file; other samples than 8-bit 4:2:0 are left to FFmpeg."""
    with path.open("rb") as file:
        fields = _header(path, file.readline(_LONGEST_LINE))
        if _chroma(fields) not in _EIGHT_BIT_420:
            from latentopt.media.clips.encoded import open_container

            return open_container(path)
        try:
            format = Format(int(fields["W"]), int(fields["H"]), _rate(fields.get("F", "0:0")))
        except (KeyError, ValueError) as error:
            raise InputError(f"{path}: a damaged Y4M header ({error})") from error
        layout = Layout()
        places = _frame_places(path, file, layout.frame_bytes(format))
    full_range = fields.get("XCOLORRANGE") == "FULL"
    return RawFile(path, format, layout, replace(BT709, full_range=full_range), places)


def check_name(path: Path, format: Format) -> None:
    """InputError where a `.yuv` to be written would say by its name what it does not hold."""
    layout, size = layout_in_name(path), _SIZE.search(path.stem)
    if layout != Layout():
        raise InputError(f"{path}: is written in {Layout()}, and its name says {layout}; rename it")
    if size and (int(size[1]), int(size[2])) != (format.width, format.height):
        raise InputError(
            f"{path}: frames have {format.width}x{format.height} pixels, and its name says "
            f"{size[0]}; rename it"
        )


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


def _to_bytes(x: Tensor) -> bytes:
    return b"".join(plane.numpy().tobytes() for plane in rgb_to_yuv420(x))


def _size_in_name(path: Path) -> tuple[int, int]:
    found = _SIZE.search(path.stem)
    if not found:
        raise InputError(
            f"{path}: raw video does not say how large its frames are; pass --size WIDTHxHEIGHT "
            "or put it into the name, as in clip_352x288_30fps.yuv"
        )
    return int(found[1]), int(found[2])


def _rate_in_name(path: Path) -> Fraction:
    """Frames per second, as in `_60fps` or `_59.94Hz`.

    >>> _rate_in_name(Path("clip_64x64_60Hz.yuv"))
    Fraction(60, 1)
    """
    said = re.findall(r"(\d+(?:\.\d+)?)[-_ ]?(?:fps|hz)(?![a-z0-9])", path.stem, re.IGNORECASE)
    rates = {Fraction(rate) for rate in said}
    if len(rates) > 1:
        raise InputError(f"{path}: its name says {' and '.join(said)} frames per second")
    return rates.pop() if rates else DEFAULT_RATE


def _header(path: Path, line: bytes) -> dict[str, str]:
    """Each field by its letter, extensions by their names ("XYSCSS=420")."""
    if not line.startswith(_MAGIC) or not line.endswith(b"\n"):
        raise InputError(f"{path}: no Y4M file: it does not begin with YUV4MPEG2 and a format")
    fields = line[len(_MAGIC) :].decode("ascii", "replace").split()
    named = [
        field.partition("=") if field[0] == "X" else (field[0], "", field[1:]) for field in fields
    ]
    return {name: value for name, _, value in named}


def _chroma(fields: dict[str, str]) -> str:
    """Of a Y4M file, how samples are laid out; old writers say it in an extension only."""
    said = fields.get("XYSCSS", "420").lower()
    return fields.get("C", said)


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
                f"{path}: truncated or damaged after {counted(len(places), 'whole frame')}; "
                "replace it, or cut it to whole frames"
            )
        places.append(file.tell())
        file.seek(each, 1)
    if not places:
        raise InputError(f"{path}: holds no frame")
    return places
