"""The file format: a header that says what the decoder must match, the strings, a checksum.

    offset  size  field
    0       3     magic AC 4C 4F
    3       1     format version
    4       1     settings (see Settings)
    5       2+2   image width, height (little-endian, as all integers)
    9       4     weights hash
    13      4     table hash
    17      …     from version 2 on: LEB128 length of the fields, then these (see fields.py)
    …       0-4   LEB128 length of each string but the last
    …             strings, the last one up to the checksum
    -4      4     CRC-32 of everything before

With at most one length that is 24 bytes beyond the strings for any string below 2 MiB, and 28 where
the codec is named by its number; a grey image takes one byte more.
"""

import zlib
from dataclasses import dataclass

from latentopt.bitstream.fields import pack_fields, unpack_image_fields, version_of
from latentopt.bitstream.headers import Identity, Settings, check_version
from latentopt.bitstream.origin import Origin
from latentopt.bitstream.strings import join_strings, split_strings
from latentopt.errors import BitstreamError, InputError

MAGIC = b"\xacLO"
MAX_SIDE = 0xFFFF
_FIXED = 17
_CRC = 4


@dataclass(frozen=True)
class Container:
    """One coded image. ``strings`` as in ``codec.compress``, for a single image."""

    settings: Settings
    width: int
    height: int
    weights_hash: bytes  # (4,)
    table_hash: bytes  # (4,)
    strings: tuple[bytes, ...]
    origin: Origin | None = None
    """Where the model comes from, if that was known."""
    is_grey: bool = False
    """Whether the image has one channel: it was coded as three equal ones."""

    @property
    def version(self) -> int:
        """Of the format, as it is written: the oldest that can say this."""
        return version_of([self.settings], self.origin, self.is_grey)

    @property
    def identity(self) -> Identity:
        return Identity(self.settings, self.weights_hash, self.table_hash, self.origin)

    def to_bytes(self) -> bytes:
        if max(self.width, self.height) > MAX_SIDE:
            raise InputError(f"{self.width}x{self.height}: the format holds up to 65535 a side")
        head = MAGIC + bytes([self.version, self.settings.to_byte()])
        head += self.width.to_bytes(2, "little") + self.height.to_bytes(2, "little")
        head += self.weights_hash + self.table_hash
        fields = pack_fields([self.settings], self.origin, self.is_grey)
        body = head + fields + join_strings(self.strings)
        return body + zlib.crc32(body).to_bytes(_CRC, "little")

    @staticmethod
    def from_bytes(data: bytes, string_count: int | None = None) -> "Container":
        """Read a container; with ``string_count`` None the strings are left as one.

        Raises:
            BitstreamError: not such a file, of another version, truncated or corrupt.
        """
        if data[:3] != MAGIC[: len(data[:3])] or not data:
            raise BitstreamError(
                "not a latentopt file: the first bytes are not its magic number "
                "(files of CompressAI are read with --format compressai)"
            )
        if len(data) < _FIXED + _CRC:
            raise BitstreamError(f"truncated: {len(data)} bytes are fewer than a header")
        check_version(data[3])
        body, crc = data[:-_CRC], data[-_CRC:]
        if zlib.crc32(body).to_bytes(_CRC, "little") != crc:
            raise BitstreamError("checksum mismatch: the file is truncated or corrupt")
        width, height = (int.from_bytes(body[i : i + 2], "little") for i in (5, 7))
        if not width or not height:
            raise BitstreamError(f"image size {width}x{height} in the header")
        plain = [Settings.from_byte(body[4])]
        found, strings = unpack_image_fields(body[_FIXED:], data[3], plain)
        [settings] = found.parts
        return Container(
            settings,
            width,
            height,
            body[9:13],
            body[13:17],
            split_strings(strings, string_count or 1),
            found.origin,
            found.is_grey,
        )
