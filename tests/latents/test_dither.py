"""The dithered channel: its generator, what noise arrives, what it costs, and who may read it."""

import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import ks_1samp, ks_2samp
from support.commands import run
from support.crossing import InGroups
from support.models import FAMILIES, moving, photo, tiny, tiny_flow
from torch import nn

import latentopt
from latentopt import BitstreamError, InputError
from latentopt.bitstream import Container, Settings
from latentopt.densities import GaussianDensity, LaplaceDensity
from latentopt.latents import AtOnce, Point, Prior
from latentopt.latents.dither import (
    DITHERED,
    PLACES,
    Dither,
    DitherChannel,
    DitheredLatent,
    philox,
    places,
)
from latentopt.latents.dither.tables import LEAST_WIDTH, DitherTables
from latentopt.latents.lattice import LatticeChannel
from latentopt.lattices import LATTICES, RULES, Lattice
from latentopt.media.images import write_png

SCALES = np.array([0.11, 0.3, 0.6, 0.9, 2.0, 9.0])
DENSITY = GaussianDensity(SCALES)
NAMES = list(LATTICES)


def channel(name: str, seed: int = 1) -> DitherChannel:
    return DitherChannel(DENSITY, RULES[name], seed)


def random_latent(n: int, seed: int = 0, levels: int = len(SCALES)) -> tuple[np.ndarray, Prior]:
    rng = np.random.default_rng(seed)
    own = rng.integers(len(SCALES) - levels, len(SCALES), n).astype(np.int16)
    centres = rng.normal(0, 3, n)
    return centres + DENSITY.draw(own, rng), Prior((1, 1, n), own, centres)


def sent(own: DitherChannel, values: np.ndarray, prior: Prior) -> DitheredLatent:
    return own.send(AtOnce(prior), Point(values))


def cell(lattice: Lattice, n: int, seed: int) -> np.ndarray:
    """Points (n, v) uniform on the Voronoi cell of the origin."""
    rng, units = np.random.default_rng(seed), np.array(lattice.units)
    x = rng.random((n, lattice.dim)) * units * lattice.modulus
    return x - lattice.nearest(torch.from_numpy(x)).numpy() * units


# -- the generator ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("counter", "key", "expected"),
    [
        ((0, 0, 0, 0), (0, 0), "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
        ((2**32 - 1,) * 4, (2**32 - 1,) * 2, "408f276d 41c83b0e a20bc7c6 6d5451fd"),
        (
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            (0xA4093822, 0x299F31D0),
            "d16cfe09 94fdcceb 5001e420 24126ea1",
        ),
    ],
)
def test_philox_gives_the_published_numbers(
    counter: tuple[int, ...], key: tuple[int, int], expected: str
) -> None:
    """Random123's known answers for philox4x32-10."""
    words = philox(tuple(np.array([c], np.uint64) for c in counter), key)  # type: ignore[arg-type]
    assert " ".join(f"{int(word):08x}" for [word] in words) == expected


def test_places_follow_from_seed_latent_and_position() -> None:
    whole = places(5, (4, 8, 9))
    assert whole.shape == (288,) and whole.max() < PLACES
    assert (places(5, (4, 8, 9)) == whole).all()
    for seed, shape in ((6, (4, 8, 9)), (5, (4, 9, 8)), (5, (8, 4, 9))):
        assert (places(seed, shape) != whole).mean() > 0.9
    first = philox((np.zeros(1, np.uint64), *(np.array([s], np.uint64) for s in (4, 8, 9))), (5, 0))
    assert whole[0] == int(first[0, 0]) % 256 // 4 and whole[7] == int(first[1, 0]) >> 26
    counts = np.bincount(places(1, (64, 64, 64)), minlength=PLACES)
    assert ((counts - 4096) ** 2 / 4096).sum() < 110  # chi square of 63 degrees: 1 in 4000


# -- what arrives ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_what_arrives_is_distributed_as_y_plus_noise(name: str) -> None:
    """The noise is uniform on the cell, and knows nothing of y (Zamir; eq. 28 of the paper)."""
    lattice, n = LATTICES[name], 24_000
    values, prior = random_latent(n, levels=4)  # which all use the lattice
    latent = sent(channel(name, seed=3), values, prior)
    [vectors] = [v for v in latent.vectors if v.lattice is lattice]  # but for what is left over
    index = vectors.part.index
    noise = (latent.hat - values)[index]
    expected = cell(lattice, len(index), 9)
    for axis in range(lattice.dim):
        assert ks_2samp(noise[:, axis], expected[:, axis]).pvalue > 1e-3
    turned = np.linspace(1, 2, lattice.dim)  # some other direction
    assert ks_2samp(noise @ turned, expected @ turned).pvalue > 1e-3
    assert np.square(noise).mean() == pytest.approx(lattice.second_moment, rel=0.015)
    y = (values - prior.centres)[index].ravel()
    assert abs(np.corrcoef(noise.ravel(), y)[0, 1]) < 4 / np.sqrt(n)
    arrived = (latent.hat - prior.centres)[index].ravel()
    independent = y + cell(lattice, len(index), 8).ravel()
    for level in range(2, len(SCALES)):
        own = (prior.levels == level)[index].ravel()
        assert ks_2samp(arrived[own], independent[own]).pvalue > 1e-3


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("y", [0.0, 0.3, -1.5])
def test_the_noise_is_the_same_whatever_is_sent(name: str, y: float) -> None:
    """Of one and the same value, too, which rounding would always put to one place."""
    lattice, n = LATTICES[name], 16_000
    prior = Prior((1, 1, n), np.full(n, 4, np.int16), np.zeros(n))
    noise = sent(channel(name, seed=4), np.full(n, y), prior).hat - y
    assert abs(noise.mean()) < 5 * np.sqrt(lattice.second_moment / n) + 1 / PLACES
    if name == "int":  # on a grid of 64 places
        found = ks_1samp(noise, lambda x: np.clip(x + 0.5, 0, 1))
        assert found.statistic < 1 / PLACES + 1.95 / np.sqrt(n)
    assert np.square(noise).mean() == pytest.approx(lattice.second_moment, rel=0.03)


# -- what it costs ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_bits_are_those_of_the_string(name: str) -> None:
    values, prior = random_latent(30_000)
    latent = sent(channel(name), values, prior)
    assert len(latent.string()) * 8 == pytest.approx(latent.bits().sum(), rel=1e-3, abs=40)


@pytest.mark.parametrize("density", [GaussianDensity, LaplaceDensity])
@pytest.mark.parametrize("spread", [0.2, 0.5, 1.0, 4.0])
def test_the_rate_of_integers_is_that_of_the_noisy_channel(density: type, spread: float) -> None:
    """h[Y + U], U continuous: 64 places lose nothing that could be seen."""
    own = density(np.array([spread / density.deviation]))
    t = np.linspace(-30 * spread - 1, 30 * spread + 1, 200_001)
    p = np.maximum(own.cdf(0, t + 0.5) - own.cdf(0, t - 0.5), 1e-300)
    expected = -(p * np.log2(p)).sum() * (t[1] - t[0])
    tables = DitherTables(own, RULES["int"]).axis(LATTICES["int"], 0, 0).tables
    entropies = [(c.counts.counts / 2**24) @ c.counts.bits for c in tables]
    assert np.mean(entropies) == pytest.approx(expected, rel=2e-4)


@pytest.mark.parametrize("name", NAMES[1:])
def test_the_rate_of_vectors_is_that_of_the_noisy_channel(name: str) -> None:
    """Of what was sent, against the density of y + U, averaged over draws of U."""
    lattice, n = LATTICES[name], 6000
    level, rng = 2, np.random.default_rng(5)
    prior = Prior((1, 1, n), np.full(n, level, np.int16), np.zeros(n))
    latent = sent(channel(name, seed=5), DENSITY.draw(prior.levels, rng), prior)
    [vectors] = [v for v in latent.vectors if v.lattice is lattice]
    noise = cell(lattice, 2000, 6)
    total = 0.0
    for z in np.array_split(vectors.values, 30):
        x = z[:, None, :] - noise  # (n, draws, v)
        p = np.exp(-0.5 * np.square(x / SCALES[level])).prod(axis=2)
        p /= (SCALES[level] * np.sqrt(2 * np.pi)) ** lattice.dim
        total -= np.log2(p.mean(axis=1)).sum()
    assert latent.bits()[vectors.part.index].sum() == pytest.approx(total, rel=0.01)


def test_narrow_levels_are_integers() -> None:
    for name, rule in RULES.items():
        lattices = DitherTables(DENSITY, rule).lattices
        expected = [rule.lattice(s) if s >= LEAST_WIDTH else LATTICES["int"] for s in SCALES]
        assert lattices == expected, name
    peaked = DitherTables(LaplaceDensity(np.array([0.5])), RULES["e8"])  # of spread 0.7
    assert peaked.lattices == [LATTICES["int"]]


# -- both sides ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_latents_arrive_as_they_were_sent(name: str) -> None:
    """In groups, too, with values that no table has, and steps."""
    own, rng = channel(name), np.random.default_rng(1)
    for n in (1, 7, 900):
        values, prior = random_latent(n, seed=n)
        values[:: max(1, n // 3)] += rng.choice([-1e6, 1e3, 5e5])
        stepped = replace(prior, steps=rng.uniform(0.5, 2, n))
        cuts = np.split(rng.permutation(n), [n // 4, n // 4 + 1])
        for walk in (
            AtOnce(prior),
            AtOnce(stepped),
            InGroups(prior, [c for c in cuts if len(c)]),
        ):
            latent = own.send(walk, Point(values))
            string = latent.string()
            found = own.receive(walk, string)
            np.testing.assert_array_equal(found.hat, latent.hat)
            assert found.string() == string
            assert len(string) * 8 <= latent.bits().sum() * 1.001 + 80
        assert latent.escaped() > 0


def test_another_seed_reads_something_else_or_nothing() -> None:
    values, prior = random_latent(500)
    string = sent(channel("e8", 1), values, prior).string()
    with pytest.raises(BitstreamError):
        channel("e8", 2).receive(AtOnce(prior), string)


@pytest.mark.parametrize("name", NAMES)
def test_cut_strings_are_refused(name: str) -> None:
    values, prior = random_latent(300)
    own = channel(name)
    string = sent(own, values, prior).string()
    for length in np.linspace(0, len(string) - 1, 20).astype(int):
        with pytest.raises(BitstreamError):
            own.receive(AtOnce(prior), string[:length])


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e12])
def test_broken_latents_are_refused(bad: float) -> None:
    values, prior = random_latent(50)
    values[13] = bad
    with pytest.raises(InputError, match="NaN, infinite or beyond"):
        sent(channel("oct"), values, prior)


def test_tables_that_were_forgotten_come_out_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    values, prior = random_latent(2000)
    string = sent(channel("d4"), values, prior).string()
    monkeypatch.setattr("latentopt.latents.lattice.placed.tables.MOST_ENTRIES", 0)
    own = channel("d4")
    own.tables = DitherTables(DENSITY, RULES["d4"])
    assert sent(own, values, prior).string() == string
    assert len(own.tables._axes) <= 1


# -- whole codecs ----------------------------------------------------------------------------------


def model() -> nn.Module:
    return tiny(FAMILIES["mbt2018-mean"])


def test_which_latents_are_dithered() -> None:
    kinds = {}
    for name in ("all", "main", "side"):
        codec = latentopt.wrap(model(), quant="hex", dither=Dither(3, name))
        kinds[name] = [type(own) for own in codec.assembly.channels]
    assert kinds == {
        "all": [DitherChannel, DitherChannel],
        "main": [DitherChannel, LatticeChannel],
        "side": [LatticeChannel, DitherChannel],
    }


def test_files_have_the_seed(tmp_path: Path) -> None:
    x, path = photo(64, 96), tmp_path / "x.lo"
    codec = latentopt.wrap(model(), quant="d4", dither=2**32 - 1)
    codec.save(path, x)
    found = Container.from_bytes(path.read_bytes(), 2)
    assert path.read_bytes()[3] == 2
    assert found.settings == codec.settings
    assert (found.settings.channel, found.settings.seed) == ("dither-all", 2**32 - 1)
    assert torch.equal(
        latentopt.wrap(model(), quant="d4", dither=2**32 - 1).load(path), codec(x)["x_hat"]
    )
    with pytest.raises(BitstreamError, match=r"seed=4294967295, not 1\b"):
        latentopt.wrap(model(), quant="d4", dither=1).load(path)
    assert "lattice d4, seed 4294967295" in str(codec.explain(path))


def test_seeds_give_other_noise() -> None:
    x = photo(64, 96)
    first, again, other = (latentopt.wrap(model(), dither=seed)(x)["x_hat"] for seed in (1, 1, 2))
    assert torch.equal(first, again) and not torch.equal(first, other)


def test_video(tmp_path: Path) -> None:
    codec, frames = latentopt.wrap(tiny_flow(), quant="e8", dither=9), moving(2, 60, 90)
    assert {own.settings.seed for own in codec.parts.values()} == {9}
    codec.save(tmp_path / "x.lov", frames)
    shown = zip(codec.load(tmp_path / "x.lov"), codec(frames)["x_hat"], strict=True)
    assert all(torch.equal(a, b) for a, b in shown)


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photograph, coded, decoded = (tmp_path / name for name in ("x.png", "x.lo", "y.png"))
    write_png(photograph, photo(64, 96))
    words = ["--codec", "tiny-mbt2018-mean", "--quality", 2, "--quant", "e8", "--dither", 77]
    assert run("encode", photograph, "-o", coded, *words, "--dithered", "main") == 0
    capsys.readouterr()
    assert run("info", coded) == 0
    shown = capsys.readouterr().out.split()
    assert "dither-main" in shown and "77" in shown and "e8" in shown
    assert run("decode", coded, "-o", decoded) == 0
    for options, says in (
        (["--dither", "-1"], "not a whole number"),
        (["--dither", str(2**32)], "not a whole number"),
        (["--dithered", "main"], "give a seed"),
        (["--dither", "1", "--preset", "fast"], "use the preset plain"),
        (["--dither", "1", "--format", "compressai"], "dither"),
    ):
        assert run("encode", photograph, "-o", tmp_path / "z.lo", *words[:4], *options) == 2
        assert says in capsys.readouterr().err


def test_what_excludes_a_dither() -> None:
    for words, says in (
        ({"preset": "default"}, "use the preset plain"),
        ({"scales": True}, "use the preset plain"),
        ({"pmf": "paper"}, "use the preset plain"),
    ):
        with pytest.raises(InputError, match=says):
            latentopt.wrap(model(), dither=1, **words)
    for seed in (-1, 2**32, True, 0.5):
        with pytest.raises(InputError, match=r"a whole number|expected a Dither"):
            latentopt.wrap(model(), dither=seed)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="choose all, main, side"):
        Dither(1, "both")
    with pytest.raises(InputError, match="dither=SEED"):
        latentopt.wrap(model(), channel="dither-all")


def test_headers_that_nothing_writes_are_refused(tmp_path: Path) -> None:
    """A channel that needs a seed without one, and a seed of a channel that has none."""
    path = tmp_path / "x.lo"
    latentopt.wrap(model(), quant="hex", dither=5).save(path, photo(64, 64))
    found = Container.from_bytes(path.read_bytes(), 2)
    for settings in (
        replace(found.settings, seed=None),
        replace(found.settings, channel="lattice"),
    ):
        path.write_bytes(replace(found, settings=settings).to_bytes())
        with pytest.raises(BitstreamError):
            latentopt.wrap(model(), quant="hex", dither=5).load(path)
        with pytest.raises(BitstreamError):
            latentopt.Recipe.reading(settings)


@pytest.mark.parametrize("change", [1, 0x80, 0xFF])
def test_damaged_seeds_are_refused(change: int) -> None:
    settings = Settings("e8", "exact", "density", True, channel="dither-all", seed=300)
    data = bytearray(Container(settings, 64, 64, b"WWWW", b"TTTT", (b"a", b"b")).to_bytes()[:-4])
    at = data.index(b"\x04\x02\xad\x02")  # tag, length, 301 as LEB128
    data[at + 1] ^= change
    with pytest.raises(BitstreamError):
        Container.from_bytes(bytes(data) + zlib.crc32(data).to_bytes(4, "little"), 2)


def test_names_are_those_of_the_command() -> None:
    from latentopt.cli import recipe

    assert tuple(DITHERED.values()) == recipe.DITHERED
