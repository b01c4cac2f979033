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

Where the fields say that the main latent comes in maps, what follows them is that of maps.py.
With at most one length that is 24 bytes beyond the strings for any string below 2 MiB, and 28 where
the codec is named by its number; a grey image takes one byte more.
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

from latentopt.bitstream.fields import pack_fields, unpack_image_fields, version_of
from latentopt.bitstream.headers import Identity, Settings, check_version
from latentopt.bitstream.maps import LEAD, join_maps, map_bytes, pack_maps, split_maps, unpack_maps
from latentopt.bitstream.origin import Origin
from latentopt.bitstream.others import begins_as
from latentopt.bitstream.strings import join_strings, split_strings
from latentopt.errors import BitstreamError, InputError, MapError

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
    damage: MapError | None = None
    """Of an image in maps: what is wrong with the one after those in the main string."""

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
        head += pack_fields([self.settings], self.origin, self.is_grey)
        if self.settings.progressive:
            return pack_maps(head, join_strings(self.strings[1:]), self.maps)
        body = head + join_strings(self.strings)
        return body + zlib.crc32(body).to_bytes(_CRC, "little")

    @property
    def string_bytes(self) -> tuple[int, ...]:
        """What each string takes in the file, besides its length."""
        main, *others = map(len, self.strings)
        return main - len(LEAD) if self.settings.progressive else main, *others

    @property
    def payload_bytes(self) -> int:
        """What the strings take with their lengths: the file without header and checksums."""
        joined = self.strings[1:] if self.settings.progressive else self.strings
        lengths = len(join_strings(joined)) - sum(map(len, joined))
        return sum(self.string_bytes) + lengths

    @property
    def maps(self) -> tuple[bytes, ...]:
        """Of the main latent, where it comes in maps.

        Raises:
            BitstreamError: it does not.
        """
        if not self.settings.progressive:
            raise BitstreamError(
                "this file is in one piece: only what was coded as progressive, or by a codec of "
                "feature maps, has maps that it can be cut after"
            )
        return tuple(split_maps(self.strings[0].removeprefix(LEAD)))

    def cut(self, maps: int) -> "Container":
        """The same with the first so many maps, or with all if there are fewer.

        Raises:
            BitstreamError: the main latent does not come in maps.
        """
        main = LEAD + join_maps(self.maps[:maps])
        return replace(self, strings=(main, *self.strings[1:]), damage=None)

    @property
    def cut_bytes(self) -> Sequence[int]:
        """Of the files with none of the maps, with the first one, and so on to all.

        Raises:
            BitstreamError: the main latent does not come in maps.
        """
        return list(accumulate(map(map_bytes, self.maps), initial=len(self.cut(0).to_bytes())))

    @staticmethod
    def from_bytes(data: bytes, string_count: int | None = None) -> "Container":
        """Read a container; with ``string_count`` None the strings are left as one.

        Raises:
            BitstreamError: not such a file, of another version, truncated or corrupt.
        """
        if data[:3] != MAGIC[: len(data[:3])] or not data:
            raise BitstreamError(f"not a latentopt file: {begins_as(data)}")
        if len(data) < _FIXED + _CRC:
            raise BitstreamError(f"truncated: {len(data)} bytes are fewer than a header")
        check_version(data[3])
        if _is_progressive(data):
            return _in_maps(data, string_count)
        body, crc = data[:-_CRC], data[-_CRC:]
        if zlib.crc32(body).to_bytes(_CRC, "little") != crc:
            raise BitstreamError("checksum mismatch: the file is truncated or corrupt")
        head, strings = _head(body)
        return replace(head, strings=split_strings(strings, string_count or 1))


def _head(data: bytes) -> tuple[Container, bytes]:
    """What a file says before its strings, and the rest."""
    width, height = (int.from_bytes(data[i : i + 2], "little") for i in (5, 7))
    if not width or not height:
        raise BitstreamError(f"image size {width}x{height} in the header")
    plain = [Settings.from_byte(data[4])]
    found, rest = unpack_image_fields(data[_FIXED:], data[3], plain)
    [settings] = found.parts
    hashes, grey = (data[9:13], data[13:17]), found.is_grey
    return Container(settings, width, height, *hashes, (), found.origin, grey), rest


def _is_progressive(data: bytes) -> bool:
    """Whether a header, of which no checksum is known yet, says that maps follow."""
    try:
        return _head(data)[0].settings.progressive
    except BitstreamError:  # which is said of what has the right checksum
        return False


def _in_maps(data: bytes, string_count: int | None) -> Container:
    """A file whose main latent comes in maps."""
    head, rest = _head(data)
    found = unpack_maps(data, len(data) - len(rest))
    others = () if string_count == 1 else split_strings(found.others, (string_count or 2) - 1)
    if string_count == 1 and found.others:
        raise BitstreamError("strings of other latents than the codec's main one are in the file")
    main = LEAD + join_maps(found.maps)
    return replace(head, strings=(main, *others), damage=found.damage)
