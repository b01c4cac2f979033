"""Priors that learn: decode inverts encode, and what is learned is never dearer than the prior."""

import time
from functools import cache

import numpy as np
import pytest
from compressai.entropy_models import EntropyBottleneck
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from latentopt import BitstreamError, InputError
from latentopt.bitstream.ans import SymbolEncoder
from latentopt.densities import FactorizedDensity
from latentopt.latents import AdaptiveChannel, OfChannels, Point
from latentopt.latents.adaptive import TRUSTS, AdaptiveLatent, Alphabets, Learner, passes
from latentopt.latents.lattice import LatticeChannel
from latentopt.lattices import RULES
from latentopt.pmf import TOTAL, Counts
from latentopt.pmf.tables import AxisTable

CHANNELS = 3


@cache
def channel() -> AdaptiveChannel:
    """Of densities as an untrained bottleneck has them: about ten units wide."""
    return AdaptiveChannel(FactorizedDensity(EntropyBottleneck(CHANNELS)))


@cache
def fixed() -> LatticeChannel:
    """The same without learning."""
    return LatticeChannel(channel().density, RULES["int"])


def latent_of(m: NDArray[np.int64]) -> AdaptiveLatent:
    """Integers (M, h, w) around the medians, sent."""
    walk = OfChannels(channel().density, m.shape[1:])
    return channel().send(walk, Point(walk.prior.values(m.ravel())))


def random(seed: int, grid: tuple[int, int], outliers: int) -> NDArray[np.int64]:
    rng = np.random.default_rng(seed)
    spread = rng.choice([0.1, 1.0, 8.0], (CHANNELS, 1, 1))
    m = np.rint(spread * rng.standard_normal((CHANNELS, *grid)))
    places = rng.integers(0, m.size, outliers)
    m.ravel()[places] = np.rint(rng.normal(0, 1e5, outliers))
    return m.astype(np.int64)


@given(
    seed=st.integers(0, 2**32),
    grid=st.tuples(st.integers(1, 12), st.integers(1, 12)),
    outliers=st.integers(0, 3),
)
@settings(max_examples=60, deadline=None)
def test_the_decoder_gets_what_the_encoder_said(
    seed: int, grid: tuple[int, int], outliers: int
) -> None:
    m = random(seed, grid, outliers)
    latent = latent_of(m)
    string = latent.string()
    decoded = channel().receive(OfChannels(channel().density, grid), string)
    np.testing.assert_array_equal(decoded.residual, m.ravel())
    np.testing.assert_array_equal(decoded.hat, latent.hat)
    assert decoded.trust == latent.trust and decoded.string() == string
    assert abs(8 * len(string) - latent.bits().sum()) < 40  # the coder's state, whole bytes
    walk = OfChannels(channel().density, grid)
    without = fixed().send(walk, Point(walk.prior.values(m.ravel())))
    assert latent.bits().sum() <= without.bits().sum() + 2 + 1e-6  # it can say: nothing to learn
    assert latent.escaped() == without.escaped()


@pytest.mark.parametrize("spread", [0.1, 8.0])
def test_what_the_prior_does_not_know_is_learned(spread: float) -> None:
    rng = np.random.default_rng(0)
    m = np.rint(spread * rng.standard_normal((CHANNELS, 32, 32)))
    latent = latent_of(m.astype(np.int64))
    _, counts = np.unique(m, return_counts=True)
    share = counts / m.size
    entropy = -m.size * (share * np.log2(share)).sum()
    prior = fixed().send(OfChannels(channel().density, (32, 32)), Point(latent.hat)).bits().sum()
    learned = (prior - latent.bits().sum()) / (prior - entropy)  # of what there was to learn
    assert learned > 0.8 if spread < 1 else latent.bits().sum() < 1.1 * entropy


def test_bits_are_the_strings_and_each_has_its_place() -> None:
    latent = latent_of(random(1, (40, 40), 2))
    bits = latent.bits()
    assert bits.shape == latent.prior.levels.shape and (bits > 0).all()
    assert 8 * len(latent.string()) == pytest.approx(bits.sum(), abs=40)
    assert latent.bits_ahead().sum() == pytest.approx(2)
    rare = np.argmax(np.abs(latent.residual))
    assert bits[rare] == bits.max()


@given(st.integers(1, 500))
def test_passes_take_each_place_once(plane: int) -> None:
    seen = np.concatenate([np.arange(plane)[where] for where in passes(plane)])
    np.testing.assert_array_equal(np.sort(seen), np.arange(plane))
    sizes = [len(range(plane)[where]) for where in passes(plane)]
    assert all(0 < size <= max(sum(sizes[:k]), plane // 32 + 1) for k, size in enumerate(sizes))


def test_counts_are_mixed_as_they_say() -> None:
    half = Counts(np.array([TOTAL // 2, TOTAL // 4, TOTAL // 4], np.int32))
    narrow = Counts(np.array([TOTAL - 1, 1], np.int32))
    alphabets = Alphabets.of([AxisTable(-1, half), AxisTable(0, narrow)])
    learner = Learner(alphabets, 4)
    learner.learn(np.array([[0, 0, 0, 1], [0, 0, 0, 0]]))
    # (4 * 1/2 + 3) / 8, (4 * 1/4 + 1) / 8, 4 * 1/4 / 8; and (4 * p + 4) / 8, no less than 1
    expected = [[5 * TOTAL // 8, TOTAL // 4, TOTAL // 8], [TOTAL - 1, 1, 0]]
    assert learner.counts.tolist() == expected
    assert [len(table.counts) for table in learner.tables()] == [3, 2]
    never = Learner(alphabets, None)
    never.learn(np.array([[0, 0, 0, 1], [0, 0, 0, 0]]))
    np.testing.assert_array_equal(never.counts, alphabets.prior)


@given(st.integers(0, 2**32), st.sampled_from([t for t in TRUSTS if t]), st.integers(1, 10**6))
@settings(max_examples=60, deadline=None)
def test_counts_stay_such(seed: int, trust: int, times: int) -> None:
    rng = np.random.default_rng(seed)
    sizes = rng.integers(2, 40, 3)
    p = [rng.dirichlet(np.full(size, 0.05)) for size in sizes]
    tables = [AxisTable(0, Counts.from_probabilities(each)) for each in p]
    learner = Learner(Alphabets.of(tables), trust)
    for number in (1, min(times, 1000)):
        learner.learn(rng.integers(0, sizes[:, None], (3, number)))
        for row, size in zip(learner.counts, sizes):
            assert row.sum() == TOTAL and (row[:size] > 0).all() and not row[size:].any()


def test_strings_stay_what_they_are() -> None:
    """Of this channel's version 2; another meaning needs another ``_MEANING``."""
    learner = Learner(Alphabets.of([AxisTable(-1, Counts.from_probabilities(np.ones(4)))]), 1)
    encoder = SymbolEncoder()
    for symbols in ([[0, 0]], [[0, 1]], [[0, 0, 2, 1]]):
        encoder.runs(zip(learner.tables(), np.array(symbols, np.int32)))
        learner.learn(np.array(symbols))
    assert encoder.finish().hex() == "be86087820"


# -- what no encoder writes ------------------------------------------------------------------------


def test_cut_strings_are_refused() -> None:
    grid = (9, 13)
    string = latent_of(random(3, grid, 1)).string()
    for length in (0, 1, len(string) // 2, len(string) - 1):
        with pytest.raises(BitstreamError):
            channel().receive(OfChannels(channel().density, grid), string[:length])
    with pytest.raises(BitstreamError):
        channel().receive(OfChannels(channel().density, grid), string + b"\1")


def test_a_string_that_is_too_short_for_its_size_is_refused_at_once() -> None:
    string = latent_of(random(3, (4, 4), 0)).string()
    start = time.monotonic()
    with pytest.raises(BitstreamError, match="too few for a latent of this size"):
        channel().receive(OfChannels(channel().density, (2000, 2000)), string)
    assert time.monotonic() - start < 2


@pytest.mark.parametrize("value", [np.nan, np.inf, 2.0**40])
def test_broken_latents_are_refused(value: float) -> None:
    walk = OfChannels(channel().density, (2, 2))
    target = walk.prior.values(np.zeros(4 * CHANNELS))
    target[3] = value
    with pytest.raises(InputError, match="NaN, infinite or beyond"):
        channel().send(walk, Point(target))
