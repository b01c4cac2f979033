"""Greyscale: coded as RGB, marked in the file, and decoded to one channel."""

import io
import zlib
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from compressai.models import MeanScaleHyperprior
from PIL import Image
from support.codec_families import IMAGE_MODELS
from support.commands import Refused, run
from support.models import photo, tiny
from torch import Tensor

import latentopt
from latentopt import BitstreamError, Codec, Container, InputError
from latentopt.bitstream import Header, Origin, Settings
from latentopt.media.images import as_rgb, read_image, to_uint8, without_copies, write_png

SETTINGS = Settings("hex", "exact", "density", True)
FIELDS = b"\x01\x81"
"""Their length, and the mark."""


@pytest.fixture
def grey() -> Tensor:
    """(1, 1, H, W)."""
    return photo(70, 90)[:, 1:2]


@pytest.fixture
def codec() -> Codec:
    return latentopt.wrap(tiny(MeanScaleHyperprior), "hex", True)


@pytest.mark.parametrize("family", IMAGE_MODELS)
def test_a_grey_image_is_loaded_as_one(family: str, grey: Tensor, tmp_path: Path) -> None:
    codec = latentopt.wrap(IMAGE_MODELS[family](0), "oct")
    size = codec.save(tmp_path / "x.lo", grey)
    out = codec.compress(grey.expand(-1, 3, -1, -1))
    three = codec.decompress(out["strings"], out["shape"])["x_hat"]
    one = codec.load(tmp_path / "x.lo")
    assert one.shape == grey.shape and torch.equal(one, three.mean(dim=1, keepdim=True))
    assert (one - grey).square().mean() <= (three - grey).square().mean()
    assert size == (tmp_path / "x.lo").stat().st_size


def test_what_the_mark_costs(codec: Codec, grey: Tensor) -> None:
    """A byte where the header has fields already; their length and the version's where not."""
    marked, plain = (codec.save_bytes(x) for x in (grey, as_rgb(grey)))
    assert len(marked) == len(plain) + 2 and (marked[3], plain[3]) == (2, 1)
    found = Container.from_bytes(marked, codec.string_count)
    assert found.is_grey and found.strings == Container.from_bytes(plain, 2).strings
    named = replace(found, origin=Origin("tiny-mbt2018-mean", 3))
    assert len(named.to_bytes()) == len(replace(named, is_grey=False).to_bytes()) + 1
    assert Container.from_bytes(named.to_bytes(), 2) == named


def test_three_equal_channels_stay_three(codec: Codec, grey: Tensor) -> None:
    """In Python the shape says what an image is."""
    assert codec.load_bytes(codec.save_bytes(as_rgb(grey))).shape[1] == 3


@pytest.mark.parametrize("shape", [(1, 2, 8, 8), (2, 1, 8, 8), (1, 4, 8, 8)])
def test_other_channels_are_refused(codec: Codec, shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="3, H, W"):
        codec.save_bytes(torch.zeros(shape))


def test_a_clip_has_no_such_mark() -> None:
    header = Header((SETTINGS,), 30, 20, Fraction(25), b"WWWW", b"TTTT")
    body = header.to_bytes()[:-4]
    body = body[:3] + b"\x02" + body[4:] + FIELDS
    with pytest.raises(BitstreamError, match="header field 129 is unknown"):
        Header.read(io.BytesIO(body + zlib.crc32(body).to_bytes(4, "little")))


def test_the_bytes() -> None:
    data = Container(SETTINGS, 30, 20, b"WWWW", b"TTTT", (b"s",), None, True).to_bytes()
    assert data[17:19] == FIELDS


# -- the command line ------------------------------------------------------------------------------


@pytest.fixture
def photograph(tmp_path: Path, grey: Tensor) -> Path:
    write_png(tmp_path / "x.png", grey)
    return tmp_path / "x.png"


def mode(path: Path) -> str:
    with Image.open(path) as image:
        return image.mode


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".pgm"])
def test_encode_and_decode(suffix: str, photograph: Path, tmp_path: Path) -> None:
    assert mode(photograph) == "L"
    source = photograph.with_suffix(suffix)
    with Image.open(photograph) as image:
        image.save(source)
    assert run("encode", source, "-o", tmp_path / "x.lo", "--preset", "plain") == 0
    assert run("decode", tmp_path / "x.lo", "-o", tmp_path / "y.png") == 0
    assert mode(tmp_path / "y.png") == "L"
    error = read_image(source) - read_image(tmp_path / "y.png")
    assert error.square().mean() < 1e-2


def test_the_printed_psnr_is_that_of_the_png(
    photograph: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("encode", photograph, "-o", tmp_path / "x.lo", "--preset", "plain") == 0
    said = capsys.readouterr().out
    assert run("decode", tmp_path / "x.lo", "-o", tmp_path / "y.png") == 0
    with Image.open(photograph) as x, Image.open(tmp_path / "y.png") as y:
        mse = np.square(np.asarray(x, float) - np.asarray(y, float)).mean()
    assert f"{10 * np.log10(255**2 / mse):.2f} dB" in said
    assert run("info", tmp_path / "x.lo") == 0
    assert "90x70, grey" in capsys.readouterr().out


def test_colours_stay_colours(tmp_path: Path) -> None:
    x = photo(30, 40)
    assert without_copies(x) is x
    almost = x[:, :1].repeat(1, 3, 1, 1)
    almost[0, 2, 5, 7] += 1 / 255
    assert without_copies(almost) is almost
    write_png(tmp_path / "x.png", almost.clamp(0, 1))
    assert run("encode", tmp_path / "x.png", "--preset", "plain") == 0
    assert run("decode", tmp_path / "x.lo", "-o", tmp_path / "y.png") == 0
    assert mode(tmp_path / "y.png") == "RGB"


def test_to_a_target(photograph: Path, tmp_path: Path) -> None:
    """The quality that is aimed at is the grey image's."""
    out = tmp_path / "x.lo"
    argv = ["encode", photograph, "-o", out, "--preset", "plain", "--target-psnr", "21"]
    assert run(*argv) == 0
    assert run("decode", out, "-o", tmp_path / "y.png") == 0
    a, b = (to_uint8(read_image(path)).float() for path in (photograph, tmp_path / "y.png"))
    assert abs(10 * torch.log10(255**2 / (a - b).square().mean()) - 21) < 0.2


def test_compressais_layout_knows_no_grey(photograph: Path, tmp_path: Path) -> None:
    which = ["--codec", "tiny-bmshj2018-factorized", "--quality", "1", "--format", "compressai"]
    out = tmp_path / "x.bin"
    assert run("encode", photograph, "-o", out, "--preset", "fast", *which) == 0
    assert run("decode", out, "-o", tmp_path / "y.png", *which) == 0
    assert mode(tmp_path / "y.png") == "RGB"


def test_sixteen_bits_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Image.fromarray(np.zeros((20, 20), np.uint16)).save(tmp_path / "x.png")
    Refused(tmp_path, capsys)("convert it to 8-bit", "encode", tmp_path / "x.png")
