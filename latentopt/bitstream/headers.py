"""What a header says of the codec that wrote a stream: its settings, and what it must match."""

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

from latentopt.bitstream.steps import DIRECTIONS
from latentopt.bitstream.strings import leb128, read_leb128
from latentopt.errors import BitstreamError, InputError

QUANTS = ("int", "hex", "oct", "d4", "e8", "auto")
"""Lattices, in the order of their number in the bitstream; those that `latentopt.lattices` has."""
_DIRECTIONS = list(DIRECTIONS)
PMFS = ["exact", "paper"]
LATTICE = "lattice"
VERSIONS = (1, 2)
"""Of the formats: what version 1 can say is written so, and read by all readers."""

LONGEST_FIELDS = 1 << 12
"""Bytes of fields that a reader accepts."""

_CHANNELS = 1  # tag of the field that names the channel of each part
_CHANNEL_NAME = re.compile(r"[a-z0-9_-]{1,32}")


@dataclass(frozen=True)
class Settings:
    """What the decoder's codec must have in common with the encoder's, besides the weights."""

    quant: str
    pmf: str
    direction: str
    portable: bool
    scales: bool = False
    """Whether each main latent comes with corrections of its scales, one per channel."""
    channel: str = LATTICE
    """How latents cross; version 1 of the formats knows lattices only."""

    @property
    def version(self) -> int:
        """The oldest version of the formats that can say this."""
        return 1 if self.channel == LATTICE else 2

    def to_byte(self) -> int:
        fields = QUANTS.index(self.quant) | PMFS.index(self.pmf) << 3
        flags = self.portable << 6 | self.scales << 7
        return fields | _DIRECTIONS.index(self.direction) << 4 | flags

    @staticmethod
    def from_byte(value: int) -> "Settings":
        try:
            quant, pmf = QUANTS[value & 7], PMFS[value >> 3 & 1]
            direction = _DIRECTIONS[value >> 4 & 3]
            return Settings(quant, pmf, direction, bool(value >> 6 & 1), bool(value >> 7))
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


def pack_fields(parts: Sequence[Settings]) -> bytes:
    """What version 2 says beyond the settings bytes: a length, then tagged fields; else nothing."""
    if max(settings.version for settings in parts) == 1:
        return b""
    for settings in parts:
        if not _CHANNEL_NAME.fullmatch(settings.channel):
            raise InputError(
                f"channel {settings.channel!r}: a name has 1 to 32 of a-z, 0-9, - and _"
            )
    names = ",".join(settings.channel for settings in parts).encode()
    fields = bytes([_CHANNELS]) + leb128(len(names)) + names
    return leb128(len(fields)) + fields


def unpack_fields(
    data: bytes, version: int, parts: Sequence[Settings]
) -> tuple[tuple[Settings, ...], bytes]:
    """The mirror of :func:`pack_fields`: the settings with what the fields say, and what follows.

    Raises:
        BitstreamError: a field is not one of this version, or they end early.
    """
    if version == 1:
        return tuple(parts), data
    length, start = read_leb128(data, 0)
    if not 0 < length <= LONGEST_FIELDS:
        raise BitstreamError(f"corrupt: the header would have {length} bytes of fields")
    fields, rest = data[start : start + length], data[start + length :]
    if len(fields) < length:
        raise BitstreamError("truncated: the header ends within its fields")
    known = set[int]()
    while fields:
        size, begin = read_leb128(fields, 1)
        tag, value, fields = fields[0], fields[begin : begin + size], fields[begin + size :]
        names = value.decode("ascii", "replace").split(",")
        fits = len(names) == len(parts) and all(map(_CHANNEL_NAME.fullmatch, names))
        if tag != _CHANNELS or tag in known or len(value) < size or not fits:
            raise BitstreamError(f"header field {tag} is unknown: written by a newer latentopt?")
        known.add(tag)
        parts = [replace(settings, channel=name) for settings, name in zip(parts, names)]
    if max(settings.version for settings in parts) < version:
        raise BitstreamError(f"corrupt: the header says nothing that takes version {version}")
    return tuple(parts), rest


def check_version(version: int) -> None:
    """Raises BitstreamError unless this latentopt reads such files."""
    if version not in VERSIONS:
        known = " and ".join(map(str, VERSIONS))
        raise BitstreamError(f"format version {version}, but this latentopt reads {known}")
