"""Files for CompressAI's own decoder, which tell themselves by their layout."""

import io
import json
import sys
from pathlib import Path

import pytest
import torch
from support.commands import Refused, pixels, run
from support.models import moving, photo

from latentopt import zoo
from latentopt.bitstream.compressai_file import is_whole
from latentopt.media.clips import Format, open_clip, write_clip
from latentopt.media.images import to_uint8, write_png

Printed = pytest.CaptureFixture[str]
CODEC = ("--codec", "tiny-mbt2018-mean")


@pytest.fixture
def coded(tmp_path: Path) -> Path:
    write_png(tmp_path / "x.png", photo(50, 70))
    options = ("--format", "compressai", "--preset", "fast")
    assert run("encode", tmp_path / "x.png", *CODEC, *options) == 0
    return tmp_path / "x.bin"


def test_every_way_in_gives_the_same_picture(
    coded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("decode", coded, "-o", tmp_path / "y.png", *CODEC) == 0
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(coded.read_bytes())))
    assert run("decode", "-", "-o", tmp_path / "z.png", *CODEC) == 0
    many = ("--format", "compressai", "--json")
    assert run("decode", tmp_path, "-o", tmp_path / "all", *CODEC, *many) == 0
    expected = pixels(tmp_path / "y.png")
    assert expected.shape == (3, 50, 70)
    for name in ("z.png", "all/x.png"):
        assert torch.equal(pixels(tmp_path / name), expected)


def test_info(coded: Path, capsys: Printed) -> None:
    capsys.readouterr()
    assert run("info", coded, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["codec"]["name"] == "mbt2018-mean" and found["codec"]["quality"] == 3
    size = coded.stat().st_size
    assert (found["format"], found["kind"], found["bytes"]) == ("compressai", "image", size)
    assert (found["width"], found["height"], found["bpp"]) == (70, 50, 8 * size / 3500)
    assert run("info", coded) == 0
    said = capsys.readouterr().out
    assert "for CompressAI's own decoder" in said
    assert "weights:        the header says the architecture, not whose they are\n" in said


def test_refused(coded: Path, tmp_path: Path, capsys: Printed) -> None:
    refused = Refused(tmp_path, capsys)
    refused(
        "is for CompressAI's own decoder, whose strings explain nothing: use info", "explain", coded
    )
    decode = ("decode", coded, "-o", tmp_path / "y.png", *CODEC)
    refused("not a latentopt file", *decode, "--format", "latentopt")
    coded.write_bytes(coded.read_bytes() + b"x")
    refused("not a latentopt file", *decode)
    refused("more in the file than its strings", *decode, "--format", "compressai")


def test_clips(tmp_path: Path, capsys: Printed) -> None:
    clip, path = tmp_path / "c.y4m", tmp_path / "c.bin"
    write_clip(clip, moving(3, 64, 64), Format(64, 64, 25))
    options = ("--codec", "tiny-ssf2020", "--preset", "fast", "--format", "compressai")
    assert run("encode", clip, "-o", path, *options) == 0
    assert is_whole(path.read_bytes()) and not is_whole(path.read_bytes()[:-1])
    capsys.readouterr()
    assert run("info", path, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["kind"], found["frames"]) == ("clip", 3)
    assert run("decode", path, "-o", tmp_path / "d.y4m", "--codec", "tiny-ssf2020") == 0
    with open_clip(tmp_path / "d.y4m") as decoded:
        assert [to_uint8(x).shape for x in decoded] == [(3, 64, 64)] * 3


def test_weights_that_the_header_cannot_name(
    coded: Path, tmp_path: Path, capsys: Printed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("latentopt.media.download.fetch", _no_network)
    hint = "name them, such as --codec tiny-mbt2018-mean"
    Refused(tmp_path, capsys)(hint, "decode", coded, "-o", tmp_path / "y.png")


def test_weights_that_are_assumed_are_told(
    coded: Path, tmp_path: Path, capsys: Printed, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = zoo.load
    monkeypatch.setattr(zoo, "load", lambda name, *rest: load(f"tiny-{name}", *rest))
    folder = tmp_path / "twice"
    folder.mkdir()
    for name in ("a.bin", "b.bin"):
        (folder / name).write_bytes(coded.read_bytes())
    capsys.readouterr()
    note = "note: decoded with CompressAI's published mbt2018-mean quality 3; if other weights"
    for argv in (["decode", coded, "-o", tmp_path / "y.png"], ["decode", folder, "-o", tmp_path]):
        assert run(*argv, "--format", "compressai") == 0
        assert capsys.readouterr().err.count(note) == 1
    monkeypatch.undo()
    assert run("decode", coded, "-o", tmp_path / "y.png", *CODEC) == 0
    assert capsys.readouterr().err == ""


def _no_network(*_: object) -> None:
    raise OSError("no network")
