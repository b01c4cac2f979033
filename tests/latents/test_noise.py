"""What goes with a dither: soft rounding, means of what may have been sent, and Gaussian noise."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import kstest, norm
from support.models import FAMILIES, photo, tiny

import latentopt
from latentopt import BitstreamError, InputError
from latentopt.bench.configs import parse
from latentopt.bitstream import Container, Settings
from latentopt.densities import FactorizedDensity, GaussianDensity, LaplaceDensity
from latentopt.latents import AtOnce, OfChannels, Point, Prior
from latentopt.latents.dither import PLACES, Dither, DitherChannel, GaussChannel
from latentopt.latents.dither.gauss import widths
from latentopt.latents.dither.soft import SoftDensity, soft_places
from latentopt.latents.lattice.placed.tables import PlacedAxis
from latentopt.lattices import LATTICES, RULES
from latentopt.quantizers import soft_reconstruction, soft_round, soft_round_inverse

SCALES = np.array([0.3, 0.8, 2.5])
DENSITY = GaussianDensity(SCALES)
INT = LATTICES["int"]


def random_latent(n: int, seed: int = 0) -> tuple[np.ndarray, Prior]:
    rng = np.random.default_rng(seed)
    levels = rng.integers(0, len(SCALES), n).astype(np.int16)
    centres = rng.normal(0, 3, n)
    return centres + DENSITY.draw(levels, rng), Prior((1, 1, n), levels, centres)


# -- soft rounding ---------------------------------------------------------------------------------


@pytest.mark.parametrize("alpha", [1.0, 4.0, 16.0, 64.0])
def test_points_are_reconstructed_as_in_training(alpha: float) -> None:
    i = np.arange(-300, 301)
    expected = soft_reconstruction(torch.from_numpy(i / 64), alpha).numpy()
    np.testing.assert_allclose(soft_places(i, alpha), expected, atol=2.0**-17)
    assert (soft_places(i, 0.0) == i / 64).all()


@pytest.mark.parametrize("alpha", [1.0, 4.0, 16.0])
def test_soft_rounded_latents_arrive_as_s_of_y_plus_noise(alpha: float) -> None:
    """UQ + SR is UN + SR: r(Q(s(y) - U) + U) is distributed as r(s(y) + U)."""
    values, prior = random_latent(60_000)
    latent = DitherChannel(DENSITY, RULES["int"], 3, alpha).send(AtOnce(prior), Point(values))
    rng = np.random.default_rng(8)
    y = values - prior.centres
    s = soft_round(torch.from_numpy(y), alpha).numpy() + rng.random(len(y)) - 0.5
    expected = soft_reconstruction(torch.from_numpy(s), alpha).numpy()
    noise, other = latent.residual - y, expected - y
    assert kstest(noise, other).pvalue > 1e-3
    assert np.square(noise).mean() == pytest.approx(np.square(other).mean(), rel=0.03)


@pytest.mark.parametrize("density", [GaussianDensity, LaplaceDensity])
@pytest.mark.parametrize("alpha", [1.0, 4.0, 16.0])
def test_the_rate_of_soft_rounding_is_that_of_its_density(density: type, alpha: float) -> None:
    """Eq. 22: of s(y) + u, the cumulative of y between the inverses of z - 1/2 and z + 1/2."""
    own = density(np.array([0.7]))
    z = torch.linspace(-12, 12, 40_001, dtype=torch.float64)
    ends = [soft_round_inverse(z + d, alpha).numpy() for d in (0.5, -0.5)]
    p = np.maximum(own.cdf(0, ends[0]) - own.cdf(0, ends[1]), 1e-300)
    expected = -(p * np.log2(p)).sum() * float(z[1] - z[0])
    tables = PlacedAxis.of(SoftDensity(own, alpha), 0, INT, 0)
    entropies = [(c.counts.counts / 2**24) @ c.counts.bits for c in tables.tables]
    weights = tables.mass / tables.mass.sum()
    entropy = weights @ entropies - weights @ np.log2(weights * 64)
    assert entropy == pytest.approx(expected, rel=5e-4)
    assert expected == pytest.approx(-(p * np.log2(p)).sum() * float(z[1] - z[0]))


# -- means -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("quant", "alpha"), [("int", 0.0), ("int", 4.0), ("hex", 0.0), ("e8", 0.0)]
)
def test_means_are_those_of_what_was_sent(quant: str, alpha: float) -> None:
    """E[y | z] has the least squared error that there is, which has nothing to do with z."""
    values, prior = random_latent(80_000, seed=5)
    errors = {}
    for mean in (False, True):
        own = DitherChannel(DENSITY, RULES[quant], 3, alpha, mean)
        found = own.send(AtOnce(prior), Point(values))
        errors[mean] = found.hat - values
        string = found.string()
        np.testing.assert_array_equal(own.receive(AtOnce(prior), string).hat, found.hat)
    for level in range(len(SCALES)):
        rows = prior.levels == level
        plain, ours = (np.square(errors[mean][rows]).mean() for mean in (False, True))
        assert ours < plain
        decoded = found.residual[rows]
        assert abs(np.mean(errors[True][rows] * decoded)) < 0.02 * np.square(decoded).mean() + 0.005


def test_means_of_gaussians_are_those_of_truncated_ones() -> None:
    own = GaussianDensity(np.array([0.6]), tails=())
    prior = Prior((1, 1, 2001), np.zeros(2001, np.int16), np.zeros(2001))
    y = np.linspace(-2.5, 2.5, 2001)
    plain, mean = (
        DitherChannel(own, RULES["int"], 1, mean=m).send(AtOnce(prior), Point(y)).residual
        for m in (False, True)
    )
    low, high = (plain - 0.5) / 0.6, (plain + 0.5) / 0.6
    exact = 0.6 * (norm.pdf(low) - norm.pdf(high)) / (norm.cdf(high) - norm.cdf(low))
    np.testing.assert_allclose(mean, exact, atol=2.0**-9 + 1e-9)


def test_means_where_there_is_no_density_are_the_points() -> None:
    prior = Prior((1, 1, 3), np.zeros(3, np.int16), np.zeros(3))
    latent = DitherChannel(DENSITY, RULES["int"], 1, mean=True).send(
        AtOnce(prior), Point(np.array([1e5, -3e6, 0.2]))
    )
    assert (np.abs(latent.residual[:2] - [1e5, -3e6]) < 1).all() and np.isfinite(latent.hat).all()


# -- Gaussian noise --------------------------------------------------------------------------------


def test_widths_make_a_gaussian() -> None:
    sizes = widths(0.5)
    assert np.square(sizes).mean() / 12 == pytest.approx(0.25, rel=1e-4)
    t = np.linspace(-3, 3, 6001)
    found = np.mean([np.clip(t / size + 0.5, 0, 1) for size in sizes], axis=0)
    assert np.abs(found - norm.cdf(t / 0.5)).max() < 0.002


@pytest.mark.parametrize("y", [0.0, 0.3])
def test_gaussian_noise_whatever_is_sent(y: float) -> None:
    n = 40_000
    prior = Prior((1, 1, n), np.full(n, 1, np.int16), np.zeros(n))
    own = GaussChannel(DENSITY, 4, 0.4)
    noise = own.send(AtOnce(prior), Point(np.full(n, y))).hat - y
    # A 64th of the noise of each width falls on one and the same place.
    found = kstest(noise, norm(scale=0.4).cdf).statistic
    assert found < 0.002 + 1 / PLACES + 1.95 / np.sqrt(n)
    assert noise.std() == pytest.approx(0.4, rel=0.02)


def test_what_gaussian_noise_costs() -> None:
    """I[Y, (Z, S)]: no less than I[Y, Z] of the Gaussian channel (eq. 30), and what is written."""
    n, level, sigma = 30_000, 2, 0.4
    prior = Prior((1, 1, n), np.full(n, level, np.int16), np.zeros(n))
    own = GaussChannel(DENSITY, 4, sigma)
    values = SCALES[level] * np.random.default_rng(0).standard_normal(n)
    latent = own.send(AtOnce(prior), Point(values))
    string = latent.string()
    np.testing.assert_array_equal(own.receive(AtOnce(prior), string).hat, latent.hat)
    least = 0.5 * np.log2(1 + (SCALES[level] / sigma) ** 2)
    expected, z = 0.0, np.linspace(-30, 30, 60_001)
    for size in widths(sigma):
        p = np.maximum(norm.cdf((z + size / 2) / 2.5) - norm.cdf((z - size / 2) / 2.5), 1e-300)
        expected -= (p * np.log2(p)).sum() * (z[1] - z[0]) / size / len(widths(sigma))
    most = np.log2(np.sqrt(2 * np.pi * np.e) * sigma) - np.log2(widths(sigma)).mean()
    assert least < expected < least + most and most < 0.52
    assert 8 * len(string) / n == pytest.approx(expected, rel=0.01)


# -- whole codecs ----------------------------------------------------------------------------------

WAYS = {
    "soft": Dither(5, alpha=4.25),
    "sharp main": Dither(5, "main", alpha=16),
    "means": Dither(5, mean=True),
    "Gaussian": Dither(5, sigma=0.3),
    "means of both": Dither(5, "side", alpha=2, mean=True),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("family", ["bmshj2018-factorized", "mbt2018-mean", "mbt2018"])
def test_files_say_it(family: str, way: str, tmp_path: Path) -> None:
    codec, path = latentopt.wrap(tiny(FAMILIES[family]), "int", dither=WAYS[way]), tmp_path / "x.lo"
    x = photo(64, 96)
    codec.save(path, x)
    count = len(codec.assembly.channels)
    found = Container.from_bytes(path.read_bytes(), count).settings
    assert found == codec.settings and Dither.of(found) == WAYS[way]
    reading = latentopt.wrap(tiny(FAMILIES[family]), recipe=latentopt.Recipe.reading(found))
    assert torch.equal(reading.load(path), codec(x)["x_hat"])
    for change in ({"alpha": 1.0, "sigma": 0.0}, {"mean": not found.mean}):
        with pytest.raises(BitstreamError, match="written by a codec with"):
            other = Dither.of(replace(found, **change))
            latentopt.wrap(tiny(FAMILIES[family]), "int", dither=other).load(path)


def test_what_there_is_not() -> None:
    for words, says in (
        ({"alpha": 65.0}, "0 to 64"),
        ({"sigma": 99.0}, "0.1 to 16"),
        ({"alpha": 1.0, "sigma": 1.0}, "exclude each other"),
        ({"mean": "yes"}, "True or False"),
        ({"mean": 1.0}, "True or False"),
        ({"alpha": "4"}, "it is a number"),
        ({"sigma": None}, "it is a number"),
        ({"alpha": np.array([1.0, 2.0])}, "it is a number"),
    ):
        with pytest.raises(InputError, match=says):
            Dither(1, **words)  # type: ignore[arg-type]
    for dither in (Dither(1, alpha=4.0), Dither(1, sigma=0.3)):
        with pytest.raises(InputError, match="is for integers"):
            latentopt.wrap(tiny(FAMILIES["mbt2018-mean"]), "e8", dither=dither)
    plain = Settings("int", "exact", "density", True)
    for settings in (
        replace(plain, alpha=4.0),
        replace(plain, mean=True),
        replace(plain, channel="dither-all", seed=1, sigma=float("nan")),
        replace(plain, channel="dither-all", seed=1, quant="e8", alpha=4.0),
    ):
        assert settings.version == 2
        with pytest.raises(BitstreamError):
            latentopt.Recipe.reading(settings)


def test_names_of_configurations() -> None:
    found = parse("mean+dither+soft")
    assert found.name == "dither+soft+mean" and found.recipe
    assert found.recipe.dither == Dither(0, alpha=16.0, mean=True)
    with pytest.raises(InputError, match="qualify"):
        parse("int+soft")


@pytest.mark.parametrize("dither", [None, Dither(1)])
def test_the_cheapest_latents_of_many_elements_are_read(
    dither: Dither | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nearly all that is written is what must at least be: it must not be asked for twice."""
    for room in ("lattice", "dither"):
        monkeypatch.setattr(f"latentopt.latents.{room}.channel.MANY", 100)
    model = tiny(FAMILIES["bmshj2018-factorized"])
    [own] = latentopt.wrap(model, "int", dither=dither).assembly.channels
    assert isinstance(own.density, FactorizedDensity)
    walk = OfChannels(own.density, (40, 40))
    latent = own.send(walk, Point(walk.prior.centres))
    np.testing.assert_array_equal(own.receive(walk, latent.string()).hat, latent.hat)
