"""The sampled channel: whose samples arrive, what they cost, and who may read them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import ks_1samp, kstest, norm
from support.commands import run
from support.crossing import InGroups
from support.models import FAMILIES, moving, photo, tiny, tiny_flow
from torch import nn

import latentopt
from latentopt import BitstreamError, InputError
from latentopt.bitstream import Container
from latentopt.bitstream.headers import SAMPLERS
from latentopt.densities import Density, FactorizedDensity, GaussianDensity, LaplaceDensity
from latentopt.latents import AtOnce, OfChannels, Point, Prior
from latentopt.latents.dither import Dither
from latentopt.latents.lattice import LatticeChannel
from latentopt.latents.sampling import MAKERS, Drawn, SampleChannel, SampledLatent, Sampling, Steps
from latentopt.latents.sampling import channel as sample_channel
from latentopt.latents.sampling.belief import Belief
from latentopt.latents.sampling.blocks import CANDIDATES, Posterior
from latentopt.latents.sampling.layers import gaussian_widths, uniform_widths
from latentopt.media.images import write_png
from latentopt.pmf import TOTAL

SCALES = np.array([0.11, 0.3, 0.6, 0.9, 2.0, 9.0])
DENSITY = GaussianDensity(SCALES)
SPREAD = 0.29
EXACT = ("layered", "uniform", "astar", "rejection", "budget", "poisson")
NUMBER = dict.fromkeys(SAMPLERS, 1000) | dict.fromkeys(EXACT, 20_000)
NUMBER |= {"layered": 100_000, "uniform": 100_000}


def channel(name: str, seed: int = 1, density: Density = DENSITY) -> SampleChannel:
    return SampleChannel(density, Sampling(SPREAD, name, seed))


def random_latent(n: int, seed: int = 0) -> tuple[np.ndarray, Prior]:
    rng = np.random.default_rng(seed)
    own = rng.integers(0, len(SCALES), n).astype(np.int16)
    centres = rng.normal(0, 3, n)
    return centres + DENSITY.draw(own, rng), Prior((1, 1, n), own, centres)


def one_level(level: int, n: int) -> tuple[np.ndarray, Prior]:
    prior = Prior((1, 1, n), np.full(n, level, np.int16), np.zeros(n))
    return DENSITY.draw(prior.levels, np.random.default_rng(level)), prior


def sent(own: SampleChannel, values: np.ndarray, prior: Prior) -> SampledLatent:
    return own.send(AtOnce(prior), Point(values))


def divergence(values: np.ndarray, prior: Prior) -> float:
    steps = Steps(DENSITY, SPREAD)
    own = Posterior(steps, prior.levels.astype(np.int64), values - prior.centres, SPREAD)
    return float(own.divergence().sum())


# -- what both sides know --------------------------------------------------------------------------


@pytest.mark.parametrize("noise", [0.0, 0.5])
def test_steps_are_the_density_and_their_inverse_is_one(noise: float) -> None:
    steps, rng = Steps(DENSITY, noise), np.random.default_rng(0)
    for level, scale in enumerate(SCALES):
        t = np.linspace(-4 * scale, 4 * scale, 500)
        own = np.full(len(t), level)
        expected = norm.cdf(t, scale=np.hypot(scale, noise))
        assert np.abs(steps.cumulative(own, t) / TOTAL - expected).max() < 5e-3  # it has tails
        c = rng.random(500) * TOTAL
        np.testing.assert_allclose(steps.cumulative(own, steps.inverse(own, c)), c, atol=1e-3)
        pdf = np.exp(steps.log_density(own, t))
        assert pdf.sum() * (t[1] - t[0]) == pytest.approx(expected[-1] - expected[0], abs=0.01)


def test_the_ends_of_steps_are_within_their_own_level() -> None:
    steps = Steps(DENSITY, 0.3)
    ends = np.array([0.0, TOTAL - 2.0**-8])
    for level in range(len(SCALES)):
        low, high = steps.inverse(np.full(2, level), ends)
        assert low < -5 * SCALES[level] and high > 5 * SCALES[level] and high < 1e3


def test_words_follow_from_seed_latent_place_and_number() -> None:
    drawn, places = Drawn(5, (4, 8, 9)), np.arange(288)
    batch = drawn.batch(places, 4)
    for i in range(4):
        np.testing.assert_array_equal(drawn.words(places, np.full(1, 4 + i)), batch[i])
    assert len(np.unique(batch)) > 1150
    for other in (Drawn(6, (4, 8, 9)), Drawn(5, (4, 9, 8)), Drawn(5, (8, 4, 9))):
        assert (other.batch(places, 4) != batch).mean() > 0.99


def test_layers_are_a_gaussian_of_variance_1() -> None:
    for widths in (gaussian_widths(), uniform_widths()):
        assert np.square(widths).mean() / 12 == pytest.approx(1, abs=1e-3)
    t = np.linspace(-4, 4, 401)[:, None]
    mixed = np.clip(t / gaussian_widths() + 0.5, 0, 1).mean(axis=1)
    assert np.abs(mixed - norm.cdf(t[:, 0])).max() < 2e-4


# -- what arrives ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", EXACT)
@pytest.mark.parametrize("level", [0, 1, 3, 5])
def test_exact_coders_send_samples_of_the_posterior(name: str, level: int) -> None:
    n = NUMBER[name]
    values, prior = one_level(level, n)
    noise = (sent(channel(name, seed=level), values, prior).hat - values) / SPREAD
    law = "uniform" if name == "uniform" else "norm"
    args = (-np.sqrt(3), 2 * np.sqrt(3)) if name == "uniform" else ()
    assert kstest(noise, law, args).pvalue > 1e-3
    assert abs(np.corrcoef(noise, values)[0, 1]) < 4 / np.sqrt(n)
    for half in (values < 0, values >= 0):
        assert abs(noise[half].mean()) < 4.5 / np.sqrt(half.sum())


@pytest.mark.parametrize("name", ["layered", "astar"])
@pytest.mark.parametrize("y", [0.0, 0.4, -2.5])
def test_whatever_is_sent(name: str, y: float) -> None:
    n = 20_000
    prior = one_level(4, n)[1]
    noise = (sent(channel(name, seed=4), np.full(n, y), prior).hat - y) / SPREAD
    assert ks_1samp(noise, norm.cdf).pvalue > 1e-3


@pytest.mark.parametrize("name", ["ordered", "importance"])
@pytest.mark.parametrize("level", [1, 4])
def test_coders_in_blocks_are_near_the_posterior(name: str, level: int) -> None:
    values, prior = one_level(level, NUMBER[name])
    noise = (sent(channel(name), values, prior).hat - values) / SPREAD
    assert abs(noise.mean()) < 0.12 and noise.var() == pytest.approx(1.05, abs=0.15)


# -- what it costs ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SAMPLERS)
def test_bits_are_those_of_the_string_and_no_less_than_the_divergence(name: str) -> None:
    values, prior = random_latent(NUMBER[name])
    latent = sent(channel(name), values, prior)
    bits = 8 * len(latent.string())
    assert bits == pytest.approx(latent.bits().sum(), rel=1e-3, abs=40)
    assert bits > 0.97 * divergence(values, prior)


@pytest.mark.parametrize("level", range(len(SCALES)))
def test_layers_cost_half_a_bit_an_element_at_most(level: int) -> None:
    """0.521 = 1/2 log2(2 pi e) - E log2(2r), r^2 of chi square with 3 degrees of freedom."""
    values, prior = one_level(level, 30_000)
    above = sent(channel("layered"), values, prior).bits().sum() - divergence(values, prior)
    assert 0 < above / len(values) < 0.55


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_latent_far_out_does_not_hold_up_the_encoder(name: str) -> None:
    values, prior = random_latent(300)
    values[::50] += 1e6
    latent = sent(channel(name), values, prior)
    assert latent.escaped() > 0
    assert np.abs(latent.hat - values)[::50].max() < 6 * SPREAD
    np.testing.assert_array_equal(
        channel(name).receive(AtOnce(prior), latent.string()).hat, latent.hat
    )


# -- both sides ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SAMPLERS)
def test_latents_arrive_as_they_were_sent(name: str) -> None:
    """In groups, too, and with steps; of every density."""
    rng = np.random.default_rng(1)
    for n in (1, 7, 100):
        values, prior = random_latent(n, seed=n)
        stepped = replace(prior, steps=rng.uniform(0.5, 2, n))
        cuts = np.split(rng.permutation(n), [n // 4, n // 4 + 1])
        walks = [AtOnce(prior), AtOnce(stepped), InGroups(prior, [c for c in cuts if len(c)])]
        densities = (DENSITY, LaplaceDensity(SCALES), factorized())
        for walk, density in zip(walks, densities):
            own = channel(name, density=density)
            latent = own.send(walk, Point(values))
            found = own.receive(walk, latent.string())
            np.testing.assert_array_equal(found.hat, latent.hat)
            assert found.string() == latent.string()


def factorized() -> FactorizedDensity:
    return FactorizedDensity(tiny(FAMILIES["bmshj2018-factorized"]).entropy_bottleneck)


@pytest.mark.parametrize("name", SAMPLERS)
def test_strings_that_were_cut_or_changed(name: str) -> None:
    """Those that were cut are refused; what others decode to is finite, and is theirs."""
    values, prior = random_latent(200)
    own, rng = channel(name), np.random.default_rng(2)
    string = sent(own, values, prior).string()
    for length in np.linspace(0, len(string) - 1, 12).astype(int):
        with pytest.raises(BitstreamError):
            own.receive(AtOnce(prior), string[:length])
    for _ in range(30):
        changed = bytearray(string)
        changed[rng.integers(len(string))] ^= int(rng.integers(1, 256))
        try:
            found = own.receive(AtOnce(prior), bytes(changed))
        except BitstreamError:
            continue
        assert np.isfinite(found.hat).all() and found.string() == changed


def test_another_seed_reads_something_else_or_nothing() -> None:
    values, prior = random_latent(500)
    string = sent(channel("layered", 1), values, prior).string()
    with pytest.raises(BitstreamError):
        channel("layered", 2).receive(AtOnce(prior), string)


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e12])
def test_broken_latents_are_refused(name: str, bad: float) -> None:
    values, prior = random_latent(50)
    values[13] = bad
    with pytest.raises(InputError, match="NaN, infinite or beyond"):
        sent(channel(name), values, prior)


def test_candidates_are_never_more_than_there_are() -> None:
    values, prior = random_latent(400)
    for name in ("astar", "ordered"):
        [(_, blocks)] = sent(channel(name), values, prior).groups
        assert blocks.index.max() <= CANDIDATES  # type: ignore[attr-defined]


# -- whole codecs ----------------------------------------------------------------------------------


def model() -> nn.Module:
    return tiny(FAMILIES["mbt2018-mean"])


def test_the_main_latent_is_sampled_and_side_latents_are_not() -> None:
    codec = latentopt.wrap(model(), spread=0.29)
    assert [type(own) for own in codec.assembly.channels] == [SampleChannel, LatticeChannel]
    same = latentopt.wrap(model(), channel="sample", spread=0.29)
    assert same.recipe == codec.recipe and same.settings == codec.settings


@pytest.mark.parametrize("name", SAMPLERS)
def test_files_have_spread_coder_and_seed(name: str, tmp_path: Path) -> None:
    x, path = photo(64, 96), tmp_path / "x.lo"
    codec = latentopt.wrap(model(), spread=Sampling(0.5, name, 2**32 - 1))
    codec.save(path, x)
    assert path.read_bytes()[3] == 2
    found = Container.from_bytes(path.read_bytes(), 2).settings
    assert found == codec.settings and Sampling.of(found) == Sampling(0.5, name, 2**32 - 1)
    again = latentopt.wrap(model(), spread=Sampling(0.5, name, 2**32 - 1))
    assert torch.equal(again.load(path), codec(x)["x_hat"])
    with pytest.raises(BitstreamError, match=r"spread=0\.5, not 0\.501\b"):
        latentopt.wrap(model(), spread=Sampling(0.501, name, 2**32 - 1)).load(path)
    assert f"{name}, spread 0.5, seed 4294967295" in str(codec.explain(path))


def test_video(tmp_path: Path) -> None:
    codec, frames = latentopt.wrap(tiny_flow(), spread=0.3), moving(2, 60, 90)
    codec.save(tmp_path / "x.lov", frames)
    shown = zip(codec.load(tmp_path / "x.lov"), codec(frames)["x_hat"], strict=True)
    assert all(torch.equal(a, b) for a, b in shown)


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photograph, coded, decoded = (tmp_path / name for name in ("x.png", "x.lo", "y.png"))
    write_png(photograph, photo(64, 96))
    words = ["--codec", "tiny-mbt2018-mean", "--quality", 2]
    sampled = [*words, "--spread", 0.29, "--sampler", "astar", "--seed", 77]
    assert run("encode", photograph, "-o", coded, *sampled) == 0
    capsys.readouterr()
    assert run("info", coded) == 0
    shown = capsys.readouterr().out.split()
    assert {"sample", "0.29", "astar", "77"} <= set(shown)
    assert run("decode", coded, "-o", decoded) == 0
    for options, says in (
        (["--spread", "0.2899"], "whole thousandths"),
        (["--sampler", "astar"], "give their --spread"),
        (["--seed", "1"], "give their --spread"),
        (["--spread", "0.3", "--preset", "fast"], "--spread excludes a preset's search"),
        (["--spread", "0.3", "--dither", "1"], "exclude each other"),
        (["--spread", "0.3", "--format", "compressai"], "spread"),
    ):
        assert run("encode", photograph, "-o", tmp_path / "z.lo", *words, *options) == 2
        assert says in capsys.readouterr().err


def test_what_is_no_sampling() -> None:
    for spread in (0, -1, np.nan, 1e3, 0.0001, True, "0.3"):
        with pytest.raises(InputError, match="whole thousandths"):
            Sampling(spread)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="choose layered, uniform, astar, ordered, importance"):
        Sampling(0.3, "harsha")
    for seed in (-1, 2**32, True, 0.5):
        with pytest.raises(InputError, match="a whole number"):
            Sampling(0.3, seed=seed)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="'sample' without a spread: for samples give both"):
        latentopt.wrap(model(), channel="sample")
    with pytest.raises(InputError, match="'lattice' with a spread: for samples give both"):
        latentopt.wrap(model(), channel="lattice", spread=0.3)
    with pytest.raises(InputError, match="exclude each other"):
        latentopt.wrap(model(), spread=0.3, dither=Dither(1))


def test_headers_that_nothing_writes_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.lo"
    latentopt.wrap(model(), spread=0.3).save(path, photo(64, 64))
    found = Container.from_bytes(path.read_bytes(), 2)
    codec = latentopt.wrap(model())
    with pytest.raises(BitstreamError, match=r"spread=0\.3, not none") as refused:
        codec.load(path)
    assert "None" not in str(refused.value)
    for changes in ({"seed": None}, {"channel": "lattice"}, {"spread": None, "sampler": None}):
        settings = replace(found.settings, **changes)
        path.write_bytes(replace(found, settings=settings).to_bytes())
        with pytest.raises(BitstreamError):
            codec.load(path)


@pytest.mark.parametrize("sampler", ["layered", "uniform"])
@pytest.mark.parametrize("spread", [0.016, 0.289, 16.0])
def test_the_cheapest_latents_are_not_refused(sampler: str, spread: float) -> None:
    """Elements at their medians, so many of them that a decoder asks what they cost at least."""
    sampling = Sampling(spread, sampler)
    codec = latentopt.wrap(tiny(FAMILIES["bmshj2018-factorized"]), spread=sampling)
    [channel], [density] = codec.assembly.channels, codec.assembly.adapter.densities
    assert isinstance(density, FactorizedDensity)
    walk = OfChannels(density, (128, 128))
    sent = channel.send(walk, Point(walk.prior.centres))
    found = channel.receive(OfChannels(density, (128, 128)), sent.string())
    assert np.array_equal(found.residual, sent.residual)


@pytest.mark.parametrize("name", SAMPLERS)
def test_no_coder_refuses_what_it_sent(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of common latents and of the cheapest, asked from few elements on what they cost at least."""
    monkeypatch.setattr(sample_channel, "_MANY", 1)
    values, prior = random_latent(1000)
    for target in (values, prior.centres):
        own = sent(channel(name), target, prior)
        assert np.array_equal(channel(name).receive(AtOnce(prior), own.string()).hat, own.hat)
        least = MAKERS[name](Belief.of(DENSITY, SPREAD)).least_bits(prior.levels.astype(np.int64))
        assert (name == "budget") == (least == 0) and least <= own.bits().sum()


@pytest.mark.parametrize("name", SAMPLERS)
def test_few_bytes_of_many_samples_are_refused_before_these_are_drawn(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether a header claims them, or what was decoded before."""
    model, drawn = tiny(FAMILIES["bmshj2018-factorized"]), list[int]()
    density = latentopt.wrap(model, "int", False).assembly.adapter.densities[0]
    assert isinstance(density, FactorizedDensity)
    prior = Prior.of_channels(density, (density.levels, 512, 512))
    words = Drawn.words

    def counted(self: Drawn, places: np.ndarray, numbers: np.ndarray) -> np.ndarray:
        drawn.append(len(places))
        return words(self, places, numbers)

    monkeypatch.setattr(Drawn, "words", counted)
    garbage = np.random.default_rng(0).integers(1, 256, 90, dtype=np.uint8).tobytes()
    message = "corrupt" if name == "budget" else "too few for a latent of this size"
    for walk in (OfChannels(density, (512, 512)), AtOnce(prior)):
        with pytest.raises(BitstreamError, match=message):
            channel(name, density=density).receive(walk, garbage)
    assert sum(drawn) < 1000 * density.levels


def test_every_coder_has_a_number() -> None:
    assert set(MAKERS) == set(SAMPLERS)
