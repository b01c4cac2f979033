"""`latentopt encode` to a target: what it writes and says, and what it refuses."""

import argparse
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from support.commands import Refused, pixels, run
from support.models import photo
from torch.nn.functional import avg_pool2d

from latentopt.cli import targets
from latentopt.cli.images import Encoded, Reported
from latentopt.codec.target import MATCHES
from latentopt.media.images import write_png
from latentopt.media.quality import psnr_db

CODEC = ["--codec", "tiny-mbt2018-mean"]
FAST = ["--preset", "fast"]
SAID = re.compile(
    r"(?P<bytes>\d+) bytes, [\d.]+ bpp, (?P<psnr>[\d.]+) dB, [\d.]+ s, tiny-mbt2018-mean "
    r"(?P<quality>\d) fast step (?P<step>[\d.]+) lambda (?P<lmbda>[\d.e-]+) encodes \d"
)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def image(tmp_path: Path) -> Path:
    write_png(tmp_path / "x.png", avg_pool2d(photo(384, 512), 4))
    return tmp_path / "x.png"


def test_the_options_name_what_the_library_has() -> None:
    assert tuple(MATCHES) == targets.MATCHES


def test_what_it_says_repeats_it(image: Path, capsys: pytest.CaptureFixture[str]) -> None:
    coded, again, decoded = (image.with_name(name) for name in ("x.lo", "again.lo", "y.png"))
    assert run("encode", image, "-o", coded, *CODEC, *FAST, "--max-bytes", "0.9k") == 0
    said = SAID.search(capsys.readouterr().out)
    assert said and int(said["bytes"]) == coded.stat().st_size
    assert 891 <= coded.stat().st_size <= 900
    model = [*CODEC, "--quality", said["quality"], "--step", said["step"]]
    assert run("encode", image, "-o", again, *model, *FAST) == 0
    assert again.read_bytes() == coded.read_bytes()
    assert run("decode", coded, "-o", decoded, *model) == 0
    assert f"{psnr_db(pixels(image), pixels(decoded)):.2f}" == said["psnr"]


def test_a_quality_that_is_named_stays(image: Path, capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["encode", image, "-o", image.with_name("x.lo"), *CODEC, "--quality", 2, *FAST]
    assert run(*argv, "--match", "psnr") == 0
    said = capsys.readouterr().out
    assert "mean 2 fast step " in said and re.search(r" on plain rounding \(\d+ bytes", said)
    assert run(*argv, "--match", "psnr", "--keep-step", "--preset", "default") == 0
    assert "mean 2 default step 1 lambda " in capsys.readouterr().out


def test_plain_rounding_is_coded_beside_a_target(
    image: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["encode", image, *CODEC, "--quality", 1, "--json"]
    assert run(*argv, *FAST, "--max-bytes", "0.6k", "--versus-plain") == 0
    assert run(*argv, "--quant", "int", "--shift", "none") == 0
    aimed, plain = map(json.loads, capsys.readouterr().out.splitlines())
    assert aimed["plain"]["bytes"] == plain["bytes"] != aimed["bytes"]
    assert aimed["plain"]["psnr_db"] == plain["psnr_db"]


def test_no_gain_has_no_sign() -> None:
    images = (Encoded(b"x" * 1000, 8, 8, db, 0.1, "") for db in (29.999, 30.0))
    said = str(Reported(*images, {}))
    assert "; +0.0 % and +0.00 dB on plain rounding" in said


@pytest.mark.parametrize(
    ("text", "expected"),
    [("50000", 5e4), ("50k", 5e4), ("1.5MB", 1.5e6), ("64KiB", 65536), ("2 Ki", 2048)],
)
def test_numbers_of_bytes(text: str, expected: float) -> None:
    parser = argparse.ArgumentParser()
    targets.add_arguments(parser)
    assert parser.parse_args(["--max-bytes", text]).max_bytes == expected


def test_what_it_refuses(image: Path, capsys: pytest.CaptureFixture[str]) -> None:
    refused = Refused(image.parent, capsys)
    encode = ["encode", image, "-o", image.with_name("x.lo"), *FAST]
    for wrong in ("50 apples", "0", "-1", "k", "1.2.3k"):
        refused("is not a number of bytes", *encode, *CODEC, f"--max-bytes={wrong}")
    refused("not a positive number", *encode, *CODEC, "--target-psnr", "0")
    refused("not allowed with argument", *encode, *CODEC, "--max-bytes", 9, "--target-bpp", 1)
    refused("a target chooses the step", *encode, *CODEC, "--max-bytes", "1k", "--step", 2)
    refused("--keep-step is for a target", *encode, *CODEC, "--quality", 1, "--keep-step")
    refused(
        "2,000,000 bytes: too much for this image: quality 1 at step 0.5 gives",
        *[*encode, *CODEC, "--quality", 1, "--max-bytes", "2MB"],
    )
    clip = ["--codec", "tiny-ssf2020", "--quality", 1, "--max-bytes", "1k"]
    refused("--keep-step is for images", *encode, *clip, "--keep-step")


@pytest.mark.parametrize("match", MATCHES)
def test_a_flat_image_is_matched_by_plain_rounding(
    match: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_png(tmp_path / "x.png", torch.full((3, 64, 64), 0.4))
    argv = ["encode", tmp_path / "x.png", "-o", tmp_path / "x.lo", *CODEC, "--quality", 2, *FAST]
    assert run(*argv, "--match", match) == 0
    assert run("decode", tmp_path / "x.lo", "-o", tmp_path / "y.png") == 0
