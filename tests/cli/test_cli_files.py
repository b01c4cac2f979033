"""Files that say what they were coded with: the command line needs nothing else."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from compressai.models import MeanScaleHyperprior
from compressai.models.vbr import MeanScaleHyperpriorVbr
from support.commands import Refused, pixels, run
from support.fresh import elsewhere
from support.models import moving, photo, tiny, tiny_flow

import latentopt
from latentopt import Container, zoo
from latentopt.adapters import adapter_class
from latentopt.bitstream import Origin
from latentopt.cli import described, model
from latentopt.media import IMAGE_SUFFIXES
from latentopt.media.clips import READABLE, Format, write_clip
from latentopt.media.images import to_uint8, write_png

Printed = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The user's folders, with nothing in them."""
    monkeypatch.setenv("LATENTOPT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))


@pytest.fixture
def image(tmp_path: Path) -> Path:
    write_png(tmp_path / "x.png", photo(50, 70))
    return tmp_path / "x.png"


@pytest.fixture
def refused(tmp_path: Path, capsys: Printed) -> Refused:
    return Refused(tmp_path, capsys)


def coded(image: Path, *options: object) -> Path:
    path = image.with_suffix(".lo")
    assert run("encode", image, "-o", path, "--quant", "hex", *options) == 0
    return path


def test_defaults_are_named_in_the_file(image: Path, tmp_path: Path) -> None:
    path = coded(image)
    assert Container.from_bytes(path.read_bytes()).origin == Origin(model.CODEC, 3)
    assert run("decode", path, "-o", tmp_path / "y.png") == 0
    codec = latentopt.wrap(zoo.load(model.CODEC, 3), "hex")
    assert torch.equal(pixels(tmp_path / "y.png"), to_uint8(codec.load(path)))


def test_a_step_travels(image: Path, tmp_path: Path) -> None:
    path = coded(image, "--codec", "tiny-bmshj2018-factorized", "--quality", 1, "--step", 1.4)
    origin = Container.from_bytes(path.read_bytes()).origin
    assert origin == Origin("tiny-bmshj2018-factorized", 1, step=1.4)
    for options in (
        [],
        ["--step", 1.4],
        ["--quality", 1],
        ["--codec", "tiny_bmshj2018-factorized"],
    ):
        assert run("decode", path, "-o", tmp_path / "y.png", *options) == 0


def test_what_contradicts_the_file_is_told_so(image: Path, refused: Refused) -> None:
    path, png = coded(image), image.with_name("y.png")
    refused.capsys.readouterr()
    says = f"; the file says {model.CODEC} quality 3: leave out --codec"
    for options in (
        ["--quality", 2],
        ["--step", 2],
        ["--codec", "tiny-bmshj2018-factorized"],
    ):
        refused(f"x.lo: written by .*{says}", "decode", path, "-o", png, *options)
    refused(f"x.lo: written by .*{says}", "explain", path, "--quality", 4)
    refused("name the codec, too, with --codec", "decode", path, "-o", png, "--weights", "w.pt")
    refused("--q-index is for --dcvc-repo", "decode", path, "-o", png, "--q-index", 1)


def test_files_of_version_1_are_recognized(image: Path, capsys: Printed) -> None:
    path = coded(image)
    named = Container.from_bytes(path.read_bytes())
    path.write_bytes(replace(named, origin=None).to_bytes())
    assert path.read_bytes()[3] == 1 and len(path.read_bytes()) == len(named.to_bytes()) - 4
    assert run("decode", path, "-o", image.with_name("y.png")) == 0
    capsys.readouterr()
    assert run("info", path) == 0
    assert "tiny-mbt2018-mean, recognized by the weights hash\n" in capsys.readouterr().out


def test_weights_of_ones_own_have_to_be_named_or_registered(
    image: Path, refused: Refused, tmp_path: Path
) -> None:
    weights, png = tmp_path / "w.pt", tmp_path / "y.png"
    torch.save(tiny(MeanScaleHyperprior).state_dict(), weights)
    path = coded(image, "--codec", "mbt2018-mean", "--weights", weights)
    refused.capsys.readouterr()
    refused(
        "the file says mbt2018-mean weights of your own, and .* hash", "decode", path, "-o", png
    )
    assert run("decode", path, "-o", png, "--weights", weights) == 0
    before = pixels(png)
    assert run("zoo", "add", "mine", weights, "--codec", "mbt2018-mean") == 0
    assert run("decode", path, "-o", png) == run("explain", path) == 0
    assert torch.equal(pixels(png), before)
    unnamed = replace(Container.from_bytes(path.read_bytes()), origin=None)
    path.write_bytes(unnamed.to_bytes())
    assert run("decode", path, "-o", png) == 0


def test_a_checkpoint_of_variable_rate_has_all_its_qualities(
    image: Path, refused: Refused, tmp_path: Path
) -> None:
    weights, png = tmp_path / "vbr.pt", tmp_path / "y.png"
    torch.save(MeanScaleHyperpriorVbr(8, 12, vr_entbttlnck=True).state_dict(), weights)
    options = ("--codec", "mbt2018-mean-vbr", "--weights", weights, "--quality")
    for quality in (3, 8):
        path = coded(image, *options, quality)
        assert run("decode", path, "-o", png, *options, quality) == 0
        codec = latentopt.wrap(zoo.load("mbt2018-mean-vbr", quality, weights), "hex")
        assert torch.equal(pixels(png), to_uint8(codec.load(path)))
    refused.capsys.readouterr()
    refused("has no quality 9", "decode", path, "-o", png, *options, 9)
    refused("weights hash", "decode", path, "-o", png, *options, 3)


def test_clips_too(tmp_path: Path, capsys: Printed) -> None:
    weights, clip, lov = tmp_path / "flow.pt", tmp_path / "clip.y4m", tmp_path / "clip.lov"
    write_clip(clip, moving(3, 50, 70), Format(70, 50, 25))
    torch.save(tiny_flow().state_dict(), weights)
    assert run("zoo", "add", "flow", weights, "--codec", "ssf2020") == 0
    assert run("encode", clip, "-o", lov, "--codec", "flow", "--quant", "hex") == 0
    assert run("decode", lov, "-o", tmp_path / "out.y4m") == 0
    capsys.readouterr()
    assert run("info", lov, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["codec"]["name"] == "flow" and found["seconds"] == 3 / 25
    assert [part["name"] for part in found["parts"]] == ["image", "motion", "residual"]


def test_info_says_what_the_decoder_does(image: Path, capsys: Printed) -> None:
    path = coded(image, "--postfilter")
    assert run("info", path) == run("explain", path) == 0
    said = capsys.readouterr().out
    assert "image filter:   yes\n" in said
    [payload] = re.findall(r"payload: +(\d+) bytes", said)
    [header] = re.findall(r"header +(\d+) ", said)
    assert int(payload) + int(header) == path.stat().st_size


def test_json(image: Path, capsys: Printed) -> None:
    """`explain` prints what `info` does, and the latents."""
    path = coded(image)
    capsys.readouterr()
    printed = []
    for command in ("info", "explain"):
        assert run(command, path, "--json") == 0
        printed.append(json.loads(capsys.readouterr().out))
    info, explained = printed
    latents = explained.pop("latents")
    assert info == explained == described.describe(path)
    assert info["codec"] == {
        "name": model.CODEC,
        "quality": 3,
        "metric": "mse",
        "step": 1.0,
        "in_header": True,
    }
    assert (info["width"], info["height"], info["bytes"]) == (70, 50, path.stat().st_size)
    assert [latent["name"] for latent in latents] == ["main", "side"]
    assert sum(latent["string_bytes"] for latent in latents) < info["bytes"] - 24
    for latent in latents:
        for shares in ("lattices", "spreads", "channels"):
            total = sum(share["elements"] for share in latent[shares])
            assert total == torch.tensor(latent["shape"]).prod()


def test_the_zoo_as_json(capsys: Printed) -> None:
    assert run("zoo", "list", "--json") == 0
    found = {codec["name"]: codec for codec in json.loads(capsys.readouterr().out)}
    assert tuple(found) == zoo.names()
    assert found["tiny-ssf2020"]["kind"] == "clip"
    assert found["mbt2018-mean"]["qualities"][7] == {"quality": 8, "status": "downloadable"}


def test_defaults_and_names_are_the_librarys() -> None:
    assert set(model.CLIPS) == set(READABLE) - set(IMAGE_SUFFIXES)
    assert not zoo.is_video(model.CODEC) and zoo.is_video(model.CLIP_CODEC)
    flow = tiny_flow()
    assert tuple(adapter_class(flow)(flow, True).parts) == described.VIDEO_PARTS


def test_a_file_decodes_in_a_process_that_knows_nothing_else(image: Path, tmp_path: Path) -> None:
    path = coded(image, "--shift", "none")
    (tmp_path / "sent").mkdir()
    alone = path.rename(tmp_path / "sent" / "photo.lo")
    assert elsewhere(run, "decode", alone, "-o", tmp_path / "y.png") == 0
    assert pixels(tmp_path / "y.png").shape == (3, 50, 70)
