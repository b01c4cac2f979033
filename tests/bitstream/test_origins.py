"""Where a model comes from, in the header: what it costs, what is refused."""

import io
import math
from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_headers import (
    FIELD,
    OTHER,
    PLAIN,
    STRINGS,
    image_with,
    read_image,
    read_video,
    video_with,
)

from latentopt import BitstreamError, Container, InputError, zoo
from latentopt.bitstream import Header, Origin
from latentopt.bitstream.origin import CODECS, METRICS
from latentopt.bitstream.strings import leb128

NAMED = b"\x80\x09\x03"
"""Tag; tiny-mbt2018-mean, quality 3."""
PARTS = (PLAIN, PLAIN, PLAIN)
BUILT_IN = st.builds(
    Origin,
    st.sampled_from(CODECS),
    st.none() | st.integers(1, 127),
    st.sampled_from(METRICS),
)
ANY = st.builds(
    Origin,
    st.sampled_from(CODECS) | st.from_regex(r"[a-z0-9][a-z0-9._-]{0,199}", fullmatch=True),
    st.none() | st.integers(1, 2**32 - 1),
    st.sampled_from(METRICS),
    st.floats(min_value=0, exclude_min=True, allow_infinity=False),
)


def image(origin: Origin | None) -> Container:
    return Container(PLAIN, 300, 200, b"WWWW", b"TTTT", STRINGS, origin)


def clip(origin: Origin | None) -> Header:
    return Header(PARTS, 300, 200, Fraction(30000, 1001), b"WWWW", b"TTTT", origin)


@given(ANY)
def test_origins_round_trip(origin: Origin) -> None:
    assert read_image(image(origin).to_bytes()) == image(origin)
    assert Header.read(io.BytesIO(clip(origin).to_bytes())) == clip(origin)
    both = replace(image(origin), settings=OTHER)
    assert read_image(both.to_bytes()) == both


@given(BUILT_IN)
def test_codecs_with_a_number_cost_four_bytes(origin: Origin) -> None:
    for make in (image, clip):
        assert len(make(origin).to_bytes()) == len(make(None).to_bytes()) + 4


@pytest.mark.parametrize("step, more", [(2, 4), (0.75, 4), (70_000, 6), (1.4, 10), (1e300, 10)])
def test_a_step_costs_what_it_takes_to_say_it_exactly(step: float, more: int) -> None:
    origin = Origin("tiny-mbt2018-mean", 3)
    stepped = image(replace(origin, step=step)).to_bytes()
    assert len(stepped) == len(image(origin).to_bytes()) + more


def test_the_bytes() -> None:
    """Frozen: numbers are for ever."""
    said = {
        Origin("tiny-mbt2018-mean", 3): "03 80 09 03",
        Origin("mbt2018-mean"): "03 80 03 00",
        Origin("ssf2020", 9, "ms-ssim"): "03 80 07 89",
        Origin("mine", 2): "07 02 05 04 6d696e65",
        Origin("tiny-mbt2018", 1, step=1.5): "07 03 02 003e 80 0a 01",
        Origin("mine", 200, "ms-ssim", 1.4): "12 02 06 9103 6d696e65 03 08 666666666666f63f",
    }
    for origin, text in said.items():
        body = bytes.fromhex(text) + b"\xc8\x01" + b"".join(STRINGS)
        assert image(origin).to_bytes() == image_with(body)


def test_numbers_are_those_of_the_zoo() -> None:
    assert CODECS[:13] == tuple(name for name in zoo.names() if name in CODECS[:13])
    assert set(CODECS[13:16]) == {
        f"{m}-vbr" for m in ("bmshj2018-hyperprior", "mbt2018-mean", "mbt2018")
    }
    assert CODECS[16:18] == ("tiny-ohm", "tiny-ohm-digits")
    assert CODECS[18:20] == ("small-mbt2018-mean", "small-mbt2018")
    assert CODECS[20:] == ("small-bmshj2018-factorized", "small-cheng2020-attn")
    assert len(set(CODECS)) == len(CODECS) < 256


# -- what is refused -------------------------------------------------------------------------------

BROKEN = {
    "a codec of later": (b"\x80\xfa\x03", "codec number 250 is unknown"),
    "a number that ends early": (b"\x80\x09", "field 128 is unknown"),
    "a codec that comes twice": (NAMED + NAMED, "field 128 is unknown"),
    "a step of nothing": (b"\x03\x02\x00\x3e", "field 3 is unknown"),
    "a step of 1": (b"\x03\x02\x00\x3c" + NAMED, "no latentopt would write"),
    "a step in more bytes than it takes": (
        b"\x03\x04\x00\x00\xc0\x3f" + NAMED,
        "no latentopt would",
    ),
    "a step of three bytes": (b"\x03\x03abc" + NAMED, "no positive number"),
    "a step of 0": (b"\x03\x02\x00\x00" + NAMED, "no positive number"),
    "a negative step": (b"\x03\x02\x00\xbe" + NAMED, "no positive number"),
    "a step that is no number": (b"\x03\x02\x00\x7e" + NAMED, "no positive number"),
    "fields in another order": (NAMED + FIELD, "no latentopt would write"),
    "a name that has a number": (b"\x02\x08\x06mbt2018", "no latentopt would write"),
    "a name and a number": (b"\x02\x05\x04mine" + NAMED, "no latentopt would write"),
    "a quality in more bytes than it takes": (b"\x02\x06\x84\x00mine", "no latentopt would write"),
    "a quality that never ends": (b"\x02\x06\xff\xff\xff\xff\xff\xff", "too long"),
    "no name": (b"\x02\x01\x04", "no name that a codec can have"),
    "a name that a terminal obeys": (b"\x02\x05\x04\x1b[2J", "no name that a codec can have"),
    "a name that is a path": (b"\x02\x08\x04../../x", "no name that a codec can have"),
}


@pytest.mark.parametrize("fields, message", BROKEN.values(), ids=BROKEN)
def test_broken_origins_are_refused(fields: bytes, message: str) -> None:
    fields = leb128(len(fields)) + fields
    with pytest.raises(BitstreamError, match=message):
        read_image(image_with(fields))
    with pytest.raises(BitstreamError, match=message):
        read_video(video_with(fields))


@given(
    st.lists(st.sampled_from([FIELD, NAMED, b"\x03\x02\x00\x3e"]), max_size=3),
    st.binary(max_size=9),
)
def test_what_is_read_is_what_would_be_written(fields: list[bytes], noise: bytes) -> None:
    body = b"".join(fields) + noise
    try:
        found = read_image(
            data := image_with(leb128(len(body)) + body + b"\xc8\x01" + b"".join(STRINGS))
        )
    except BitstreamError:
        return
    assert found.to_bytes() == data


@pytest.mark.parametrize(
    "origin", [Origin("Größe", 1), Origin("", 1), Origin("mine", 2**32)], ids=str
)
def test_names_that_no_reader_takes_are_not_written(origin: Origin) -> None:
    with pytest.raises(InputError, match="a header cannot hold such a name"):
        image(origin).to_bytes()


@pytest.mark.parametrize("step", [math.nan])
def test_steps_that_are_no_numbers_are_not_written(step: float) -> None:
    with pytest.raises(InputError, match="it must be a positive number"):
        image(Origin("mbt2018", 1, step=step)).to_bytes()
