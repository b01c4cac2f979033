"""Codecs that the user registers, and `latentopt zoo`."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from compressai.models import FactorizedPrior, MeanScaleHyperprior
from safetensors.torch import save_file
from support.commands import Refused, pixels, run
from support.models import photo, tiny
from test_zoo import Intruder

from latentopt import Container, zoo
from latentopt.bitstream import Origin
from latentopt.errors import InputError, WeightsError
from latentopt.media.images import write_png
from latentopt.zoo import catalog
from latentopt.zoo.embedded import EMBEDDED
from latentopt.zoo.names import URLS


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's data folder, with nothing in it, nor in torch.hub's."""
    monkeypatch.setenv("LATENTOPT_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    return tmp_path / "home" / "zoo"


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of a small mbt2018-mean, as a training script might leave it."""
    path = tmp_path_factory.mktemp("weights") / "best.pth.tar"
    torch.save({"state_dict": tiny(MeanScaleHyperprior).state_dict(), "epoch": 3}, path)
    return path


refused = pytest.fixture(lambda tmp_path, capsys: Refused(tmp_path, capsys), name="refused")


# -- add, remove ---------------------------------------------------------------------------------


def test_a_registered_codec_is_the_checkpoint(weights: Path, home: Path) -> None:
    file = zoo.add("My_Codec.v2", weights, "MBT2018_mean", quality=3)
    assert file == home / "my-codec.v2-3.safetensors" and list(home.iterdir()) == [file]
    assert zoo.names()[-1] == zoo.canonical("my-codec.V2") == "my-codec.v2"
    assert zoo.family("my_codec.v2") == "mbt2018-mean"
    assert zoo.qualities("my-codec.v2") == (3,)
    recorded = {"architecture": "mbt2018-mean", "quality": "3", "source": "best.pth.tar"}
    assert catalog.registered().metadata("my-codec.v2", 3) == recorded

    loaded = zoo.load("my-codec.v2", 3).state_dict()
    original = zoo.load("mbt2018-mean", weights=weights).state_dict()
    assert loaded.keys() == original.keys()
    assert all(torch.equal(loaded[name], value) for name, value in original.items())
    with pytest.raises(InputError, match="no quality 1: there are 3"):
        zoo.load("my-codec.v2", 1)


def test_what_a_file_says_of_itself_need_not_be_said(
    weights: Path, tmp_path: Path, home: Path
) -> None:
    first = zoo.add("first", weights, "mbt2018-mean", quality=3)
    assert zoo.add("second", first) == home / "second-3.safetensors"
    assert zoo.add("second", first, quality=4) == home / "second-4.safetensors"
    assert zoo.family("second") == "mbt2018-mean"
    with pytest.raises(InputError, match=r"best\.pth\.tar: name its architecture"):
        zoo.add("third", weights)


def test_names_do_not_run_into_qualities(weights: Path) -> None:
    zoo.add("net", weights, "mbt2018-mean", 2)
    zoo.add("net-2", weights, "tiny-mbt2018-mean", 1)
    assert zoo.qualities("net") == (2,) and zoo.qualities("net-2") == (1,)
    assert zoo.remove("net")[0].name == "net-2.safetensors"
    assert zoo.names()[-1] == "net-2"
    with pytest.raises(InputError, match="no codec 'net' is registered; registered: net-2"):
        zoo.remove("net")


def test_what_add_refuses(weights: Path, tmp_path: Path, home: Path) -> None:
    for name in ("", " ", "-x", ".x", "a/b", "../x", "ä", "x\n/y", "a b"):
        with pytest.raises(InputError, match="is no codec name"):
            zoo.add(name, weights, "mbt2018-mean")
    for name in ("mbt2018_mean", "tiny-mbt2018"):
        with pytest.raises(InputError, match=f"{zoo.canonical(name)} is a built-in codec"):
            zoo.add(name, weights, "mbt2018-mean")
        with pytest.raises(InputError, match="is a built-in codec"):
            zoo.remove(name)
    with pytest.raises(InputError, match="quality 0: must be at least 1"):
        zoo.add("mine", weights, "mbt2018-mean", 0)
    with pytest.raises(InputError, match="unknown codec 'mbt'"):
        zoo.add("mine", weights, "mbt")
    with pytest.raises(WeightsError, match="looks like mbt2018-mean"):
        zoo.add("mine", weights, "mbt2018")
    with pytest.raises(WeightsError, match="no such file"):
        zoo.add("mine", tmp_path / "absent.pt", "mbt2018-mean")
    assert not home.exists()


def test_a_malicious_pickle_is_refused(tmp_path: Path, home: Path) -> None:
    torch.save({"state_dict": {}, "x": Intruder(tmp_path / "mark")}, tmp_path / "bad.pt")
    with pytest.raises(WeightsError, match="could run code"):
        zoo.add("mine", tmp_path / "bad.pt", "mbt2018-mean")
    assert not (tmp_path / "mark").exists() and not home.exists()


def test_replacing(weights: Path, tmp_path: Path) -> None:
    torch.save(tiny(FactorizedPrior).state_dict(), tmp_path / "other.pt")
    other = (tmp_path / "other.pt", "bmshj2018-factorized")
    file = zoo.add("mine", weights, "mbt2018-mean")
    before = file.read_bytes()
    for arguments in ((weights, "mbt2018-mean"), other):
        with pytest.raises(InputError, match="mine has a quality 1 already"):
            zoo.add("mine", *arguments)
    with pytest.raises(InputError, match="mine is a mbt2018-mean codec"):
        zoo.add("mine", *other, quality=2)
    assert file.read_bytes() == before
    zoo.add("mine", *other, replace=True)
    assert zoo.family("mine") == "bmshj2018-factorized"
    zoo.add("mine", file, "bmshj2018-factorized", replace=True)  # its own file as the source
    assert type(zoo.load("mine", 1)) is FactorizedPrior


def test_where_the_folder_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LATENTOPT_HOME", "")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    assert catalog.registered().path == tmp_path / "data" / "latentopt" / "zoo"
    monkeypatch.setenv("XDG_DATA_HOME", "")
    assert catalog.registered().path == Path.home() / ".local/share/latentopt/zoo"
    monkeypatch.setenv("LATENTOPT_HOME", "~/x")
    assert catalog.registered().path == Path.home() / "x" / "zoo"


def test_files_that_say_nothing(home: Path) -> None:
    home.mkdir(parents=True)
    save_file({"x": torch.zeros(1)}, home / "odd-1.safetensors")
    (home / "cut-1.safetensors").write_bytes(b"12345678")
    (home / "Not_Ours-1.safetensors").touch()
    (home / "none-0.safetensors").touch()
    assert zoo.names()[-2:] == ("cut", "odd")
    with pytest.raises(WeightsError, match=r"odd-1\.safetensors: its metadata names no arch"):
        zoo.load("odd", 1)
    with pytest.raises(WeightsError, match=r"cut-1\.safetensors: unreadable"):
        zoo.load("cut", 1)


# -- the command ---------------------------------------------------------------------------------


def test_a_registered_name_and_its_checkpoint_write_the_same_but_for_the_name(
    weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_png(tmp_path / "x.png", photo(50, 70))
    coded, decoded = tmp_path / "x.lo", tmp_path / "y.png"
    assert run("zoo", "add", "Mine", weights, "--codec", "mbt2018-mean", "--quality", 2) == 0
    assert "mine-2.safetensors: use it as --codec mine --quality 2" in capsys.readouterr().out
    named, given = ["--codec", "mine", "--quality", 2], ["--codec", "mine", "--weights", weights]
    encode = ["encode", tmp_path / "x.png", "-o", coded, "--quant", "hex"]
    assert run(*encode, *given) == 0
    first = Container.from_bytes(coded.read_bytes())
    assert run(*encode, *named) == 0
    second = Container.from_bytes(coded.read_bytes())
    assert replace(second, origin=first.origin) == first
    assert (first.origin, second.origin) == (Origin("mbt2018-mean"), Origin("mine", 2))
    for options in (named, []):
        assert run("decode", coded, "-o", decoded, *options) == 0
        assert pixels(decoded).shape == (3, 50, 70)


def table(out: str) -> dict[str, list[str]]:
    """The lines of `zoo list`, split into columns, by their first."""
    lines = [line.split(maxsplit=2) for line in out.splitlines()]
    return {line[0]: line[1:] for line in lines}


def test_list(
    weights: Path,
    home: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(EMBEDDED.__dict__, "path", tmp_path / "embedded")
    (tmp_path / "embedded").mkdir()
    for quality in (1, 2, 4):
        (tmp_path / "embedded" / f"tiny-mbt2018-{quality}.safetensors").touch()
    kept = tmp_path / "hub" / "checkpoints" / Path(URLS["mbt2018-mean"]["mse"][2]).name
    kept.parent.mkdir(parents=True)
    kept.touch()
    zoo.add("mine", weights, "mbt2018-mean", 7)
    (home / "cut-1.safetensors").touch()
    assert run("zoo", "list") == 0
    lines = table(capsys.readouterr().out)
    assert lines.pop("codec") == ["architecture", "qualities"]
    assert tuple(lines) == zoo.names()
    assert lines["mbt2018-mean"] == ["mbt2018-mean", "1 3-8 downloadable, 2 cached"]
    assert lines["bmshj2018-factorized-relu"][1:] == ["not published"]
    assert lines["tiny-mbt2018"][0] == "mbt2018" and lines["tiny-mbt2018"][1] == "1-2 4 embedded"
    assert lines["tiny-mbt2018-mean"] == ["mbt2018-mean", "none"]
    assert lines["mine"] == ["mbt2018-mean", "7 registered"]
    assert lines["cut"] == ["unreadable", "1 registered"]

    assert run("zoo", "list", "--metric", "ms-ssim") == 0
    lines = table(capsys.readouterr().out)
    assert lines["mbt2018-mean"][1] == "1-8 downloadable" and lines["mine"][1] == "none"


def published(folder: Path, qualities: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    """Pretend that the zoo publishes these qualities of mbt2018-mean, in files of the folder."""
    urls = {q: (folder / f"small-{q}.pth.tar").as_uri() for q in qualities}
    monkeypatch.setitem(URLS, "mbt2018-mean", {"mse": urls})
    for q in qualities:
        torch.save({"weight": torch.tensor([q])}, folder / f"small-{q}.pth.tar")


def test_fetch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    published(tmp_path, [1, 2, 3], monkeypatch)
    kept = tmp_path / "hub" / "checkpoints"
    assert run("zoo", "fetch", "mbt2018_mean", 2) == 0
    assert capsys.readouterr().out == f"mbt2018-mean 2: fetched: {kept / 'small-2.pth.tar'}\n"
    assert run("zoo", "fetch", "mbt2018-mean") == 0
    words = [line.split(": ")[1] for line in capsys.readouterr().out.splitlines()]
    assert words == ["fetched", "here already", "fetched"]
    assert {p.name for p in kept.iterdir()} == {f"small-{q}.pth.tar" for q in (1, 2, 3)}


def test_fetch_stops_at_the_first_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    published(tmp_path, [1, 2, 3], monkeypatch)
    (tmp_path / "small-2.pth.tar").unlink()
    assert run("zoo", "fetch", "mbt2018-mean") == 2
    out, err = capsys.readouterr()
    assert out.startswith("mbt2018-mean 1: fetched") and out.count("\n") == 1
    assert "cannot download the mbt2018-mean weights" in err and err.count("\n") == 1
    assert [p.name for p in (tmp_path / "hub/checkpoints").iterdir()] == ["small-1.pth.tar"]


def test_fetch_of_what_needs_none_or_is_not_there(
    weights: Path,
    tmp_path: Path,
    refused: Refused,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    published(tmp_path, [1], monkeypatch)
    monkeypatch.setitem(EMBEDDED.__dict__, "path", tmp_path / "embedded")
    (tmp_path / "embedded").mkdir()
    (tmp_path / "embedded" / "tiny-mbt2018-3.safetensors").touch()
    zoo.add("mine", weights, "mbt2018-mean")
    assert run("zoo", "fetch", "tiny-mbt2018") == run("zoo", "fetch", "mine", 1) == 0
    embedded, mine = capsys.readouterr().out.splitlines()
    assert "3: embedded, nothing to fetch" in embedded and "registered, nothing" in mine

    refused("tiny-mbt2018 has no quality 1: there are 3", "zoo", "fetch", "tiny-mbt2018", 3, 1)
    refused("no such file, nor another quality", "zoo", "fetch", "tiny-cheng2020-attn")
    refused("has no quality 9: valid are 1 to 1", "zoo", "fetch", "mbt2018-mean", 1, 9)
    refused("publishes no weights", "zoo", "fetch", "bmshj2018-factorized-relu")
    refused("publishes no weights", "zoo", "fetch", "mbt2018-mean", "--metric", "ms-ssim")


def test_commands_refuse_in_one_line(weights: Path, tmp_path: Path, refused: Refused) -> None:
    refused("arguments are required: COMMAND", "zoo")
    refused("invalid choice: 'lst'", "zoo", "lst")
    refused("unknown codec 'jpeg'", "zoo", "fetch", "jpeg")
    refused("invalid int value: 'x'", "zoo", "fetch", "mbt2018-mean", "x")
    refused("invalid choice: 'psnr'", "zoo", "list", "--metric", "psnr")
    add = ["zoo", "add", "mine", weights]
    refused("name its architecture", *add)
    refused("not the weights of mbt2018 ", *add, "--codec", "mbt2018")
    refused("no codec 'mine' is registered; registered: none", "zoo", "remove", "mine")
    assert run(*add, "--codec", "mbt2018-mean") == 0
    refused.capsys.readouterr()
    refused("mine has a quality 1 already: .*--force", *add, "--codec", "mbt2018-mean")
    assert run(*add, "--codec", "mbt2018-mean", "--force") == 0
    assert run("zoo", "remove", "mine") == 0
    assert "removed " in refused.capsys.readouterr().out
    assert "mine" not in zoo.names()
    refused("unknown codec 'mine'", "zoo", "fetch", "mine")
