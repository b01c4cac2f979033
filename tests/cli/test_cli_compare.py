"""`latentopt compare`: right figures, and one line for what cannot be compared."""

import json
import math
import re
import sys
import types
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from support.commands import Refused, pixels, run
from support.models import photo

from latentopt.cli import compare
from latentopt.media.images import write_png
from latentopt.media.perceptual import PERCEPTUAL
from latentopt.media.quality import ms_ssim, psnr_db


@pytest.fixture
def pair(tmp_path: Path) -> list[Path]:
    """An image, and one in which every sample is off by one level."""
    x = (photo(176, 200) * 250).round() / 255
    write_png(tmp_path / "x.png", x)
    write_png(tmp_path / "y.png", x + 1 / 255)
    return [tmp_path / "x.png", tmp_path / "y.png"]


def test_figures(pair: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    expected = ms_ssim(*map(pixels, pair))
    assert run("compare", *pair) == 0
    words = f"{pair[1]}: PSNR 48.13 dB, MS-SSIM {expected:.5f}\n"  # 20 log10(255)
    assert capsys.readouterr().out == words
    assert run("compare", *pair, pair[0], pair[0], "--json") == 0
    off, same = map(json.loads, capsys.readouterr().out.splitlines())
    assert off["psnr_db"] == pytest.approx(psnr_db(*map(pixels, pair)))
    assert off["ms_ssim"] == pytest.approx(expected)
    assert (same["psnr_db"], same["ms_ssim"]) == (None, pytest.approx(1))


def test_the_page(pair: list[Path], tmp_path: Path) -> None:
    assert run("compare", *pair, "-o", tmp_path / "page.html") == 0
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert re.findall(r'data-view="(\w+)"', page) == ["baseline", "ours", "difference"]
    assert "PSNR 48.13 dB" in page and "$" not in page.split("<style>")[0]


def test_refused(pair: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    refused = Refused(tmp_path, capsys)
    write_png(tmp_path / "small.png", torch.zeros(3, 8, 8))
    refused("y.png: is 200x176, and .*small.png is 8x8", "compare", tmp_path / "small.png", pair[1])
    refused("x.png: has no partner", "compare", pair[0])
    refused("absent.png: no such image", "compare", pair[0], tmp_path / "absent.png")
    refused("a page shows one pair", "compare", *pair, *pair, "-o", tmp_path / "p.html")
    refused("is an input too", "compare", *pair, "-o", pair[0])
    refused("known are lpips, dists", "compare", *pair, "--metrics", "vmaf")
    assert compare.METRICS == PERCEPTUAL


@pytest.mark.skipif(find_spec("pyiqa") is not None, reason="pyiqa is installed")
def test_the_extra_is_named(
    pair: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    refused = Refused(tmp_path, capsys)
    refused(r"pip install 'latentopt\[metrics\]'", "compare", *pair, "--metrics", "lpips")


class _Distance(torch.nn.Module):
    """In pyiqa's place: the mean square of what it is given, decoded image first."""

    def forward(self, x_hat: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        assert x_hat.shape == x.shape and x.dim() == 4 and x.min() >= 0 and x.max() <= 1
        return (x_hat - x).square().mean()


def test_distances_are_of_images_in_0_to_1(
    pair: list[Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fake = types.ModuleType("pyiqa")
    fake.__spec__ = ModuleSpec("pyiqa", None)
    monkeypatch.setattr(fake, "create_metric", lambda name, device: _Distance(), raising=False)
    monkeypatch.setitem(sys.modules, "pyiqa", fake)
    assert run("compare", *pair, "--metrics", "lpips", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert -10 * math.log10(found["lpips"]) == pytest.approx(found["psnr_db"], abs=1e-3)

    def offline(name: str, device: torch.device) -> None:
        raise OSError("no network")

    monkeypatch.setattr(fake, "create_metric", offline)
    assert run("compare", *pair, "--metrics", "dists") == 2
    assert "cannot download the weights that dists measures with" in capsys.readouterr().err
