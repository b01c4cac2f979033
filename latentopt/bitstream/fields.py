"""What version 2 of the formats adds to a header: tagged fields, each of them optional.

    LEB128 length of all fields, then for each, in the order of the tags:
    tag       value
    1         LEB128 length; the channel of each part, names with commas between them
    2         LEB128 length; quality and metric as LEB128, and the codec's name (see Origin)
    3         LEB128 length; the step, a float of 2, 4 or 8 bytes
    4         LEB128 length; for each part, its seed and 1 as LEB128, 0 where it has none
    5         LEB128 length; for each part, 8 times the spread of its samples, in thousandths,
              plus the number of their coder, as LEB128, 0 where it has none; 7 says that the
              number, less 7, follows, as LEB128
    6, 7      LEB128 length; for each part, alpha of soft rounding, sigma of Gaussian noise: a byte
              with the length of a float, 0 where there is none, then that float
    0x80      1 byte codec, 1 byte quality and metric
    0x81      nothing: the image is grey; not in videos
    0x82      1 byte, of which bit i says whether part i has a context
    0x83      1 byte, of which bit i says whether side latents of part i are adaptive
    0x84      1 byte, of which bit i says whether part i takes means for dithered points
    0x85      1 byte, 1: the main latent comes in maps (see maps.py); not in videos
    0x86      1 byte, 1: main latents come with a filter of the decoded image; not in videos
    0x87      1 byte, of which bit i says whether vectors of part i are formed before decoding

A reader takes what a writer would write, and nothing else.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from latentopt.bitstream.headers import LATTICE, SAMPLERS, Settings
from latentopt.bitstream.origin import Origin, from_long, from_short, read_step
from latentopt.bitstream.strings import float_bytes, leb128, read_float, read_leb128
from latentopt.errors import BitstreamError, InputError

LONGEST_FIELDS = 1 << 12
"""Bytes of fields that a reader accepts."""

_TAGS = (1, 2, 3, 4, 5, 6, 7, 0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87)
_CHANNELS, _NAMED, _STEP, _SEEDS, _SPREADS, _ALPHAS, _SIGMAS, _NUMBERED, _GREY, *_BITS = _TAGS
# Of settings, which these last ones say, in the same order:
_WORDS = "context", "adaptive", "mean", "progressive", "postfilter", "prepacked"
_OF_IMAGES = "progressive", "postfilter"
_SIZES = {_NUMBERED: 2, _GREY: 0, **dict.fromkeys(_BITS, 1)}  # whose length is not written
_MORE = 7  # from which numbers of samplers take more than three bits
_CHANNEL_NAME = re.compile(r"[a-z0-9_-]{1,32}")


@dataclass(frozen=True)
class Fields:
    """What a header says in fields, with the settings of each part that they complete."""

    parts: tuple[Settings, ...]
    origin: Origin | None
    is_grey: bool


def version_of(parts: Sequence[Settings], origin: Origin | None, is_grey: bool = False) -> int:
    """The oldest version of the formats that can say this of a codec, and of an image."""
    return 2 if origin or is_grey else max(settings.version for settings in parts)


def pack_fields(
    parts: Sequence[Settings], origin: Origin | None = None, is_grey: bool = False
) -> bytes:
    """What version 2 says beyond the settings bytes: a length, then tagged fields; else nothing.

    Raises:
        InputError: a name that no reader takes.
    """
    if version_of(parts, origin, is_grey) == 1:
        return b""
    fields = b"".join(_field(tag, value) for tag, value in _values(parts, origin, is_grey))
    return leb128(len(fields)) + fields


def _values(
    parts: Sequence[Settings], origin: Origin | None, is_grey: bool
) -> Iterator[tuple[int, bytes]]:
    """Tags and values of the fields, in the order of the tags."""
    if any(settings.channel != LATTICE for settings in parts):
        for settings in parts:
            if not _CHANNEL_NAME.fullmatch(settings.channel):
                raise InputError(
                    f"channel {settings.channel!r}: a name has 1 to 32 of a-z, 0-9, - and _"
                )
        yield _CHANNELS, ",".join(settings.channel for settings in parts).encode()
    if origin and not origin.is_short:
        yield _NAMED, origin.names()
    if origin and origin.step != 1:
        yield _STEP, origin.step_bytes()
    if any(settings.seed is not None for settings in parts):
        yield _SEEDS, b"".join(_seed(settings.seed) for settings in parts)
    if any(settings.spread is not None for settings in parts):
        yield _SPREADS, b"".join(map(_spread, parts))
    if any(settings.alpha for settings in parts):
        yield _ALPHAS, b"".join(_float(settings.alpha) for settings in parts)
    if any(settings.sigma for settings in parts):
        yield _SIGMAS, b"".join(_float(settings.sigma) for settings in parts)
    if origin and origin.is_short:
        yield _NUMBERED, origin.names()
    if is_grey:
        yield _GREY, b""
    for tag, word in zip(_BITS, _WORDS):
        if bits := sum(getattr(settings, word) << i for i, settings in enumerate(parts)):
            yield tag, bytes([bits])


def _float(value: float) -> bytes:
    own = float_bytes(value) if value else b""
    return bytes([len(own)]) + own


def _seed(seed: int | None) -> bytes:
    return leb128(0 if seed is None else seed + 1)


def _spread(settings: Settings) -> bytes:
    if settings.spread is None or settings.sampler is None:
        return leb128(0)
    number = SAMPLERS.index(settings.sampler)
    more = leb128(number - _MORE) if number >= _MORE else b""
    return leb128(8 * settings.spread + min(number, _MORE)) + more


def _field(tag: int, value: bytes) -> bytes:
    return bytes([tag]) + (value if tag in _SIZES else leb128(len(value)) + value)


def unpack_fields(
    data: bytes, version: int, parts: Sequence[Settings]
) -> tuple[tuple[Settings, ...], Origin | None, bytes]:
    """The mirror of :func:`pack_fields` in videos: settings, origin, and what follows.

    Raises:
        BitstreamError: a field is not one of this version, or not as it would be written.
    """
    found, rest = unpack_image_fields(data, version, parts)
    if found.is_grey:
        raise _unknown(_GREY)
    for tag, word in zip(_BITS, _WORDS):
        if word in _OF_IMAGES and any(getattr(settings, word) for settings in found.parts):
            raise _unknown(tag)
    return found.parts, found.origin, rest


def unpack_image_fields(
    data: bytes, version: int, parts: Sequence[Settings]
) -> tuple[Fields, bytes]:
    """The mirror of :func:`pack_fields` in images: the fields, and what follows.

    Raises:
        BitstreamError: a field is not one of this version, or not as it would be written.
    """
    if version == 1:
        return Fields(tuple(parts), None, False), data
    length, start = read_leb128(data, 0)
    if not 0 < length <= LONGEST_FIELDS:
        raise BitstreamError(f"corrupt: the header would have {length} bytes of fields")
    fields, rest = data[start : start + length], data[start + length :]
    if len(fields) < length:
        raise BitstreamError("truncated: the header ends within its fields")
    values = _read_values(fields)
    found = Fields(_settings(values, parts), _origin(values), _GREY in values)
    if version_of(found.parts, found.origin, found.is_grey) < version:
        raise BitstreamError(f"corrupt: the header says nothing that takes version {version}")
    if pack_fields(found.parts, found.origin, found.is_grey) != data[: start + length]:
        raise BitstreamError("corrupt: no latentopt would write the header's fields like this")
    return found, rest


def _read_values(fields: bytes) -> dict[int, bytes]:
    """The values by their tags; BitstreamError where one is unknown, comes twice or ends early."""
    values = dict[int, bytes]()
    while fields:
        tag = fields[0]
        size, begin = (_SIZES[tag], 1) if tag in _SIZES else read_leb128(fields, 1)
        value, fields = fields[begin : begin + size], fields[begin + size :]
        if tag not in _TAGS or tag in values or len(value) < size:
            raise _unknown(tag)
        values[tag] = value
    return values


def _channels(values: Mapping[int, bytes], parts: Sequence[Settings]) -> tuple[Settings, ...]:
    """The parts' settings with the channels that the fields name."""
    if _CHANNELS not in values:
        return tuple(parts)
    names = values[_CHANNELS].decode("ascii", "replace").split(",")
    if len(names) != len(parts) or not all(map(_CHANNEL_NAME.fullmatch, names)):
        raise _unknown(_CHANNELS)
    return tuple(replace(settings, channel=name) for settings, name in zip(parts, names))


def _settings(values: Mapping[int, bytes], parts: Sequence[Settings]) -> tuple[Settings, ...]:
    """The parts' settings with what the fields say of them."""
    seeds = _seeds(values, len(parts))
    alphas, sigmas = (_floats(values, tag, len(parts)) for tag in (_ALPHAS, _SIGMAS))
    bits = zip(*(_of_parts(values, tag, len(parts)) for tag in _BITS))
    numbers = zip(seeds, alphas, sigmas)
    return tuple(
        replace(part, seed=s, alpha=a, sigma=g, **dict(zip(_WORDS, own)))
        for part, (s, a, g), own in zip(_sampled(values, _channels(values, parts)), numbers, bits)
    )


def _seeds(values: Mapping[int, bytes], count: int) -> list[int | None]:
    """That of each part, None where it has none."""
    return [value - 1 if value else None for value in _numbers(values, _SEEDS, count)]


def _sampled(values: Mapping[int, bytes], parts: Sequence[Settings]) -> Iterator[Settings]:
    """The parts' settings with the spread and the coder of their samples."""
    data, position = values.get(_SPREADS, bytes(len(parts))), 0
    for settings in parts:
        value, position = read_leb128(data, position)
        spread, number = divmod(value, 8)
        if number == _MORE:
            more, position = read_leb128(data, position)
            number += more
        if number >= len(SAMPLERS):
            raise _unknown(_SPREADS)
        said = replace(settings, spread=spread, sampler=SAMPLERS[number])
        yield said if spread else settings


def _numbers(values: Mapping[int, bytes], tag: int, count: int) -> list[int]:
    """One of each part, all of them 0 without the field."""
    data, position = values.get(tag, bytes(count)), 0
    numbers = list[int]()
    for _ in range(count):
        value, position = read_leb128(data, position)
        numbers.append(value)
    return numbers


def _floats(values: Mapping[int, bytes], tag: int, count: int) -> list[float]:
    """That of each part, 0 where it has none."""
    data, found = values.get(tag, bytes(count)), list[float]()
    for _ in range(count):
        length = data[0] if data else 0
        found.append(read_float(data[1 : 1 + length]) if length else 0.0)
        data = data[1 + length :]
    return found


def _of_parts(values: Mapping[int, bytes], tag: int, count: int) -> list[bool]:
    """A bit for each part, all of them 0 without the field."""
    [bits] = values.get(tag, b"\0")
    if bits >> count:
        raise _unknown(tag)
    return [bool(bits >> i & 1) for i in range(count)]


def _origin(values: Mapping[int, bytes]) -> Origin | None:
    """Where the model comes from, where the fields say."""
    if _NUMBERED in values:
        origin = from_short(values[_NUMBERED])
    elif _NAMED in values:
        origin = from_long(values[_NAMED])
    elif _STEP in values:
        raise _unknown(_STEP)  # a step of what?
    else:
        return None
    return replace(origin, step=read_step(values[_STEP])) if _STEP in values else origin


def _unknown(tag: int) -> BitstreamError:
    return BitstreamError(f"header field {tag} is unknown: written by a newer latentopt?")
