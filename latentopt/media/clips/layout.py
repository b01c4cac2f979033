"""How raw video lays out its samples, and what file names say of it: read, or refused, not guessed.

Names say it in FFmpeg's words (`clip_64x64_yuv422p10le.yuv`) or in those of test sequences
(`clip_64x64_420_10bit.yuv`); where they say nothing it is 4:2:0 of 8 bits.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from latentopt.errors import InputError
from latentopt.media.clips.clip import Format

_BITS = range(8, 17)
_SHRINK = {"420": (2, 2), "422": (1, 2), "444": (1, 1), "400": None}
"""By how much chroma is smaller than luma, in height and width; None: there is none."""

# Words of a name: "420", "yuv420p", "i420", "yuvj444p", "422p10le"; "gray", "gray12be", "y16".
_PLANAR = re.compile(
    r"(?:yuv|i)?(?P<full>j)?(?P<chroma>420|422|444|400)(?:p(?P<bits>\d+)?(?P<order>le|be)?)?"
)
_GRAY = re.compile(r"(?:gr[ae]y(?:scale)?|y(?=\d))(?P<bits>8|9|1\d)?(?P<order>le|be)?")
_DEPTHS = (  # anywhere in a name: "10bit", "10-bit", "12_bits", "p10le"; "10b"
    re.compile(r"(?<![a-z0-9])p?(?P<bits>\d{1,2})(?:[-_ ]?bits?|(?P<order>le|be))(?![a-z0-9])"),
    re.compile(r"(?<![a-z0-9])(?P<bits>8|9|1[0-6])b(?![a-z0-9])"),
)
# Packed, interleaved, with alpha, RGB, or of other chroma.
_OTHER = re.compile(
    r"(?:yuv[a-z]*\d|4[0-4][0-4]p|i[024]1|yv\d|yuy|uyvy|yvyu|vyuy|nv\d\d|p[024]1\d|[vyx]21\d"
    r"|v[34]\d\d|ayuv|vuy|xv\d|ya\d|grayf\d|gbr|rgb|bgr|[ax0](?:rgb|bgr)|bayer|pal8|xyz12|mono[wb]$).*"
)


@dataclass(frozen=True)
class Layout:
    """Planes one after another: luma, then the two of chroma, if any."""

    chroma: str = "420"
    bits: int = 8
    """Of a sample; more than 8 are two bytes."""
    big_endian: bool = False
    full_range: bool = False

    def __str__(self) -> str:
        kind = "gray" if self.chroma == "400" else ":".join(self.chroma)
        wide = ": more than 8 bits are two bytes a sample" if self.bits > 8 else ""
        return f"{kind}, {self.bits} bits{wide}"

    def shapes(self, format: Format) -> list[tuple[int, int]]:
        """(height, width) of each plane."""
        full, shrink = (format.height, format.width), _SHRINK[self.chroma]
        if shrink is None:
            return [full]
        chroma = (-(-format.height // shrink[0]), -(-format.width // shrink[1]))
        return [full, chroma, chroma]

    def frame_bytes(self, format: Format) -> int:
        """Bytes of a frame's planes.

        >>> from fractions import Fraction
        >>> Layout("420").frame_bytes(Format(3, 5, Fraction(25)))
        27
        """
        samples = sum(height * width for height, width in self.shapes(format))
        return samples * (2 if self.bits > 8 else 1)

    def planes(self, data: bytes, format: Format) -> tuple[Tensor, Tensor, Tensor]:
        """y, u, v, each (1, 1, h, w) in levels of 8 bits: of 10 bits, in quarters of them.

        Raises:
            InputError: a sample has more bits than the layout.
        """
        shapes, samples = self.shapes(format), self._samples(data)
        parts = samples.split([height * width for height, width in shapes])
        y, *chroma = (part.view(1, 1, *shape) for part, shape in zip(parts, shapes))
        neutral = torch.full((1, 1, 1, 1), 128.0).expand_as(y)
        u, v = chroma or (neutral, neutral)
        return y, u, v

    def _samples(self, data: bytes) -> Tensor:
        if self.bits == 8:
            return torch.from_numpy(np.frombuffer(data, np.uint8).copy())
        deep = np.frombuffer(data, ">u2" if self.big_endian else "<u2").astype(np.float32)
        if deep.max(initial=0) >= 1 << self.bits:
            raise InputError(f"a sample of {deep.max():.0f} has more than {self.bits} bits")
        return torch.from_numpy(deep / (1 << self.bits - 8))


def layout_in_name(path: Path) -> Layout:
    """What a file's name says.

    >>> layout_in_name(Path("clip_64x64_yuv422p10le.yuv"))
    Layout(chroma='422', bits=10, big_endian=False, full_range=False)
    >>> layout_in_name(Path("HoneyBee_1920x1080_120fps_420_8bit_YUV.yuv")) == Layout()
    True

    Raises:
        InputError: samples are laid out otherwise than can be read, or the name contradicts itself.
    """
    found = list(_said(path))
    chroma = _agreed(path, found, "chroma") or "420"
    bits = int(_agreed(path, found, "bits") or 8)
    order = _agreed(path, found, "order") or "le"
    if bits not in _BITS:
        raise InputError(f"{path}: its name says {bits} bits per sample; convert it to 8")
    return Layout(chroma, bits, order == "be", any(part.get("full") for part in found))


def _said(path: Path) -> Iterator[Mapping[str, str | None]]:
    """What the parts of a name say of samples; InputError for words that are not read."""
    stem = path.stem.lower()
    for word in re.split(r"[^a-z0-9]+", stem):
        if match := _PLANAR.fullmatch(word):
            yield match.groupdict()
        elif match := _GRAY.fullmatch(word):
            # FFmpeg's gray uses all levels, unlike luma without chroma ("400")
            yield {"chroma": "400", "full": "gray", **match.groupdict()}
        elif _OTHER.fullmatch(word):
            raise InputError(
                f"{path}: its name says that its samples are {word}, which is not read; convert "
                f"them: ffmpeg -f rawvideo -pixel_format {word} -video_size WxH -i IN OUT.y4m"
            )
    for pattern in _DEPTHS:
        yield from (match.groupdict() for match in pattern.finditer(stem))


def _agreed(path: Path, said: Sequence[Mapping[str, str | None]], what: str) -> str | None:
    """The one value that is said, if any; InputError where several are."""
    values = sorted({value for part in said if (value := part.get(what)) is not None})
    if len(values) > 1:
        raise InputError(
            f"{path}: its name says {' and '.join(values)} ({what}); rename it to say which"
        )
    return values[0] if values else None
