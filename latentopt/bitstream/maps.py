"""A main latent in maps, one after the other: a stream that may end after any of them.

In the main string each map has its length before it. In a file, what follows the fields is

    LEB128 length of what the other strings take, with their lengths, then these
    4       CRC-32 of everything before, as all integers little-endian
    then for each map
    …       LEB128 length of the map, then the map
    4       CRC-32 of everything before but other checksums (after which it would be the same)

so that a file that is cut after a map is one that could have been written, and a map that is
damaged is known by its number, while those before it are known to be whole.
"""

import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from latentopt.bitstream.strings import leb128, read_leb128
from latentopt.errors import BitstreamError, MapError

_CRC = 4
LEAD = b"\0"
"""What a main string begins with: no step of a shift. Files do not have it."""


def join_maps(maps: Iterable[bytes]) -> bytes:
    """Maps as one string, each after its length."""
    return b"".join(leb128(len(own)) + own for own in maps)


def split_maps(string: bytes) -> list[bytes]:
    """The mirror of :func:`join_maps`; BitstreamError where the string ends within a map."""
    maps, position = list[bytes](), 0
    while position < len(string):
        length, position = read_leb128(string, position)
        maps.append(string[position : position + length])
        position += length
    if position > len(string):
        raise BitstreamError(f"truncated: the string ends within map {len(maps)}")
    return maps


@dataclass(frozen=True)
class Mapped:
    """What a file in maps holds."""

    others: bytes
    """The other strings, joined."""
    maps: tuple[bytes, ...]
    """Those that are whole."""
    damage: MapError | None = None
    """What is wrong with the next one, if anything is."""


def pack_maps(head: bytes, others: bytes, maps: Sequence[bytes]) -> bytes:
    """A file: ``head``, the other strings, and the maps, each with its checksum."""
    data = head + leb128(len(others)) + others
    pieces, crc = [data], zlib.crc32(data)
    for own in [b"", *(join_maps([own]) for own in maps)]:
        crc = zlib.crc32(own, crc)
        pieces += [own, crc.to_bytes(_CRC, "little")]
    return b"".join(pieces)


def map_bytes(own: bytes) -> int:
    """What a map takes in a file."""
    return len(join_maps([own])) + _CRC


def unpack_maps(data: bytes, start: int) -> Mapped:
    """The mirror of :func:`pack_maps`, where the head ends at ``start``.

    Raises:
        BitstreamError: what comes before the maps is truncated or corrupt.
    """
    length, begin = read_leb128(data, start)
    position = begin + length
    crc = _checked(data, 0, position, 0)
    if crc is None:
        raise BitstreamError("checksum mismatch: the header is truncated or corrupt")
    others, position, maps = data[begin:position], position + _CRC, list[bytes]()
    while position < len(data):
        try:
            own, after = _map(data, position)
        except BitstreamError:
            return Mapped(others, tuple(maps), _damage("ends early", maps))
        crc = _checked(data, position, after, crc)
        if crc is None:
            return Mapped(others, tuple(maps), _damage("is corrupt: its checksum differs", maps))
        maps.append(own)
        position = after + _CRC
    return Mapped(others, tuple(maps))


def _map(data: bytes, position: int) -> tuple[bytes, int]:
    """A map, and where its checksum is; BitstreamError where the data ends before that does."""
    length, begin = read_leb128(data, position)
    end = begin + length
    if end + _CRC > len(data):
        raise BitstreamError("truncated")
    return data[begin:end], end


def _checked(data: bytes, start: int, end: int, crc: int) -> int | None:
    """The checksum of all up to ``end``; None where the one that is stored there differs.

    Args:
        crc: of all up to ``start``.
    """
    own = zlib.crc32(data[start:end], crc)
    return own if own.to_bytes(_CRC, "little") == data[end : end + _CRC] else None


def _damage(what: str, maps: Sequence[bytes]) -> MapError:
    return MapError(f"map {len(maps) + 1} {what}", len(maps))
