"""The format of a video file: a header, a record for each frame, an end record.

    offset  size  field
    0       3     magic AC 4C 56
    3       1     format version
    4       1     n, number of parts of the codec
    5       n     settings of each part
    …       2+2   frame width, height (little-endian, as all integers)
    …       4+4   frame rate, a fraction
    …       4+4   weights hash, table hash
    …       …     from version 2 on: LEB128 length of the fields, then these (see fields.py)
    …       4     CRC-32 of everything before

    record: kind (0 key frame, 1 predicted, 2 end), LEB128 length of the body, body, CRC-32 of all
    of it and of the record's number, 4 bytes. The body has the LEB128 length of each string but the
    last, then the strings; that of the end record is the number of frames, 4 bytes.

A file that ends early still has its whole frames; one that was finished says so by its last record.
"""

import os
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import BinaryIO

from latentopt.atomic import reading
from latentopt.bitstream.fields import LONGEST_FIELDS, pack_fields, unpack_fields, version_of
from latentopt.bitstream.headers import Identity, Settings, check_version
from latentopt.bitstream.image_file import MAX_SIDE
from latentopt.bitstream.origin import Origin
from latentopt.bitstream.others import begins_as
from latentopt.bitstream.strings import join_strings, leb128, read_leb128, split_strings
from latentopt.errors import BitstreamError, InputError, TruncatedError

MAGIC = b"\xacLV"
KEY, PREDICTED, END = range(3)
_CRC = 4
_SHORTEST = 6  # bytes of a record: kind, at least one of the length, CRC
_LARGEST = 0xFFFFFFFF
_LONGEST_LEB128 = 5
_ENOUGH = 16  # bytes, to know what other file it is
_LONGEST = 1 << 28
"""Bytes of a record's body that a reader accepts; no frame that a codec accepts has more."""


@dataclass(frozen=True)
class Header:
    """What a video file says before its frames."""

    settings: tuple[Settings, ...]
    """Of each part of the codec, in its order."""
    width: int
    height: int
    rate: Fraction
    """Frames per second."""
    weights_hash: bytes  # (4,)
    table_hash: bytes  # (4,)
    origin: Origin | None = None
    """Where the model comes from, if that was known."""

    @property
    def version(self) -> int:
        """Of the format, as it is written: the oldest that can say this."""
        return version_of(self.settings, self.origin)

    @property
    def identities(self) -> list[Identity]:
        """What each part of the codec must have been; hashes are of all parts together."""
        hashes = self.weights_hash, self.table_hash
        return [Identity(settings, *hashes, self.origin) for settings in self.settings]

    def to_bytes(self) -> bytes:
        if max(self.width, self.height) > MAX_SIDE:
            raise InputError(f"{self.width}x{self.height}: the format holds up to 65535 a side")
        parts = (self.rate.numerator, self.rate.denominator)
        if not 0 < parts[0] <= _LARGEST or parts[1] > _LARGEST:
            raise InputError(f"frame rate {self.rate}: the format has 32 bits for each number")
        settings = bytes(settings.to_byte() for settings in self.settings)
        head = MAGIC + bytes([self.version, len(settings)]) + settings
        head += b"".join(side.to_bytes(2, "little") for side in (self.width, self.height))
        head += b"".join(part.to_bytes(4, "little") for part in parts)
        head += self.weights_hash + self.table_hash
        return _sealed(head + pack_fields(self.settings, self.origin))

    @staticmethod
    def read(file: BinaryIO) -> "Header":
        """From the start of a file.

        Raises:
            BitstreamError: not such a file, of another version, truncated or corrupt.
        """
        head = file.read(5)
        if head[:3] != MAGIC:
            said = begins_as(head + file.read(_ENOUGH))
            raise BitstreamError(f"not a latentopt video: {said}")
        if len(head) < 5:
            raise BitstreamError("truncated: the file ends within its header")
        check_version(head[3])
        count = head[4]
        fixed = 5 + count + 20
        data = head + file.read(count + 20)
        fields = _read_fields(file) if head[3] > 1 else b""
        body = _unsealed(data + fields + file.read(_CRC), fixed + len(fields), "header")
        numbers = [_integer(body[i:j]) for i, j in _ranges(5 + count, (2, 2, 4, 4))]
        width, height, rate, per = numbers
        if not (width and height and rate and per):
            raise BitstreamError(f"{width}x{height} at {rate}/{per} frames a second in the header")
        plain = [Settings.from_byte(value) for value in body[5 : 5 + count]]
        settings, origin, _ = unpack_fields(body[fixed:], head[3], plain)
        hashes = body[fixed - 8 : fixed - 4], body[fixed - 4 : fixed]
        return Header(settings, width, height, Fraction(rate, per), *hashes, origin)


def is_video_file(path: str | os.PathLike[str]) -> bool:
    """Whether a file is one of frames; InputError where it cannot be read."""
    with reading(path) as file:
        return file.read(len(MAGIC)) == MAGIC


def read_header(path: str | os.PathLike[str]) -> Header:
    """The header of a video file.

    Raises:
        InputError: the file cannot be read.
        BitstreamError: see :meth:`Header.read`.
    """
    with reading(path) as file:
        return Header.read(file)


def count_frames(path: str | os.PathLike[str]) -> tuple[int, int, bool]:
    """Key frames and predicted frames of a video file, and whether it is whole.

    Raises:
        InputError: the file cannot be read.
        BitstreamError: it is corrupt.
    """
    counts = [0, 0]
    with reading(path) as file:
        Header.read(file)
        try:
            for kind, _ in frame_records(file, (1, 1)):
                counts[kind] += 1
        except TruncatedError:
            return counts[KEY], counts[PREDICTED], False
    return counts[KEY], counts[PREDICTED], True


def frame_record(number: int, kind: int, strings: tuple[bytes, ...]) -> bytes:
    """A frame, ``number`` counting from 0, as bytes."""
    return _record(number, kind, join_strings(strings))


def end_record(frames: int) -> bytes:
    """What follows the last of so many frames."""
    return _record(frames, END, frames.to_bytes(4, "little"))


def frame_records(
    file: BinaryIO, string_counts: tuple[int, int]
) -> Iterator[tuple[int, tuple[bytes, ...]]]:
    """Kind and strings of each frame; ``string_counts`` of a key and of a predicted frame.

    Raises:
        TruncatedError: after the last whole frame, where the end record is missing.
        BitstreamError: a record is corrupt.
    """
    number = 0
    while True:
        kind, body = _read_record(file, number)
        if kind == END:
            if body != number.to_bytes(4, "little") or file.read(1):
                raise BitstreamError("corrupt: the end record is not that of these frames")
            return
        yield kind, split_strings(body, string_counts[kind])
        number += 1


def _record(number: int, kind: int, body: bytes) -> bytes:
    data = bytes([kind]) + leb128(len(body)) + body
    return data + zlib.crc32(data + number.to_bytes(4, "little")).to_bytes(_CRC, "little")


def _read_record(file: BinaryIO, number: int) -> tuple[int, bytes]:
    head = file.read(_SHORTEST)
    if len(head) < _SHORTEST:
        raise TruncatedError(number)
    length, used = read_leb128(head, 1)
    if length > _LONGEST:
        raise BitstreamError(f"corrupt: frame {number} would have {length} bytes")
    size = used + length + _CRC
    data = head + file.read(size - len(head))
    if len(data) < size:
        raise TruncatedError(number)
    crc = zlib.crc32(data[:-_CRC] + number.to_bytes(4, "little")).to_bytes(_CRC, "little")
    if crc != data[-_CRC:] or data[0] > END:
        raise BitstreamError(f"checksum mismatch: frame {number} is corrupt")
    return data[0], data[used:-_CRC]


def _read_fields(file: BinaryIO) -> bytes:
    """The fields of a header with their length; less where the file ends early."""
    head = b""
    while len(head) < _LONGEST_LEB128 and not (head and head[-1] < 0x80):
        byte = file.read(1)
        if not byte:
            return head
        head += byte
    length, _ = read_leb128(head, 0)
    if length > LONGEST_FIELDS:
        raise BitstreamError(f"corrupt: the header would have {length} bytes of fields")
    return head + file.read(length)


def _sealed(data: bytes) -> bytes:
    return data + zlib.crc32(data).to_bytes(_CRC, "little")


def _unsealed(data: bytes, length: int, what: str) -> bytes:
    if len(data) < length + _CRC:
        raise BitstreamError(f"truncated: the file ends within its {what}")
    if _sealed(data[:-_CRC]) != data:
        raise BitstreamError(f"checksum mismatch: the {what} is corrupt")
    return data[:-_CRC]


def _ranges(start: int, sizes: tuple[int, ...]) -> Iterator[tuple[int, int]]:
    for size in sizes:
        yield start, start + size
        start += size


def _integer(data: bytes) -> int:
    return int.from_bytes(data, "little")
