"""Colour profiles: converted to sRGB and said so, or left alone; never dropped in silence."""

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms
from support.commands import pixels, run

from latentopt.errors import LatentoptWarning
from latentopt.media.clips import open_clip
from latentopt.media.images import read_image, read_samples

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
COLOUR = (120, 50, 100)


def xyz_swapped() -> bytes:
    """An RGB profile like sRGB's, but red is blue and blue is red."""
    return SRGB.replace(b"rXYZ", b"tmp1").replace(b"bXYZ", b"rXYZ").replace(b"tmp1", b"bXYZ")


def save(path: Path, profile: bytes | None, mode: str = "RGB") -> Path:
    image = Image.new(mode, (64, 64), COLOUR if mode == "RGB" else COLOUR[:1] * len(mode))
    image.save(path, icc_profile=profile)
    return path


def levels(x: torch.Tensor) -> list[int]:
    return (x[0, :, 0, 0] * 255).round().int().tolist()


@pytest.mark.parametrize("profile", [None, SRGB])
@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.filterwarnings("error")
def test_srgb_stays_as_it_is(tmp_path: Path, profile: bytes | None, mode: str) -> None:
    if mode == "L" and profile:
        pytest.skip("a profile of colours on a grey image; see below")
    x = read_image(save(tmp_path / "a.png", profile, mode))
    assert levels(x) == (list(COLOUR) if mode == "RGB" else [120] * 3)


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.webp", "a.tif"])
def test_other_profiles_are_converted_and_that_is_said(tmp_path: Path, name: str) -> None:
    """Red and blue swapped: what is stored as (r, g, b) looks like (b, g, r)."""
    path = save(tmp_path / name, xyz_swapped())
    with pytest.warns(LatentoptWarning, match=rf"a\.{name[2:]}: converted from its colour profile"):
        x = read_image(path)
    assert np.abs(np.subtract(levels(x), COLOUR[::-1])).max() <= 4  # of JPEG and WebP
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.abs(np.subtract(levels(read_samples(path)), COLOUR)).max() <= 4


def test_palettes_are_converted_too(tmp_path: Path) -> None:
    image = Image.new("RGB", (64, 64), COLOUR).convert("P", palette=Image.Palette.ADAPTIVE)
    image.save(tmp_path / "p.png", icc_profile=xyz_swapped())
    with pytest.warns(LatentoptWarning, match="converted"):
        assert np.abs(np.subtract(levels(read_image(tmp_path / "p.png")), COLOUR[::-1])).max() <= 1


@pytest.mark.parametrize("profile", [b"no profile at all", SRGB[:200], b""])
def test_damaged_profiles_are_left_out_and_that_is_said(tmp_path: Path, profile: bytes) -> None:
    path = save(tmp_path / "a.png", profile)
    if profile:
        with pytest.warns(LatentoptWarning, match="cannot be applied"):
            x = read_image(path)
    else:
        x = read_image(path)
    assert levels(x) == list(COLOUR)


def test_a_profile_of_colours_on_a_grey_image(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", SRGB, "L")
    with pytest.warns(LatentoptWarning, match="cannot be applied"):
        assert levels(read_image(path)) == [120] * 3


def test_frames_are_converted_too(tmp_path: Path) -> None:
    save(tmp_path / "0.png", xyz_swapped())
    with pytest.warns(LatentoptWarning, match="converted"):
        (frame,) = open_clip(tmp_path)
    assert np.abs(np.subtract(levels(frame), COLOUR[::-1])).max() <= 1


def test_the_command_says_so_in_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save(tmp_path / "a.png", xyz_swapped())
    codec = ["--codec", "tiny-mbt2018-mean", "--quality", 3]
    assert run("encode", tmp_path / "a.png", "-o", tmp_path / "a.lo", *codec) == 0
    err = capsys.readouterr().err
    assert err.startswith(f"latentopt: {tmp_path}/a.png: converted") and err.count("\n") == 1
    assert run("decode", tmp_path / "a.lo", "-o", tmp_path / "d.png", *codec) == 0
    red, green, blue = pixels(tmp_path / "d.png").float().mean(dim=(1, 2)).tolist()
    assert abs(red - 100) < 8 and abs(green - 50) < 8 and abs(blue - 120) < 8
