"""Laplace densities: cells with a cusp in them, tails, tables, and the estimates of the encoder."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.integrate import dblquad, quad
from scipy.stats import laplace
from support.crossing import sent

from latentopt.adapters.dcvc_net import SCALES
from latentopt.bitstream.ans import SymbolDecoder, SymbolEncoder
from latentopt.densities import GaussianDensity, LaplaceDensity
from latentopt.latents import Prior
from latentopt.latents.lattice import LatticeChannel
from latentopt.lattices import LATTICES, RULES, Lattice
from latentopt.pmf import build_table, cell_probabilities

DENSITY = LaplaceDensity(SCALES)


def box(lattice: Lattice, reach: float) -> np.ndarray:
    """All lattice points (n, v) within ``reach`` on every axis."""
    sides = [np.arange(-int(reach / u) - 2, int(reach / u) + 3) for u in lattice.units]
    m = np.stack(np.meshgrid(*sides, indexing="ij"), axis=-1).reshape(-1, lattice.dim)
    return m[lattice.contains(m)]


@pytest.mark.parametrize(
    ("name", "scale"),
    [*((n, s) for n in ("int", "hex") for s in (0.01, 0.1, 0.35, 1.0)), ("oct", 0.05)],
)
def test_masses_sum_to_one(name: str, scale: float) -> None:
    lattice = LATTICES[name]
    density = LaplaceDensity(np.array([scale]))
    m = box(lattice, 8 * 24 * scale + 2)  # 8: the wider one of the mixture
    assert cell_probabilities(density, 0, lattice, m).sum() == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize("scale", [0.18, 0.3])
def test_masses_of_truncated_octahedra_sum_to_one(scale: float) -> None:
    lattice, density = LATTICES["oct"], LaplaceDensity(np.array([scale]), tails=())
    m = box(lattice, 24 * scale + 1)
    assert cell_probabilities(density, 0, lattice, m).sum() == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize("scale", [0.1, 0.7])
@pytest.mark.parametrize("m", [(0, 0), (1, 1), (2, 0), (0, 2), (-1, 3)])
def test_hexagons_against_adaptive_cubature(scale: float, m: tuple[int, int]) -> None:
    """The reference is split at 0, where the density has its cusp."""
    lattice, density = LATTICES["hex"], LaplaceDensity(np.array([scale]), tails=())
    y, x = np.array(m) * np.array(lattice.units)
    a = lattice.units[1] * 2
    r = a / np.sqrt(3)

    def half(v: float) -> float:
        return min(a / 2, np.sqrt(3) * (r - abs(v)))

    def f(u: float, v: float) -> float:
        return float(laplace.pdf(x + u, scale=scale) * laplace.pdf(y + v, scale=scale))

    def inner_zero(v: float) -> float:
        return min(max(-x, -half(v)), half(v))

    edges = sorted({-r, -r / 2, r / 2, r, *([-y] if abs(y) < r else [])})
    expected = sum(
        dblquad(f, low, high, *ends, epsabs=1e-12)[0]
        for low, high in pairwise(edges)
        for ends in ((lambda v: -half(v), inner_zero), (inner_zero, half))
    )
    found = cell_probabilities(density, 0, lattice, np.array([m]))[0]
    assert found == pytest.approx(expected, abs=1e-10)


@pytest.mark.parametrize("scale", [0.1, 0.35, 0.7])
def test_truncated_octahedra_against_sampling(scale: float) -> None:
    lattice, density = LATTICES["oct"], LaplaceDensity(np.array([scale]), tails=())
    n = 1_000_000
    drawn = density.draw(np.zeros(3 * n, dtype=int), np.random.default_rng(2)).reshape(n, 3)
    found = lattice.nearest(torch.from_numpy(drawn))
    m = np.array([(0, 0, 0), (1, 1, 1), (2, 0, 0), (-1, 1, 1), (2, 2, 0)])
    for point, p in zip(torch.from_numpy(m), cell_probabilities(density, 0, lattice, m)):
        frequency = float((found == point).all(dim=1).double().mean())
        assert frequency == pytest.approx(p, abs=5 * np.sqrt(p / n) + 1e-6)


@pytest.mark.parametrize("scale", [0.01, 0.2, 1.0, 16.0])
@pytest.mark.parametrize("variance", [0.0, 0.08])
def test_smoothing_is_a_convolution(scale: float, variance: float) -> None:
    density = LaplaceDensity(np.array([scale]))
    noise = np.sqrt(variance)

    def both(u: float, t: float) -> float:
        return float(density.pdf(0, np.float64(t - noise * u)) * np.exp(-u * u / 2))

    for t in (0.0, 0.1, 1.3, 40.0):
        found = density.smoothed(0, np.array(t), variance)
        if variance == 0:
            assert found == density.pdf(0, np.array(t))
            continue
        cusp = np.clip(t / noise, -12, 12)
        near = [np.clip(cusp + k * scale / noise, -12, 12) for k in (-20, 0, 20)]
        edges = np.unique([-12.0, *near, 12.0])
        expected = sum(quad(both, a, b, args=(t,), limit=200)[0] for a, b in pairwise(edges))
        assert found == pytest.approx(expected / np.sqrt(2 * np.pi), rel=1e-7, abs=1e-14)


def test_the_mixture_is_scipys() -> None:
    t = np.linspace(-20, 20, 401)
    for level in (0, 20, 63):
        core, scale = DENSITY.core, SCALES[level]
        np.testing.assert_allclose(core.pdf(level, t), laplace.pdf(t, scale=scale), atol=1e-15)
        np.testing.assert_allclose(core.cdf(level, t), laplace.cdf(t, scale=scale), atol=1e-15)
        assert core.spread(level) == pytest.approx(laplace.std(scale=scale))
        mixed = (1 - 1e-4) * core.cdf(level, t) + 1e-4 * laplace.cdf(t, scale=8 * scale)
        np.testing.assert_allclose(DENSITY.cdf(level, t), mixed, atol=1e-15)


def test_supports_leave_little_outside() -> None:
    for level in (0, 30, 63):
        for density in (DENSITY, DENSITY.core):
            low, high = density.support(level)
            ends = density.cdf(level, np.array([low, high]))
            assert low == -high and ends[0] < 2e-9 and ends[1] > 1 - 2e-9


def test_score_draws_and_fingerprint() -> None:
    score = DENSITY.score(np.array([3, 40]), np.array([[-1.0, 2.0], [0.0, 0.5]]))
    np.testing.assert_allclose(score, [[-1 / SCALES[3], 1 / SCALES[3]], [0, 1 / SCALES[40]]])
    t = DENSITY.draw(np.full(20_000, 30), np.random.default_rng(0))
    shares = np.histogram(DENSITY.core.cdf(30, t), np.linspace(0, 1, 11))[0] / len(t)
    np.testing.assert_allclose(shares, 0.1, atol=0.012)
    assert isinstance(DENSITY.core, LaplaceDensity)
    others = {GaussianDensity(SCALES, tails=()).fingerprint, DENSITY.core.fingerprint}
    assert len({DENSITY.fingerprint, LaplaceDensity(SCALES).fingerprint, *others}) == 3


@pytest.mark.parametrize("name", list(LATTICES))
@pytest.mark.parametrize("level", [0, 25, 32, 45, 63])
def test_tables_round_trip_and_price(name: str, level: int) -> None:
    lattice = LATTICES[name]
    table = build_table(DENSITY, level, lattice)
    x = DENSITY.draw(np.full(3000 * lattice.dim, level), np.random.default_rng(level))
    x = x.reshape(3000, lattice.dim)
    x[::500] *= 300  # far outside every table
    m = lattice.nearest(torch.from_numpy(x)).numpy().astype(np.int32)
    encoder = SymbolEncoder()
    [(runs, mask)] = table.encode(m, [len(m)])
    encoder.runs(runs)
    encoder.integers(m[mask])
    decoder = SymbolDecoder(encoder.finish())
    decoded, decoded_mask = table.decode(decoder.run, len(m))
    decoded[decoded_mask] = decoder.integers(int(decoded_mask.sum()))
    decoder.finish()
    np.testing.assert_array_equal(decoded, m)


@pytest.mark.parametrize(("name", "excess"), [("hex", 0.002), ("oct", 0.01), ("e8", 0.02)])
def test_the_price_of_a_sample_is_near_its_entropy(name: str, excess: float) -> None:
    """Of spread 0.5 and more: a lattice saves what its cells promise, and no more."""
    lattice, spread = LATTICES[name], 0.8
    density = LaplaceDensity(np.array([spread / np.sqrt(2)]))
    drawn = density.draw(np.zeros(240_000, dtype=int), np.random.default_rng(0))
    bits = []
    for each in (lattice, LATTICES["int"]):
        m = each.nearest(torch.from_numpy(drawn.reshape(-1, each.dim))).numpy().astype(np.int32)
        bits.append(build_table(density, 0, each).bits(m)[0].sum())
    assert bits[0] == pytest.approx(bits[1], rel=0.02 + excess)


def test_quick_estimates_are_those_of_the_tables() -> None:
    channel = LatticeChannel(DENSITY, RULES["int"])
    levels = np.random.default_rng(0).integers(10, 60, 20_000).astype(np.int16)
    residual = DENSITY.draw(levels, np.random.default_rng(1))
    prior = Prior((1, 1, len(levels)), levels, np.zeros(len(levels)))
    latent = sent(channel, residual, prior)
    quick = DENSITY.integer_bits(SCALES[levels], residual)
    assert quick == pytest.approx(latent.bits().sum(), rel=1e-3)
