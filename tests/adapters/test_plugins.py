"""Adapters that other packages bring, from a distribution on the path."""

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from support.models import photo, tiny
from torch import nn

import latentopt
from latentopt import UnsupportedModelError
from latentopt.adapters import adapter_class

MODULE = """
from compressai.models import MeanScaleHyperprior
from latentopt.adapters import MeanScaleAdapter

class MyCodec(MeanScaleHyperprior):
    def compress(self, x):
        raise NotImplementedError

class Other(MyCodec):
    pass

class MyAdapter(MeanScaleAdapter):
    def analysis(self, x):
        return 2 * super().analysis(x)

def function(model, portable):
    return MyAdapter(model, portable)
"""
Install = Callable[[str, str], type[nn.Module]]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Puts a distribution with an entry point on the path; gives the class of a model in it."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "brought.py").write_text(MODULE)

    def made(distribution: str, adapter: str) -> type[nn.Module]:
        info = tmp_path / f"{distribution}-1.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1\n")
        points = f"[latentopt.adapters]\nbrought.MyCodec = {adapter}\n"
        (info / "entry_points.txt").write_text(points)
        importlib.invalidate_caches()
        return importlib.import_module("brought").MyCodec

    yield made
    sys.modules.pop("brought", None)


def test_a_package_brings_an_adapter(install: Install) -> None:
    model = tiny(install("brought", "brought:MyAdapter"))
    codec, x = latentopt.wrap(model), photo(64, 64)
    out = codec.compress(x)
    x_hat = codec.decompress(out["strings"], out["shape"])["x_hat"]
    assert torch.equal(x_hat, codec(x)["x_hat"])
    assert type(codec.assembly.adapter).__name__ == "MyAdapter"
    other = tiny(importlib.import_module("brought").Other)
    assert adapter_class(other).__name__ == "MyAdapter"


def test_without_it_there_is_none(install: Install, tmp_path: Path) -> None:
    cls = install("brought", "brought:MyAdapter")
    (tmp_path / "brought-1.dist-info" / "entry_points.txt").unlink()
    with pytest.raises(UnsupportedModelError, match="has no adapter"):
        latentopt.wrap(tiny(cls))


@pytest.mark.parametrize(
    ("adapter", "message"),
    [
        ("brought:Missing", "cannot be imported: .*Missing"),
        ("missing:MyAdapter", "cannot be imported: No module named 'missing'"),
        ("brought:function", "is no subclass of latentopt.adapters' Adapter"),
    ],
)
def test_broken_ones_are_named(install: Install, adapter: str, message: str) -> None:
    with pytest.raises(UnsupportedModelError, match=message):
        latentopt.wrap(tiny(install("brought", adapter)))


def test_two_packages_for_one_class_are_named(install: Install) -> None:
    install("brought", "brought:MyAdapter")
    cls = install("another", "brought:function")
    with pytest.raises(UnsupportedModelError, match="several installed packages"):
        latentopt.wrap(tiny(cls))
