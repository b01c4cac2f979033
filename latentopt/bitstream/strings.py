"""Several strings as one, with their lengths; and how numbers are written: LEB128, and floats."""

import struct
from contextlib import suppress

from latentopt.errors import BitstreamError

FLOATS = {2: "<e", 4: "<f", 8: "<d"}
"""How floats are written, by the number of bytes."""


def join_strings(strings: tuple[bytes, ...]) -> bytes:
    """The LEB128 length of each string but the last, then the strings."""
    return b"".join(leb128(len(string)) for string in strings[:-1]) + b"".join(strings)


def split_strings(rest: bytes, count: int) -> tuple[bytes, ...]:
    """The mirror of :func:`join_strings`; BitstreamError where the lengths do not fit."""
    lengths, position = [], 0
    for _ in range(count - 1):
        length, position = read_leb128(rest, position)
        lengths.append(length)
    strings = []
    for length in lengths:
        strings.append(rest[position : position + length])
        position += length
    if position > len(rest):
        raise BitstreamError("string lengths in the header exceed the file")
    return (*strings, rest[position:])


def leb128(value: int) -> bytes:
    out = bytearray()
    while True:
        value, low = value >> 7, value & 0x7F
        out.append(low | (0x80 if value else 0))
        if not value:
            return bytes(out)


def read_leb128(data: bytes, position: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 35, 7):
        if position >= len(data):
            raise BitstreamError("truncated: the header ends within a string length")
        byte, position = data[position], position + 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise BitstreamError("a string length in the header is too long")


def float_bytes(value: float) -> bytes:
    """A number, exactly, in the shortest of :data:`FLOATS` that has it; of NaN nothing."""
    for kind in FLOATS.values():
        with suppress(OverflowError):
            found = struct.pack(kind, float(value))
            if struct.unpack(kind, found) == (value,):
                return found
    return b""


def read_float(data: bytes) -> float:
    """The mirror of :func:`float_bytes`; NaN of bytes that it never gives."""
    kind = FLOATS.get(len(data))
    found: float = struct.unpack(kind, data)[0] if kind else float("nan")
    return found
