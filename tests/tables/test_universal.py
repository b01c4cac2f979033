"""The linear model of "Universally Quantized Neural Compression", and how it is trained."""

from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.fft import dctn
from support.models import photo

import latentopt
from latentopt import InputError
from latentopt.latents.dither import Dither
from latentopt.media.images import write_png
from latentopt.quantizers import SoftRound
from latentopt.training import fit_quantiles
from tables.figures.reports import report
from tables.universal import artefacts
from tables.universal.codecs import train
from tables.universal.codecs.linear import LinearCodec, high_rate_step
from tables.universal.universal_pages import PAGES, Page

CURVES = sorted(path.stem for path in train.FOLDER.glob("*.toml"))
X = photo(64, 96)


@pytest.mark.parametrize("at", ["orthogonal", "jpeg"])
def test_transforms_are_inverses_about_grey(at: str) -> None:
    model = LinearCodec.starting(at, 40.0, seed=1)
    y = model.g_a(X)
    assert y.shape == (1, 192, 8, 12)
    torch.testing.assert_close(model.g_s(y), X, atol=1e-4, rtol=0)
    assert model.g_a(torch.full((1, 3, 8, 8), 0.5)).abs().max() < 1e-4
    if at == "orthogonal":  # so that a step in one domain is one in the other
        energy = (255 * (X - 0.5)).square().sum() / 40**2
        assert float(y.square().sum()) == pytest.approx(float(energy), rel=1e-3)


def test_jpeg_is_a_dct_of_luma_and_chroma() -> None:
    block = X[..., :8, :8]
    y = LinearCodec.starting("jpeg", 255.0, seed=1).g_a(block)[0, :, 0, 0].detach().numpy()
    red, green, blue = block[0].numpy() - 0.5
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    np.testing.assert_allclose(y[:64], dctn(luma, norm="ortho").ravel(), atol=1e-4)


def test_the_step_for_a_lambda_is_the_best_at_high_rate() -> None:
    lmbda, steps = 0.02, np.linspace(20, 60, 4001)
    loss = lmbda * steps**2 / 12 - 3 * np.log2(steps)
    assert steps[loss.argmin()] == pytest.approx(high_rate_step(lmbda), abs=0.02)


@pytest.mark.parametrize("name", CURVES)
def test_curves_say_how_they_are_trained(name: str) -> None:
    curve = train.Curve.named(name)
    assert list(curve.lambdas) == sorted(curve.lambdas)
    quantizer = curve.quantizer()
    anneal = curve.anneal(quantizer)
    assert isinstance(quantizer, SoftRound) == (anneal is not None) == bool(curve.alpha)
    if anneal and isinstance(quantizer, SoftRound):
        anneal(curve.steps)
        assert quantizer.alpha == pytest.approx(curve.alpha[1])


def test_what_there_is_not(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"choose .*linear-un"):
        train.Curve.named("linear-nothing")
    with pytest.raises(InputError, match="choose orthogonal, jpeg"):
        LinearCodec.starting("haar", 1.0, seed=1)
    with pytest.raises(InputError, match=r"codecs\.train linear-un"):
        train.trained("linear-un", 1, tmp_path)
    assert train.main(["nothing", "--runs", str(tmp_path)]) == 2


def test_training_goes_on_where_it_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = "linear-sr"
    monkeypatch.setattr(train, "fit_quantiles", partial(fit_quantiles, steps=20))
    for i in range(8):
        write_png(tmp_path / f"{i}.png", photo(192, 160))
    once = train.loop(name, 3, tmp_path, tmp_path / "once")
    (tmp_path / "once").mkdir()
    (tmp_path / "twice").mkdir()
    once.train(4, 2)
    train.loop(name, 3, tmp_path, tmp_path / "twice").train(2, 2)
    train.loop(name, 3, tmp_path, tmp_path / "twice").train(4, 2)
    codecs = [train.trained(name, 3, tmp_path / runs) for runs in ("once", "twice")]
    for a, b in zip(codecs[0].parameters(), codecs[1].parameters(), strict=True):
        assert torch.equal(a, b)
    codec = latentopt.wrap(codecs[0], "int", dither=Dither(1, alpha=16.0))
    out = codec.compress(X)
    assert torch.equal(codec.decompress(**out)["x_hat"], codec(X)["x_hat"])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.image)
def test_pages_take_the_point_of_the_nearest_rate(page: Page) -> None:
    bpp, _ = page.published["UN + Q"]
    rates = {"other.png": (1.0, 0.9), f"{page.image}.png": (0.7, 1.2, 1.4)}
    rows = pd.DataFrame(
        [{"image": name, "bpp": bpp * rate} for name, own in rates.items() for rate in own]
    )
    nearest = page.nearest({"UN + Q": rows}, "UN + Q")
    assert nearest is not None and nearest["bpp"] == bpp * 1.2
    assert page.nearest({}, "UN + Q") is None
    assert set(page.ways) == {"UN + Q", "UN + UQ", "UN + UQ + SR"}


def test_published_numbers_stand_beside_ours() -> None:
    """Of committed rows, as far as there are some."""
    cells = report("universal_pages", "kodak").cells
    published = {(c.row, c.column): c.published for c in cells}
    assert published["linear, kodim03, UN + UQ + SR", "bpp"] == 0.562


def test_artefacts_have_these_values() -> None:
    random = np.random.default_rng(0)
    y, picture = random.normal(0, 0.4, (1, 1, 64, 64)), random.uniform(0, 255, (64, 64))
    assert artefacts.dependence(y, y + 0.1) == pytest.approx(1)
    assert artefacts.dependence(y, np.round(y)) < 0.5
    assert artefacts.texture(picture, picture) == 1
    assert artefacts.texture(picture, np.full_like(picture, 3.0)) == 0
    assert artefacts.texture(picture, picture / 2) == pytest.approx(1 / 4)
    edges = np.tile(np.arange(64.0), (64, 1)) + 2 * (np.arange(64) // 16)
    assert artefacts.grid(edges) == pytest.approx(3)
