"""Headers: version 1 for lattices, byte for byte; version 2 for what only later readers know."""

import io
import zlib
from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latentopt import BitstreamError, Container, InputError
from latentopt.bitstream import Header, Identity, Settings
from latentopt.bitstream.fields import pack_fields, unpack_fields
from latentopt.bitstream.headers import LATTICE, VERSIONS
from latentopt.bitstream.strings import leb128

PLAIN = Settings("hex", "exact", "split", True, True)
OTHER = replace(PLAIN, channel="noise")
STRINGS = (b"main" * 50, b"side")
FIELD = b"\x01\x05noise"
"""Tag of the channel names, length, names."""


def image_bytes(settings: Settings) -> bytes:
    return Container(settings, 300, 200, b"WWWW", b"TTTT", STRINGS).to_bytes()


def video_bytes(*settings: Settings) -> bytes:
    return Header(settings, 300, 200, Fraction(30000, 1001), b"WWWW", b"TTTT").to_bytes()


def read_image(data: bytes) -> Container:
    return Container.from_bytes(data, len(STRINGS))


def read_video(data: bytes) -> Header:
    return Header.read(io.BytesIO(data))


def sealed(data: bytes) -> bytes:
    return data + zlib.crc32(data).to_bytes(4, "little")


def image_with(fields: bytes) -> bytes:
    """An image file of version 2 with these bytes in place of the length and its fields."""
    head = image_bytes(PLAIN)[:17]
    return sealed(head[:3] + b"\x02" + head[4:] + fields)


def video_with(fields: bytes, parts: int = 1) -> bytes:
    """The header of a video, likewise."""
    head = video_bytes(*[PLAIN] * parts)[:-4]
    return sealed(head[:3] + b"\x02" + head[4:] + fields)


@pytest.mark.parametrize(("word", "tag"), [("context", 0x82), ("prepacked", 0x87)])
def test_some_words_are_a_bit_for_each_part(word: str, tag: int) -> None:
    said, field = replace(PLAIN, **{word: True}), bytes([tag])
    data = image_bytes(said)
    assert data[3] == 2 and data[17:20] == b"\x02" + field + b"\x01"
    assert read_image(data).settings == said
    parts = (PLAIN, said, replace(OTHER, **{word: True}))
    assert read_video(video_bytes(*parts)).settings == parts
    for bits in (b"\0", b"\x02", b"\x01" + field + b"\x01", b""):
        fields = field + bits
        with pytest.raises(BitstreamError):
            read_image(image_with(bytes([len(fields)]) + fields))


def test_filters_are_of_images() -> None:
    filtered = replace(PLAIN, postfilter=True)
    data = image_bytes(filtered)
    assert data[17:20] == b"\x02\x86\x01" and read_image(data).settings == filtered
    with pytest.raises(BitstreamError, match="field 134 is unknown"):
        read_video(video_with(b"\x02\x86\x01"))


# -- version 1 -------------------------------------------------------------------------------------


def test_lattices_are_written_in_version_1_byte_for_byte() -> None:
    head = "ac4c4f 01 e1 2c01 c800" + b"WWWWTTTT".hex() + "c801"
    assert image_bytes(PLAIN) == sealed(bytes.fromhex(head) + b"".join(STRINGS))
    head = "ac4c56 01 02 e1 e1 2c01 c800 30750000 e9030000" + b"WWWWTTTT".hex()
    assert video_bytes(PLAIN, PLAIN) == sealed(bytes.fromhex(head))


def test_version_1_has_no_fields() -> None:
    assert VERSIONS == (1, 2) and PLAIN.channel == LATTICE
    assert (PLAIN.version, OTHER.version) == (1, 2)
    assert pack_fields([PLAIN, PLAIN]) == b""
    assert unpack_fields(b"anything", 1, [PLAIN]) == ((PLAIN,), None, b"anything")


@pytest.mark.parametrize("version", [0, 3, 255])
def test_other_versions_are_named(version: int) -> None:
    message = f"format version {version}, but this latentopt reads 1 and 2$"
    image, video = bytearray(image_bytes(PLAIN)), bytearray(video_bytes(PLAIN))
    image[3] = video[3] = version
    with pytest.raises(BitstreamError, match=message):
        read_image(bytes(image))
    with pytest.raises(BitstreamError, match=message):
        read_video(bytes(video))


# -- version 2 -------------------------------------------------------------------------------------

NAMES = st.text("abcdefghijklmnopqrstuvwxyz0123456789-_", min_size=1, max_size=32)


def test_another_channel_is_a_field_of_version_2() -> None:
    body = b"\x07" + FIELD + b"\xc8\x01" + b"".join(STRINGS)
    assert image_bytes(OTHER) == image_with(body)
    assert video_bytes(OTHER, PLAIN) == video_with(b"\x0f\x01\x0dnoise,lattice", parts=2)


@given(NAMES)
def test_images_of_another_channel_round_trip(name: str) -> None:
    settings = replace(PLAIN, channel=name)
    container = read_image(image_bytes(settings))
    assert container == Container(settings, 300, 200, b"WWWW", b"TTTT", STRINGS)


@given(st.lists(NAMES | st.just(LATTICE), min_size=1, max_size=4))
def test_videos_of_other_channels_round_trip(names: list[str]) -> None:
    settings = tuple(replace(PLAIN, channel=name) for name in names)
    data = video_bytes(*settings)
    file = io.BytesIO(data + b"frames")
    assert Header.read(file) == Header(settings, 300, 200, Fraction(30000, 1001), b"WWWW", b"TTTT")
    assert file.read() == b"frames"
    assert data[3] == (1 if set(names) == {LATTICE} else 2)


def test_a_codec_of_lattices_says_that_another_channel_is_not_its_own() -> None:
    ours, theirs = (Identity(settings, b"WWWW", b"TTTT") for settings in (PLAIN, OTHER))
    with pytest.raises(BitstreamError, match="channel='noise', not 'lattice'"):
        ours.check(theirs)


ADAPTIVE = replace(PLAIN, adaptive=True)


def test_adaptive_priors_are_a_field_of_version_2() -> None:
    assert ADAPTIVE.version == 2
    body = b"\x02\x83\x01" + b"\xc8\x01" + b"".join(STRINGS)
    assert image_bytes(ADAPTIVE) == image_with(body)
    assert read_image(image_bytes(ADAPTIVE)).settings == ADAPTIVE
    assert video_bytes(PLAIN, ADAPTIVE) == video_with(b"\x02\x83\x02", parts=2)
    both = replace(ADAPTIVE, channel="noise")
    assert read_image(image_bytes(both)).settings == both


@given(st.lists(st.booleans(), min_size=1, max_size=4))
def test_each_part_of_a_video_is_adaptive_or_not(adaptive: list[bool]) -> None:
    settings = tuple(replace(PLAIN, adaptive=each) for each in adaptive)
    data = video_bytes(*settings)
    assert read_video(data).settings == settings
    assert data[3] == (2 if any(adaptive) else 1)


def test_a_codec_that_does_not_adapt_says_so() -> None:
    ours, theirs = (Identity(settings, b"WWWW", b"TTTT") for settings in (PLAIN, ADAPTIVE))
    with pytest.raises(BitstreamError, match="adaptive=True, not False"):
        ours.check(theirs)


# -- what is refused -------------------------------------------------------------------------------

BROKEN = {
    "a tag of later": (b"\x03\x09\x01x", "header field 9 is unknown"),
    "a tag of later, after the channel": (b"\x0a" + FIELD + b"\x09\x01x", "field 9 is unknown"),
    "names of too many parts": (b"\x05\x01\x03a,b", "field 1 is unknown"),
    "a value longer than the fields": (b"\x04\x01\x05no", "field 1 is unknown"),
    "the same field twice": (b"\x0e" + FIELD + FIELD, "field 1 is unknown"),
    "a name that a terminal obeys": (b"\x06\x01\x04\x1b[2J", "field 1 is unknown"),
    "an empty name": (b"\x02\x01\x00", "field 1 is unknown"),
    "what version 1 can say": (b"\x09\x01\x07lattice", "takes version 2"),
    "no part is adaptive": (b"\x02\x83\x00", "takes version 2"),
    "parts that there are not": (b"\x02\x83\x02", "field 131 is unknown"),
    "a tag without a length": (b"\x01\x01", "truncated"),
    "fields longer than the file": (b"\x7f" + FIELD, "truncated"),
    "no length of the fields": (b"", "truncated"),
    "a length of the fields that goes on": (b"\x80\x80", "truncated|corrupt"),
}


@pytest.mark.parametrize("fields, message", BROKEN.values(), ids=BROKEN)
def test_broken_fields_are_refused(fields: bytes, message: str) -> None:
    with pytest.raises(BitstreamError, match=message):
        read_image(image_with(fields))
    with pytest.raises(BitstreamError, match=message):
        read_video(video_with(fields))


@pytest.mark.parametrize("names", [b"noise", b"", b"noise,lattice,lattice"])
def test_each_part_of_a_video_has_a_channel(names: bytes) -> None:
    field = b"\x01" + leb128(len(names)) + names
    with pytest.raises(BitstreamError, match="field 1 is unknown"):
        read_video(video_with(leb128(len(field)) + field, parts=2))


@given(st.binary(max_size=60))
def test_any_fields_are_read_or_refused(fields: bytes) -> None:
    """An adversary can seal anything."""
    for read, data in ((read_image, image_with(fields)), (read_video, video_with(fields))):
        try:
            read(data)
        except BitstreamError:
            continue


def test_any_truncation_is_noticed() -> None:
    """With the checksum that it had, and with one that fits."""
    image, video = image_bytes(OTHER), video_bytes(PLAIN, OTHER)
    fields_end = 17 + 1 + len(FIELD)
    for read, data, end in ((read_image, image, fields_end), (read_video, video, len(video) - 4)):
        for length in range(len(data)):
            with pytest.raises(BitstreamError):
                read(data[:length])
        for length in range(4, end):
            with pytest.raises(BitstreamError):
                read(sealed(data[:length]))


class Counting(io.BytesIO):
    """Notes the most bytes that were asked for at once."""

    asked = 0

    def read(self, size: int | None = -1) -> bytes:
        self.asked = max(self.asked, -1 if size is None else size)
        return super().read(size)


HUGE = {
    "4 KiB": leb128(4097),
    "2 GiB": leb128(2**31),
    "a length that never ends": b"\xff" * 20_000,
}


@pytest.mark.parametrize("length", HUGE.values(), ids=HUGE)
def test_huge_lengths_are_refused_before_they_are_read(length: bytes) -> None:
    with pytest.raises(BitstreamError):
        read_image(image_with(length))
    file = Counting(video_with(length) + b"x" * 100_000)
    with pytest.raises(BitstreamError, match=r"would have \d+ bytes of fields|too long"):
        Header.read(file)
    assert file.tell() < 100 and file.asked < 100


@pytest.mark.parametrize("length", [2**20, 2**31])
def test_a_huge_field_is_refused(length: int) -> None:
    field = b"\x01" + leb128(length) + b"noise"
    fields = leb128(len(field)) + field
    for read, data in ((read_image, image_with(fields)), (read_video, video_with(fields))):
        with pytest.raises(BitstreamError, match="field 1 is unknown"):
            read(data)


@pytest.mark.parametrize("name", ["a,b", "größe", "", "x" * 33, "Noise"])
def test_names_that_no_reader_takes_are_not_written(name: str) -> None:
    settings = replace(PLAIN, channel=name)
    for write in (image_bytes, video_bytes):
        with pytest.raises(InputError, match="1 to 32 of a-z"):
            write(settings)
