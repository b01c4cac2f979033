"""The files of CompressAI's ``examples/codec.py``, which have no magic: two bytes name the model.

    head:   model u8, metric u4, quality - 1 u4, height u32, width u32, bits per sample u8
    image:  head, body
    video:  head, count of frames u32, body of the key frame, then two of each other frame
    body:   latent's height u32, width u32, count u32, then each string: length u32, bytes

Everything is big-endian.
"""

import struct
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO
from typing import BinaryIO

from latentopt.bitstream.origin import CODECS
from latentopt.errors import BitstreamError, InputError

_HEAD, _SIZE, _LENGTH = ">BBIIB", ">III", ">I"
NUMBERED = CODECS[:7]
"""Codecs whose numbers are the same in all versions of CompressAI; latentopt's begin with them."""
METRICS = ("mse", "ms-ssim")
"""In the order of their numbers."""
_BIT_DEPTH = 8
_MAX_QUALITY, _MAX_STRINGS = 16, 16
_MAX_BYTES = 1 << 30


@dataclass(frozen=True)
class Head:
    """What comes first: numbers of model and metric, the quality, and the size in pixels."""

    model: int
    metric: int
    quality: int
    height: int
    width: int

    def to_bytes(self) -> bytes:
        """As the file has it.

        Raises:
            InputError: the layout has no room for such a quality.
        """
        if not 1 <= self.quality <= _MAX_QUALITY:
            raise InputError(
                f"quality {self.quality}: CompressAI's files hold 1 to {_MAX_QUALITY} only"
            )
        code = self.metric << 4 | self.quality - 1
        return struct.pack(_HEAD, self.model, code, self.height, self.width, _BIT_DEPTH)

    @staticmethod
    def read(file: BinaryIO) -> "Head":
        """The mirror of :meth:`to_bytes`.

        Raises:
            BitstreamError: the file ends before, or is of more than 8 bits per sample.
        """
        model, code, height, width, depth = _read(file, _HEAD)
        if depth != _BIT_DEPTH or not height or not width:
            raise BitstreamError("this is no file of CompressAI's examples/codec.py, of 8 bits")
        return Head(model, code >> 4, (code & 15) + 1, height, width)


@dataclass(frozen=True)
class Body:
    """What a model's own ``compress`` gave of one image, or of one part of a frame."""

    shape: tuple[int, int]
    strings: tuple[bytes, ...]

    @property
    def lists(self) -> list[list[bytes]]:
        """The strings as a model's ``decompress`` takes them: of each latent those of a batch."""
        return [[string] for string in self.strings]

    def to_bytes(self) -> bytes:
        """As the file has it."""
        head = struct.pack(_SIZE, *self.shape, len(self.strings))
        return head + b"".join(struct.pack(_LENGTH, len(s)) + s for s in self.strings)

    @staticmethod
    def read(file: BinaryIO) -> "Body":
        """The mirror of :meth:`to_bytes`.

        Raises:
            BitstreamError: the file ends before, or is another's.
        """
        height, width, count = _read(file, _SIZE)
        if not 1 <= count <= _MAX_STRINGS:
            raise BitstreamError(f"{count} strings of one image: this is no file of CompressAI's")
        return Body((height, width), tuple(_string(file) for _ in range(count)))

    @staticmethod
    def of(strings: Sequence[Sequence[bytes]], shape: object) -> "Body":
        """Of one image.

        Raises:
            InputError: the layout cannot hold such a shape.
        """
        if not isinstance(shape, tuple | list) or len(shape) != 2:
            raise InputError(
                "CompressAI's files hold one latent shape (h, w), and this model has several: keep "
                "the strings and the shape that compress() returns in a file of your own"
            )
        return Body((int(shape[0]), int(shape[1])), tuple(string for [string] in strings))


def count_bytes(frames: int) -> bytes:
    """How many frames follow."""
    return struct.pack(_LENGTH, frames)


def read_count(file: BinaryIO) -> int:
    """The mirror of :func:`count_bytes`.

    Raises:
        BitstreamError: the file ends before, or has no frames.
    """
    [frames] = _read(file, _LENGTH)
    if not frames:
        raise BitstreamError("no frames: this is no file of CompressAI's examples/codec.py")
    return int(frames)


def check_end(file: BinaryIO) -> None:
    """Raises BitstreamError unless nothing follows."""
    if file.read(1):
        raise BitstreamError("there is more in the file than its strings")


def is_whole(data: bytes) -> bool:
    """Whether these are an image's or a clip's parts, one after the other, and nothing else."""
    file = BytesIO(data)
    with suppress(BitstreamError):
        Head.read(file)
        start = file.tell()
        if _are_bodies(file, 1):
            return True
        file.seek(start)
        return _are_bodies(file, 2 * read_count(file) - 1)
    return False


def _are_bodies(file: BinaryIO, count: int) -> bool:
    with suppress(BitstreamError):
        for _ in range(count):
            Body.read(file)
        check_end(file)
        return count > 0
    return False


def _string(file: BinaryIO) -> bytes:
    [length] = _read(file, _LENGTH)
    if length > _MAX_BYTES:
        raise BitstreamError(f"a string of {length} bytes: this is no file of CompressAI's")
    return _exactly(file, length)


def _read(file: BinaryIO, layout: str) -> tuple[int, ...]:
    return struct.unpack(layout, _exactly(file, struct.calcsize(layout)))


def _exactly(file: BinaryIO, length: int) -> bytes:
    data = file.read(length)
    if len(data) != length:
        raise BitstreamError("the file ends early")
    return data
