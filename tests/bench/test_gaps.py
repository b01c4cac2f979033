"""The gaps between a latent and what is coded of it: known values, and a codec on photographs."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from support.commands import Refused, run
from support.models import FAMILIES, photo, tiny

import latentopt
from latentopt.bench.gaps import Gaps, Tally, measure
from latentopt.densities import GaussianDensity
from latentopt.errors import InputError
from latentopt.latents import Crossed, Point, Prior
from latentopt.latents.lattice import LatticeChannel
from latentopt.latents.walk import AtOnce
from latentopt.lattices import RULES
from latentopt.media.images import read_image, write_png

DENSITY = GaussianDensity(np.array([0.3, 1.0, 6.0]))
CHANNEL = LatticeChannel(DENSITY, RULES["int"])


def tally_of(level: int, spread: float, centre: float = 0.0, grid: int = 250) -> Tally:
    """Of Gaussian elements about their centres in two channels, where the model says ``level``."""
    n = 2 * grid * grid
    prior = Prior((2, grid, grid), np.full(n, level, np.int16), np.full(n, centre))
    y = centre + np.random.default_rng(0).normal(0, spread, n)
    tally = Tally(DENSITY.core, 2)
    tally.add(crossed(prior, y), y)
    return tally


def crossed(prior: Prior, y: np.ndarray) -> Crossed:
    return CHANNEL.send(AtOnce(prior), Point(y))


def test_a_wide_latent_that_the_model_knows() -> None:
    tally = tally_of(level=2, spread=6.0, centre=0.3)
    assert tally.elements == 125_000
    assert tally.discrete == pytest.approx((1 / 4, 1 / 12), abs=2e-3)
    # Rounding moves each element by 1/4 in the mean, but puts as many above as below: the
    # distributions are nearer than that, and no nearer than to the cell's edges.
    assert 0.2 < tally.wasserstein < 0.26
    assert tally.kl_bits < 1e-3 and tally.kl_levels_bits < 1e-3


@pytest.mark.parametrize(("level", "spread"), [(0, 1.0), (1, 0.3), (2, 1.0)])
def test_divergence_is_that_of_the_cells(level: int, spread: float) -> None:
    borders = np.arange(-60, 61) - 0.5
    own = np.diff(GaussianDensity(np.array([spread])).core.cdf(0, borders))
    models = np.diff(DENSITY.core.cdf(level, borders))
    with np.errstate(divide="ignore", invalid="ignore"):
        expected = np.nansum(own * np.log2(own / np.maximum(models, 2.0**-26)))
    tally = tally_of(level, spread)
    for found in (tally.kl_bits, tally.kl_levels_bits, tally.channels()["kl_bits"].mean()):
        assert found == pytest.approx(expected, rel=0.02, abs=1e-3)


def test_a_latent_of_integers_has_no_discrete_gap() -> None:
    y = np.arange(-200.0, 200.0).repeat(2)  # beyond what is told apart, too
    prior = Prior((1, 20, 40), np.full(800, 2, np.int16), np.zeros(800))
    tally = Tally(DENSITY.core, 1)
    tally.add(crossed(prior, y), y)
    assert tally.discrete == (0, 0) and tally.zeros == 1 / 400
    middles, counts = tally.histogram
    assert counts.sum() == 800 and not (middles[counts > 0] % 1).any()
    assert tally.wasserstein > 50


def test_images_add_up() -> None:
    model = tiny(FAMILIES["mbt2018-mean"])
    images = [photo(64, 96), photo(48, 48)]
    both, again = measure(model, images), measure(model, iter(images))
    assert both.row() == again.row()
    pd.testing.assert_frame_equal(both.channels, again.channels)
    each = [measure(model, [x]) for x in images]
    assert both.elements == sum(gaps.elements for gaps in each)
    for name in ("zeros", "bits", "discrete_1", "discrete_2"):
        mean = np.average([g.row()[name] for g in each], weights=[g.elements for g in each])
        assert both.row()[name] == pytest.approx(mean)
    weights = both.channels["elements"]
    for name in ("zeros", "discrete_1", "discrete_2", "kl_bits"):
        assert both.row()[name] == pytest.approx(np.average(both.channels[name], weights=weights))


@pytest.mark.parametrize("family", ["bmshj2018-factorized", "bmshj2018-hyperprior", "mbt2018"])
def test_every_kind_of_codec(family: str) -> None:
    gaps = measure(tiny(FAMILIES[family]), [photo(64, 64)], draws=1)
    assert 0 < gaps.discrete_1 <= 0.5 and 0 <= gaps.discrete_2 <= gaps.discrete_1 / 2
    assert np.isfinite(list(gaps.row().values())).all()


def real_gaps(shared: Path, codec: str) -> Gaps:
    names = ("kodim03", "kodim23")
    images = [read_image(shared / f"data/kodak/{name}.png")[..., :256, :384] for name in names]
    return measure(latentopt.zoo.load(codec, quality=3), images)


def test_noise_costs_trained_codecs_quality(shared: Path) -> None:
    """A factorized codec's fixed expectations are farther off than a hyperprior's."""
    fixed, told = (real_gaps(shared, f"tiny-{c}") for c in ("bmshj2018-factorized", "mbt2018-mean"))
    assert fixed.noise_db > 0.5 and told.noise_db > 0.5
    assert told.kl_bits < fixed.kl_bits < fixed.bits
    assert fixed.kl_bits == pytest.approx(fixed.kl_levels_bits)  # a level is a channel there


def test_refused() -> None:
    model = tiny(FAMILIES["mbt2018-mean"])
    with pytest.raises(InputError, match="no image"):
        measure(model, [])
    with pytest.raises(InputError, match="draws 0"):
        measure(model, [photo(64, 64)], draws=0)
    with pytest.raises(InputError, match=r"in \[0, 1\]"):
        measure(model, [torch.full((1, 3, 64, 64), 2.0)])


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "photos").mkdir()
    for i in range(2):
        write_png(tmp_path / f"photos/{i}.png", photo(64, 64))
    asked = ["gaps", "--codec", "tiny-mbt2018-mean", "--data", tmp_path / "photos"]
    assert run(*asked, "--qualities", "1,2", "--limit", "1", "--out", tmp_path / "out") == 0
    printed = capsys.readouterr().out
    assert "| q1 |" in printed and "| q2 |" in printed and "1 image" in printed
    rows = pd.read_csv(tmp_path / "out/gaps.csv")
    assert list(rows["point"]) == ["q1", "q2"] and (rows["bits"] > 0).all()
    channels = pd.read_csv(tmp_path / "out/channels.csv")
    assert channels.groupby("point")["elements"].sum().tolist() == rows["elements"].tolist()
    assert (tmp_path / "out/histogram.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "out/gaps.md").read_text() in printed
    Refused(tmp_path, capsys)("names no file", *asked[:-1], tmp_path / "none")
