"""The file format: a header that says what the decoder must match, the strings, a checksum.

    offset  size  field
    0       3     magic AC 4C 4F
    3       1     format version
    4       1     settings (see Settings)
    5       2+2   image width, height (little-endian, as all integers)
    9       4     weights hash
    13      4     table hash
    17      0-4   LEB128 length of each string but the last
    …             strings, the last one up to the checksum
    -4      4     CRC-32 of everything before

With at most one length that is 24 bytes beyond the strings for any string below 2 MiB.
"""

import zlib
from dataclasses import asdict, dataclass

from latentopt.coding.steps import DIRECTIONS
from latentopt.errors import BitstreamError, InputError
from latentopt.lattices import RULES

MAGIC = b"\xacLO"
VERSION = 1
MAX_SIDE = 0xFFFF
_FIXED = 17
_CRC = 4
_QUANTS = list(RULES)
_DIRECTIONS = list(DIRECTIONS)
_PMFS = ["exact", "paper"]


@dataclass(frozen=True)
class Settings:
    """What the decoder's codec must have in common with the encoder's, besides the weights."""

    quant: str
    pmf: str
    direction: str
    portable: bool
    scales: bool = False
    """Whether each main latent comes with corrections of its scales, one per channel."""

    def to_byte(self) -> int:
        fields = _QUANTS.index(self.quant) | _PMFS.index(self.pmf) << 3
        flags = self.portable << 6 | self.scales << 7
        return fields | _DIRECTIONS.index(self.direction) << 4 | flags

    @staticmethod
    def from_byte(value: int) -> "Settings":
        try:
            quant, pmf = _QUANTS[value & 7], _PMFS[value >> 3 & 1]
            direction, flags = _DIRECTIONS[value >> 4 & 3], (value >> 6 & 1, value >> 7)
            return Settings(quant, pmf, direction, *map(bool, flags))
        except IndexError:
            raise BitstreamError(
                f"settings byte {value:#04x} is unknown: written by a newer latentopt?"
            ) from None


@dataclass(frozen=True)
class Identity:
    """What decides whether a codec can read a stream."""

    settings: Settings
    weights_hash: bytes  # (4,)
    table_hash: bytes  # (4,)

    @property
    def hashes(self) -> tuple[bytes, bytes]:
        return self.weights_hash, self.table_hash

    def check(self, theirs: "Identity") -> None:
        """Raises BitstreamError, which says what differs, unless a stream is of this codec."""
        ours = asdict(self.settings)
        settings = asdict(theirs.settings).items()
        differing = [f"{k}={v!r}, not {ours[k]!r}" for k, v in settings if v != ours[k]]
        if differing:
            raise BitstreamError(f"written by a codec with {' and '.join(differing)}: wrap it so")
        if theirs.weights_hash != self.weights_hash:
            raise BitstreamError(
                "written by another model: its weights hash is "
                f"{theirs.weights_hash.hex()}, this model's {self.weights_hash.hex()}"
            )
        if theirs.table_hash != self.table_hash:
            raise BitstreamError(
                "written with other probability tables (table hash "
                f"{theirs.table_hash.hex()}, here {self.table_hash.hex()}): load the "
                "encoder's state_dict, which carries its tables"
            )


@dataclass(frozen=True)
class Container:
    """One coded image. ``strings`` as in ``codec.compress``, for a single image."""

    settings: Settings
    width: int
    height: int
    weights_hash: bytes  # (4,)
    table_hash: bytes  # (4,)
    strings: tuple[bytes, ...]

    @property
    def identity(self) -> Identity:
        return Identity(self.settings, self.weights_hash, self.table_hash)

    def to_bytes(self) -> bytes:
        if max(self.width, self.height) > MAX_SIDE:
            raise InputError(f"{self.width}x{self.height}: the format holds up to 65535 a side")
        head = MAGIC + bytes([VERSION, self.settings.to_byte()])
        head += self.width.to_bytes(2, "little") + self.height.to_bytes(2, "little")
        body = head + self.weights_hash + self.table_hash + join_strings(self.strings)
        return body + zlib.crc32(body).to_bytes(_CRC, "little")

    @staticmethod
    def from_bytes(data: bytes, string_count: int | None = None) -> "Container":
        """Read a container; with ``string_count`` None the strings are left as one.

        Raises:
            BitstreamError: not such a file, of another version, truncated or corrupt.
        """
        if data[:3] != MAGIC[: len(data[:3])] or not data:
            raise BitstreamError("not a latentopt file: the first bytes are not its magic number")
        if len(data) < _FIXED + _CRC:
            raise BitstreamError(f"truncated: {len(data)} bytes are fewer than a header")
        if data[3] != VERSION:
            raise BitstreamError(f"format version {data[3]}, but this latentopt reads {VERSION}")
        body, crc = data[:-_CRC], data[-_CRC:]
        if zlib.crc32(body).to_bytes(_CRC, "little") != crc:
            raise BitstreamError("checksum mismatch: the file is truncated or corrupt")
        width, height = (int.from_bytes(body[i : i + 2], "little") for i in (5, 7))
        if not width or not height:
            raise BitstreamError(f"image size {width}x{height} in the header")
        return Container(
            Settings.from_byte(body[4]),
            width,
            height,
            body[9:13],
            body[13:17],
            split_strings(body[_FIXED:], string_count or 1),
        )


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
