"""The model of a file: by what its header says, or by the hash of its weights."""

import json
import sys
from pathlib import Path

import pytest
import torch
from compressai.models import FactorizedPrior, MeanScaleHyperprior
from compressai.zoo.image import model_architectures, model_urls
from compressai.zoo.image_vbr import model_urls as vbr
from compressai.zoo.video import model_urls as video_urls
from ship_hashes import hashes
from support.models import photo, tiny

import latentopt
from latentopt import BitstreamError, Container, VideoCodec, WeightsError, zoo
from latentopt.adapters import with_step
from latentopt.bitstream import Origin
from latentopt.zoo import hub, writer
from latentopt.zoo.architectures import CLASSES, VIDEO
from latentopt.zoo.names import URLS
from latentopt.zoo.names import VIDEO as VIDEO_NAMES
from latentopt.zoo.shipped_hashes import PATH


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's folders, with nothing in them."""
    monkeypatch.setenv("LATENTOPT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    return tmp_path


def checkpoint(folder: Path, seed: int = 0) -> Path:
    path = folder / f"{seed}.pt"
    torch.save(tiny(MeanScaleHyperprior, seed).state_dict(), path)
    return path


def written(model: torch.nn.Module) -> Container:
    return Container.from_bytes(latentopt.wrap(model, "hex", False).save_bytes(photo(64, 64)))


def test_a_file_is_read_as_it_was_written(tmp_path: Path) -> None:
    x = photo(64, 64)
    for name, words in {
        "tiny-mbt2018-mean": [{"preset": "fast"}, {"spread": 0.29}, {"quant": "e8", "dither": 3}],
        "tiny-ohm": [{}],
    }.items():
        model = zoo.load(name, 1)
        for own in words:
            codec = latentopt.wrap(model, **own)
            codec.save(tmp_path / "x.lo", x)
            found = zoo.reader_of(tmp_path / "x.lo")
            assert torch.equal(found.load(tmp_path / "x.lo"), codec.load(tmp_path / "x.lo"))
            with pytest.raises(BitstreamError, match=r"take what latentopt\.zoo\.reader_of"):
                latentopt.wrap(zoo.load("tiny-mbt2018-mean", 1), "hex").load(tmp_path / "x.lo")


def test_a_clip_is_read_as_it_was_written(tmp_path: Path) -> None:
    codec = latentopt.wrap(zoo.load("tiny-ssf2020", 1), "hex", parts=("residual",), gop=2)
    codec.save(tmp_path / "x.lov", [photo(64, 64), photo(64, 64, seed=1)])
    reader = zoo.reader_of(tmp_path / "x.lov")
    assert isinstance(reader, VideoCodec)
    pairs = zip(reader.load(tmp_path / "x.lov"), codec.load(tmp_path / "x.lov"), strict=True)
    assert all(torch.equal(*pair) for pair in pairs)
    (tmp_path / "x.lo").write_bytes(b"no")
    with pytest.raises(BitstreamError):
        zoo.reader_of(tmp_path / "x.lo")


# -- what is shipped is what there is --------------------------------------------------------------


LATER = "cca dcae mlic mlicplus mlicpp mlicv2 saaf stf stf-wacnn tcm"
"""What CompressAI 1.2.9 adds, without weights: those classes are none of this zoo."""


def test_the_list_is_what_compressai_publishes() -> None:
    assert tuple(URLS) == tuple(CLASSES) and tuple(VIDEO) == VIDEO_NAMES
    unknown = {name.replace("_", "-") for name in model_architectures} - set(URLS)
    assert unknown in (set(), set(LATER.split()))
    rates = {name: {"mse": dict.fromkeys(range(1, 9), url["mse"])} for name, url in vbr.items()}
    installed = {**model_urls, **video_urls, **rates}
    assert {name: urls for name, urls in URLS.items() if urls} == installed


def test_hashes_are_those_of_the_embedded_weights() -> None:
    assert json.loads(PATH.read_text()) == hashes()


def test_torchs_folder_is_the_one_that_torch_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    for variables in ({}, {"XDG_CACHE_HOME": "/x"}, {"TORCH_HOME": "~/y", "XDG_CACHE_HOME": "/x"}):
        with pytest.MonkeyPatch.context() as patch:
            patch.delenv("TORCH_HOME", raising=False)
            for name, value in variables.items():
                patch.setenv(name, value)
            expected = torch.hub.get_dir()
            patch.delitem(sys.modules, "torch")
            assert hub._hub() == expected


# -- by name ---------------------------------------------------------------------------------------


def test_what_the_zoo_loads_is_found_again(home: Path) -> None:
    zoo.add("mine", checkpoint(home), "mbt2018-mean", 2)
    for origin in (Origin("tiny-mbt2018-mean", 1), Origin("mine", 2), Origin("mine", 2, step=1.5)):
        container = written(with_step(zoo.load(origin.codec, origin.quality), origin.step))
        assert container.origin == origin
        found = zoo.writer_of(container.origin, container.weights_hash)
        assert found.origin == origin and writer.hash_of(found) == container.weights_hash


def test_a_name_that_means_other_weights_here_is_not_believed(home: Path) -> None:
    zoo.add("mine", checkpoint(home), "mbt2018-mean")
    container = written(zoo.load("mine", 1))
    zoo.add("yours", checkpoint(home), "mbt2018-mean", 3)
    zoo.add("mine", checkpoint(home, seed=1), "mbt2018-mean", replace=True)
    assert zoo.writer_of(container.origin, container.weights_hash).origin == Origin("yours", 3)
    zoo.remove("yours")
    with pytest.raises(WeightsError, match="the file says mine quality 1, and its weights have"):
        zoo.writer_of(container.origin, container.weights_hash)


# -- by hash ---------------------------------------------------------------------------------------


def test_files_of_version_1_are_recognized(home: Path) -> None:
    hash_ = bytes.fromhex(json.loads(PATH.read_text())["tiny-mbt2018-mean"]["1"])
    assert zoo.writer_of(None, hash_).origin == Origin("tiny-mbt2018-mean", 1)
    model = tiny(MeanScaleHyperprior)
    container = written(model)
    assert container.version == 1 and container.origin is None
    with pytest.raises(WeightsError) as caught:
        zoo.writer_of(None, container.weights_hash)
    said = str(caught.value)
    assert container.weights_hash.hex() in said and "latentopt zoo add NAME CHECKPOINT" in said
    zoo.add("mine", checkpoint(home), "mbt2018-mean")
    assert zoo.writer_of(None, container.weights_hash).origin == Origin("mine", 1)


def test_weights_of_ones_own_are_looked_for_by_their_hash(home: Path) -> None:
    torch.save(tiny(FactorizedPrior).state_dict(), home / "other.pt")
    zoo.add("other", home / "other.pt", "bmshj2018-factorized")
    container = written(with_step(zoo.load("mbt2018-mean", weights=checkpoint(home)), 2))
    assert container.origin == Origin("mbt2018-mean", step=2)
    with pytest.raises(WeightsError, match="zoo add NAME CHECKPOINT --codec mbt2018-mean"):
        zoo.writer_of(container.origin, container.weights_hash)
    zoo.add("mine", checkpoint(home), "mbt2018-mean")
    found = zoo.writer_of(container.origin, container.weights_hash)
    assert found.origin == Origin("mine", 1, step=2)


def test_hashes_are_remembered(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = zoo.add("mine", checkpoint(home), "mbt2018-mean")
    hash_ = writer.hash_of(tiny(MeanScaleHyperprior))
    assert writer.find(hash_) == Origin("mine", 1)
    memory = home / "cache" / "latentopt" / "weights-hashes.json"
    kept = memory.read_text()
    assert hash_.hex() in kept
    with monkeypatch.context() as patch:
        patch.setattr(writer, "hash_of", None)
        assert writer.find(hash_) == Origin("mine", 1)  # without computing it again
    zoo.add("mine", checkpoint(home, seed=1), "mbt2018-mean", replace=True)
    assert writer.find(hash_) is None  # of the file that is there now
    for damaged in ("", "[1]", '{"x": 5}', kept[:-9]):
        memory.write_text(damaged)
        assert writer.find(writer.hash_of(tiny(MeanScaleHyperprior, seed=1))) == Origin("mine", 1)
    file.write_bytes(b"damaged")
    assert writer.find(hash_) is None


def test_a_name_that_lies_is_not_believed() -> None:
    """An embedded codec's hash names it, and nothing is downloaded for a name in a file."""
    model = zoo.load("tiny-mbt2018-mean", 3)
    hash_ = latentopt.wrap(model, "int", False).identity.weights_hash
    for origin in (Origin("mbt2018-mean", 3), Origin("tiny-mbt2018-mean", 3, step=1000.0)):
        assert zoo.writer_of(origin, hash_).origin == Origin("tiny-mbt2018-mean", 3)
