"""Densities of symbols: integers have the symbols' probabilities, whatever is computed of them."""

import numpy as np
import pytest
from scipy.integrate import quad

from latentopt.densities import ABSENT, SymbolDensity
from latentopt.lattices import LATTICES
from latentopt.pmf.cells import cell_probabilities

P = np.array([[0.5, 0.125, 0.25, 0.125], [0.01, 0.98, 0.005, 0.005]])
DENSITY = SymbolDensity(np.log(P))


def test_integers_have_the_symbols_probabilities() -> None:
    edges = np.arange(5) - 0.5
    for level, p in enumerate(P):
        np.testing.assert_allclose(np.diff(DENSITY.cdf(level, edges)), p, rtol=1e-12)
        assert DENSITY.support(level) == (-0.5, 3.5)
        np.testing.assert_allclose(DENSITY.pdf(level, np.arange(-1.0, 5)), [0, *p, 0])
        cells = cell_probabilities(DENSITY, level, LATTICES["int"], np.arange(4)[:, None])
        np.testing.assert_allclose(cells, p, rtol=1e-9)


def test_noise_smooths_it() -> None:
    t, variance = 1.3, 0.09
    expected = quad(
        lambda u: (
            DENSITY.pdf(0, np.array(u))
            * np.exp(-((t - u) ** 2) / 2 / variance)
            / np.sqrt(2 * np.pi * variance)
        ),
        *(-0.5, 3.5),
        points=[0.5, 1.5, 2.5],
    )[0]
    assert DENSITY.smoothed(0, np.array([t]), variance)[0] == pytest.approx(expected, rel=1e-6)


def test_draws_follow_it() -> None:
    drawn = DENSITY.draw(np.repeat([0, 1], 20_000), np.random.default_rng(0)).reshape(2, -1)
    for own, p in zip(drawn, P):
        np.testing.assert_allclose(np.bincount(own.astype(int), minlength=4) / 20_000, p, atol=0.01)


def test_the_spread_is_that_of_as_many_equally_likely_ones() -> None:
    even = SymbolDensity(np.log(np.full((1, 12), 1 / 12)))
    assert even.spread(0) == pytest.approx(12 / np.sqrt(12))
    assert DENSITY.spread(1) < DENSITY.spread(0)


def test_what_is_absent_is_none_of_them() -> None:
    assert set(DENSITY.absent) == {ABSENT} and ABSENT not in range(4)
    assert DENSITY.fingerprint != SymbolDensity(np.log(P[::-1])).fingerprint
