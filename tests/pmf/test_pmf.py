"""Cell probabilities against independent integration, and tables against what they stand for."""

import warnings
from itertools import pairwise

import constriction
import numpy as np
import pytest
import torch
from compressai.models import FactorizedPrior
from compressai.models.base import get_scale_table
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import dblquad
from support.models import tiny

from latentopt.adapters import with_step
from latentopt.bitstream.ans import SymbolDecoder, SymbolEncoder
from latentopt.densities import Density, FactorizedDensity, GaussianDensity, RescaledDensity
from latentopt.lattices import LATTICES
from latentopt.pmf import (
    TOTAL,
    Counts,
    JointTable,
    ProductTable,
    build_paper_table,
    build_table,
    cell_probabilities,
)
from latentopt.pmf.tables import _Box

SCALES = get_scale_table().double().numpy()
GAUSSIAN = GaussianDensity(SCALES)


def factorized() -> FactorizedDensity:
    return FactorizedDensity(tiny(FactorizedPrior).entropy_bottleneck)


def whole_box(density: Density, level: int, name: str) -> np.ndarray:
    return _Box.around(density.core, level, LATTICES[name]).coordinates()


@pytest.mark.parametrize("name", ["hex", "oct"])
def test_cells_need_no_setting_of_the_process(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Filters of warnings, say, which threads would take from each other: there is no warning."""
    monkeypatch.setattr(warnings, "catch_warnings", None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(warnings, "filters", [("error", None, Warning, None, 0)])
        m = np.zeros((1, LATTICES[name].dim), np.int64)
        assert 0 < cell_probabilities(GAUSSIAN.core, 20, LATTICES[name], m)[0] < 1


@pytest.mark.parametrize("name", ["int", "hex", "oct"])
@pytest.mark.parametrize("level", [0, 3, 8, 12])
def test_gaussian_mass_is_one(name: str, level: int) -> None:
    p = cell_probabilities(GAUSSIAN.core, level, LATTICES[name], whole_box(GAUSSIAN, level, name))
    assert p.min() >= 0
    assert p.sum() == pytest.approx(1, abs=3e-9)  # the box leaves 2^-30 on each side of each axis


@pytest.mark.parametrize("name", ["int", "hex", "oct"])
def test_factorized_mass_is_one(name: str) -> None:
    """On a narrow density: quantizing with a large step makes any density narrow."""
    model = with_step(tiny(FactorizedPrior), 40.0)
    density = FactorizedDensity(model.entropy_bottleneck)
    for level in (0, 7):
        p = cell_probabilities(density, level, LATTICES[name], whole_box(density, level, name))
        assert p.sum() == pytest.approx(1, abs=1e-8)


@pytest.mark.parametrize("sigma", [0.11, 0.3, 0.7])
@pytest.mark.parametrize("m", [(0, 0), (1, 1), (0, 2)])
def test_hexagon_against_adaptive_cubature(sigma: float, m: tuple[int, int]) -> None:
    lattice = LATTICES["hex"]
    density = GaussianDensity(np.array([sigma]), tails=())
    y, x = np.array(m) * np.array(lattice.units)
    a = lattice.units[1] * 2
    r = a / np.sqrt(3)

    def half(v: float) -> float:
        return min(a / 2, np.sqrt(3) * (r - abs(v)))

    def f(u: float, v: float) -> float:
        return float(density.pdf(0, np.float64(x + u)) * density.pdf(0, np.float64(y + v)))

    expected = sum(
        dblquad(f, low, high, lambda v: -half(v), half, epsabs=1e-12)[0]
        for low, high in [(-r, -r / 2), (-r / 2, r / 2), (r / 2, r)]
    )
    found = cell_probabilities(density, 0, lattice, np.array([m]))[0]
    assert found == pytest.approx(expected, abs=1e-10)


@pytest.mark.parametrize("sigma", [0.11, 0.5, 1.0])
def test_truncated_octahedron_against_sampling(sigma: float) -> None:
    lattice = LATTICES["oct"]
    density = GaussianDensity(np.array([sigma]), tails=())
    generator = torch.Generator().manual_seed(2)
    n = 1_000_000
    found = lattice.nearest(sigma * torch.randn(n, 3, generator=generator, dtype=torch.float64))
    m = np.array([(0, 0, 0), (1, 1, 1), (2, 0, 0), (-1, 1, 1), (2, 2, 0)])
    p = cell_probabilities(density, 0, lattice, m)
    for point, probability in zip(torch.from_numpy(m), p):
        frequency = float((found == point).all(dim=1).double().mean())
        assert frequency == pytest.approx(probability, abs=5 * np.sqrt(probability / n) + 1e-6)


def test_scalar_cells_are_differences_of_the_codecs_own_cumulative() -> None:
    model = tiny(FactorizedPrior).double()
    density = FactorizedDensity(model.entropy_bottleneck)
    k = np.arange(-4, 5)
    medians = torch.from_numpy(density.medians)[:, None, None]
    values = torch.from_numpy(k)[None, None, :] + medians
    theirs = model.entropy_bottleneck._likelihood(values)[0].detach().numpy()[:, 0]
    for level in range(density.levels):
        ours = cell_probabilities(density, level, LATTICES["int"], k[:, None])
        np.testing.assert_allclose(ours, theirs[level], atol=1e-12)


@pytest.mark.parametrize("name", ["hex", "oct"])
def test_product_form_where_it_is_used_costs_less_than_a_thousandth_of_a_percent(
    name: str,
) -> None:
    lattice = LATTICES[name]
    core = GAUSSIAN.core
    level = next(
        level for level in range(64) if isinstance(build_table(core, level, lattice), ProductTable)
    )
    m = whole_box(core, level, name)
    p = cell_probabilities(core, level, lattice, m)
    q = core.smoothed(level, m * np.array(lattice.units), lattice.second_moment).prod(axis=1)
    kl = (p * np.log(p / (q / q.sum()) + 1e-300)).sum() / -(p * np.log(p + 1e-300)).sum()
    assert 0 <= kl < 1e-5


@given(st.lists(st.floats(0, 1), min_size=1, max_size=400).filter(lambda p: sum(p) > 1e-6))
@settings(max_examples=50, deadline=None)
def test_counts_sum_to_the_total_and_leave_no_symbol_out(p: list[float]) -> None:
    counts = Counts.from_probabilities(np.array(p)).counts
    assert counts.sum() == TOTAL and counts.min() >= 1


@given(st.lists(st.integers(1, 1 << 16), min_size=2, max_size=60))
@settings(max_examples=40, deadline=None)
def test_the_coder_uses_the_counts_exactly(weights: list[int]) -> None:
    """An ANS state's low bits say which symbol comes next: ask at the edges of every symbol."""
    counts = Counts.from_probabilities(np.array(weights, dtype=np.float64))
    edges = np.concatenate([[0], np.cumsum(counts.counts)])
    for symbol, (first, after) in enumerate(pairwise(edges)):
        for quantile in (first, after - 1):
            state = np.array([quantile, 1], dtype=np.uint32)
            coder = constriction.stream.stack.AnsCoder(state)
            assert coder.decode(counts.model, 1)[0] == symbol


@pytest.mark.parametrize("name", list(LATTICES))
@pytest.mark.parametrize("level", [0, 9, 14, 30, 63])
def test_tables_round_trip_and_price(name: str, level: int) -> None:
    """decode(encode(m)) = m with rare points among m, and bits() is what they cost."""
    lattice = LATTICES[name]
    table = build_table(GAUSSIAN, level, lattice)
    generator = torch.Generator().manual_seed(level)
    x = SCALES[level] * torch.randn(3000, lattice.dim, generator=generator, dtype=torch.float64)
    x[::500] *= 300  # far outside every table
    m = lattice.nearest(x).numpy().astype(np.int32)
    encoder = SymbolEncoder()
    [(runs, mask)] = table.encode(m, [len(m)])
    encoder.runs(runs)
    encoder.integers(m[mask])
    data = encoder.finish()
    decoder = SymbolDecoder(data)
    decoded, decoded_mask = table.decode(decoder.run, len(m))
    decoded[decoded_mask] = decoder.integers(int(decoded_mask.sum()))
    decoder.finish()
    np.testing.assert_array_equal(decoded, m)
    bits, bits_mask = table.bits(m)
    np.testing.assert_array_equal(bits_mask, mask)
    assert mask.any()
    plain = len(data) * 8 - bits.sum()
    assert -1 <= plain <= 40 * mask.sum() + 64


@pytest.mark.parametrize("name", ["hex", "oct"])
def test_joint_table_prices_are_the_exact_cell_probabilities(name: str) -> None:
    lattice, level = LATTICES[name], 5
    table = build_table(GAUSSIAN, level, lattice)
    assert isinstance(table, JointTable)
    p = cell_probabilities(GAUSSIAN, level, lattice, table.points.astype(np.int64))
    bits, _ = table.bits(table.points)
    np.testing.assert_allclose(np.exp2(-bits), p, atol=1e-5)


def test_paper_table_drops_rare_centres() -> None:
    table = build_paper_table(GAUSSIAN.core, 6, LATTICES["hex"])
    assert isinstance(table, JointTable) and table.fallback is None
    p = cell_probabilities(GAUSSIAN.core, 6, LATTICES["hex"], table.points.astype(np.int64))
    assert p.min() >= 1e-7 and 1 - 1e-5 < p.sum() < 1


def test_smoothing_a_density_keeps_its_mass() -> None:
    density = factorized()
    t = np.arange(-200, 200, 0.05)
    for level in (0, 5):
        assert density.smoothed(level, t, 0.08).sum() * 0.05 == pytest.approx(1, abs=1e-6)


FACTORS = (0.5, 2.0, 0.25, 4.0)
ORDER = (0.25, 0.5, 1.0, 2.0, 4.0)


def rescaled() -> RescaledDensity:
    return RescaledDensity(factorized(), FACTORS)


def test_rescaled_densities_are_their_own_ones_at_other_widths() -> None:
    own, density = factorized(), rescaled()
    assert density.levels == own.levels * 5
    t = np.linspace(-30, 30, 601)
    for width, s in enumerate((1.0, *FACTORS)):
        for level in (0, 5):
            wide = level + width * own.levels
            np.testing.assert_allclose(density.pdf(wide, t), own.pdf(level, t / s) / s)
            np.testing.assert_allclose(density.cdf(wide, t), own.cdf(level, t / s))
            assert density.spread(wide) == pytest.approx(s * own.spread(level))
            assert density.support(wide) == tuple(s * end for end in own.support(level))
            ends = density.cdf(wide, np.array(density.support(wide)))
            assert ends[0] < 2e-9 and ends[1] > 1 - 2e-9


@pytest.mark.parametrize("width", range(5))
def test_rescaled_densities_have_mass_one_smoothed_or_not(width: int) -> None:
    density = RescaledDensity(GaussianDensity(np.array([0.7])), FACTORS)
    t = np.arange(-200, 200, 0.01)
    assert density.pdf(width, t).sum() * 0.01 == pytest.approx(1, abs=1e-6)
    assert density.smoothed(width, t, 0.08).sum() * 0.01 == pytest.approx(1, abs=1e-6)
    variance = (np.square(t) * density.smoothed(width, t, 0.08)).sum() * 0.01
    plain = (np.square(t) * density.pdf(width, t)).sum() * 0.01
    assert variance - plain == pytest.approx(0.08, abs=1e-3)


def test_rescaling_moves_one_width_a_step_and_stops_at_the_ends() -> None:
    own, density = factorized(), rescaled()
    for level in (0, 7):
        every = [level + own.levels * (1.0, *FACTORS).index(s) for s in ORDER]
        for place, start in enumerate(every):
            for step in range(-6, 7):
                moved = density.rescaled(np.array([start]), np.array([step]))
                assert moved.tolist() == [every[min(max(place + step, 0), 4)]]
    levels = np.arange(density.levels, dtype=np.int16)
    np.testing.assert_array_equal(density.rescaled(levels, np.zeros_like(levels)), levels)


def test_rescaling_gaussians_moves_along_the_scale_table() -> None:
    levels = np.array([0, 5, 63], dtype=np.int16)
    assert GAUSSIAN.rescaled(levels, np.array([0, 0, 0])).tolist() == [0, 5, 63]
    assert GAUSSIAN.rescaled(levels, np.array([-7, 7, 7])).tolist() == [0, 12, 63]
    own = factorized()  # has no other widths to move to
    assert own.rescaled(levels[:2], np.array([3, -3])).tolist() == [0, 5]


@pytest.mark.parametrize("kind", ["gaussian", "factorized", "rescaled"])
def test_draws_follow_the_density(kind: str) -> None:
    density = {"gaussian": GAUSSIAN.core, "factorized": factorized(), "rescaled": rescaled()}[kind]
    for level in (1, density.levels - 1):
        t = density.draw(np.full(20_000, level), np.random.default_rng(level))
        quantiles = density.cdf(level, t)  # uniform, if so
        edges = np.linspace(0, 1, 11)
        share = np.histogram(quantiles, edges)[0] / len(t)
        np.testing.assert_allclose(share, 0.1, atol=0.012)
    mixed = density.draw(np.array([0, 1, 0]), np.random.default_rng(0))
    assert mixed.shape == (3,) and np.isfinite(mixed).all()


def test_equal_parameters_have_equal_fingerprints() -> None:
    assert rescaled().fingerprint == rescaled().fingerprint
    others = [factorized(), RescaledDensity(factorized(), FACTORS[:2])]
    others.append(RescaledDensity(GAUSSIAN, FACTORS))
    assert len({density.fingerprint for density in (rescaled(), *others)}) == 4


def test_score_is_the_gradient_of_minus_log_density() -> None:
    density = factorized()
    t = np.array([[-1.3], [0.2], [2.5]])
    levels = np.array([0, 3, 3])
    step = 1e-4
    for i, level in enumerate(levels):
        ends = [np.log(density.pdf(int(level), t[i] + s)) for s in (-step, step)]
        expected = -(ends[1] - ends[0]) / (2 * step)
        assert density.score(levels, t)[i] == pytest.approx(expected, rel=1e-4)
    wide, t = rescaled(), np.array([[-1.3], [2.5]])
    ends = [np.log(wide.pdf(12 * 2 + 3, t[1] + s)) for s in (-step, step)]  # twice as wide
    assert wide.score(np.array([3, 27]), t)[1] == pytest.approx(
        -(ends[1] - ends[0]) / (2 * step), rel=1e-4
    )
    gaussian = GAUSSIAN.score(np.array([4]), np.array([[0.5]]))
    assert gaussian[0, 0] == pytest.approx(0.5 / SCALES[4] ** 2)


def test_an_alphabet_of_one_symbol_costs_nothing() -> None:
    """Narrow levels have a single centre in the paper's tables, which constriction refuses."""
    one, two = (Counts.from_probabilities(np.ones(n)) for n in (1, 2))
    encoder = SymbolEncoder()
    encoder.run(one, np.zeros(9, np.int32))
    encoder.run(two, np.array([1, 0], np.int32))
    decoder = SymbolDecoder(encoder.finish())
    assert decoder.run(one, 9).tolist() == [0] * 9 and decoder.run(two, 2).tolist() == [1, 0]
    decoder.finish()
