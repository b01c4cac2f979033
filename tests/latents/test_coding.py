"""Symbols, packing, step codes and the file format: decode inverts encode, or is an error."""

import zlib
from itertools import product
from typing import Any

import numpy as np
import pytest
from compressai.models.base import get_scale_table
from hypothesis import given, settings
from hypothesis import strategies as st
from support.crossing import received, sent, string_of

from latentopt import BitstreamError, Container, InputError
from latentopt.atomic import write_whole
from latentopt.bitstream import DIRECTIONS, NO_SHIFT, Settings, decode_step, encode_step
from latentopt.bitstream.ans import SymbolDecoder, SymbolEncoder, integer_bits
from latentopt.bitstream.steps import pack_steps, unpack_steps
from latentopt.densities import GaussianDensity
from latentopt.latents import Prior
from latentopt.latents.lattice import LatticeChannel, Moved, pack, ship_tables, shipped
from latentopt.latents.lattice.packing import pack_ahead
from latentopt.latents.lattice.shipped import shipped_tables
from latentopt.lattices import LATTICES, RULES
from latentopt.pmf import Counts

SCALES = np.array([0.11, 0.3, 0.6, 0.9, 2.0, 9.0])
CHANNELS = {name: LatticeChannel(GaussianDensity(SCALES), RULES[name]) for name in LATTICES}


# -- symbols ---------------------------------------------------------------------------------------


@given(
    st.lists(st.integers(0, 4), max_size=50),
    st.lists(st.integers(-(2**31) + 1, 2**31 - 1), max_size=20),
)
@settings(max_examples=60, deadline=None)
def test_symbols_and_integers_round_trip(symbols: list[int], integers: list[int]) -> None:
    counts = Counts.from_probabilities(np.array([0.9, 0.05, 0.03, 0.02, 0.0]))
    encoder = SymbolEncoder()
    encoder.run(counts, np.array(symbols, dtype=np.int32))
    encoder.integers(np.array(integers, dtype=np.int64))
    data = encoder.finish()
    decoder = SymbolDecoder(data)
    assert decoder.run(counts, len(symbols)).tolist() == symbols
    assert decoder.integers(len(integers)).tolist() == integers
    decoder.finish()
    ideal = counts.bits[symbols].sum() + integer_bits(np.array(integers, dtype=np.int64)).sum()
    assert len(data) * 8 <= ideal + 64


def test_left_over_data_is_an_error() -> None:
    counts = Counts.from_probabilities(np.ones(5))
    encoder = SymbolEncoder()
    encoder.run(counts, np.arange(5, dtype=np.int32).repeat(9))
    decoder = SymbolDecoder(encoder.finish())
    decoder.run(counts, 44)
    with pytest.raises(BitstreamError, match="does not end where the symbols do"):
        decoder.finish()
    with pytest.raises(BitstreamError, match="zero byte"):
        SymbolDecoder(b"abc\0")


# -- packing ---------------------------------------------------------------------------------------


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_vectors_formed_ahead_do_not_depend_on_what_levels_become(data: st.DataObject) -> None:
    rule = RULES[data.draw(st.sampled_from(["hex", "d4", "e8", "auto"]))]
    lattices = [LATTICES["int"]] * 2 + [rule.wide] * 3
    ahead = np.array(data.draw(st.lists(st.integers(0, 4), max_size=60)), np.int64)
    size = st.lists(st.integers(0, 4), min_size=len(ahead), max_size=len(ahead))
    parts, others = (
        pack_ahead(np.array(data.draw(size), np.int16), ahead, lattices) for _ in range(2)
    )
    index = np.concatenate([np.zeros(0, int), *(part.index.ravel() for part in parts)])
    assert sorted(index) == list(range(len(ahead)))
    [inside, again] = ([p.index for p in some if isinstance(p, Moved)] for some in (parts, others))
    assert len(inside) == len(again) == bool((ahead > 1).sum() >= rule.wide.dim)
    for vectors, same in zip(inside, again):
        np.testing.assert_array_equal(vectors, same)
        assert (np.diff(ahead[vectors.ravel()]) >= 0).all()
        left = np.setdiff1d(np.flatnonzero(ahead > 1), vectors)
        assert len(left) < rule.wide.dim


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_packing_is_a_partition_into_vectors_of_one_level(data: st.DataObject) -> None:
    names = st.sampled_from(["int", "hex", "oct", "e8"])
    lattices = [LATTICES[name] for name in data.draw(st.lists(names, min_size=1, max_size=5))]
    level = st.integers(0, len(lattices) - 1)
    levels = np.array(data.draw(st.lists(level, min_size=1, max_size=200)), dtype=np.int16)
    seen = []
    for part in pack(levels, lattices):
        assert part.index.shape[1] == part.lattice.dim
        np.testing.assert_array_equal(
            levels[part.index], part.levels[:, None].repeat(part.lattice.dim, 1)
        )
        for lv, start, stop in part.runs:
            assert part.lattice in (lattices[lv], LATTICES["int"])
            if part.lattice is not lattices[lv]:
                assert stop - start < lattices[lv].dim  # left over
            flat = part.index[start:stop].ravel()
            assert (np.diff(flat) > 0).all()  # raster order
        seen.append(part.index.ravel())
    np.testing.assert_array_equal(np.sort(np.concatenate(seen)), np.arange(len(levels)))


# -- latents ---------------------------------------------------------------------------------------


def random_latent(seed: int, n: int, outlier: float) -> tuple[np.ndarray, Prior]:
    generator = np.random.default_rng(seed)
    levels = generator.integers(0, len(SCALES), n).astype(np.int16)
    centres = generator.normal(0, 3, n)
    values = centres + SCALES[levels] * generator.standard_normal(n)
    values[:: max(1, n // 3)] += outlier
    return values, Prior((1, 1, n), levels, centres)


@pytest.mark.parametrize("name", list(LATTICES))
@given(seed=st.integers(0, 2**32), n=st.integers(1, 400), outlier=st.floats(-1e6, 1e6))
@settings(max_examples=40, deadline=None)
def test_latent_round_trip(name: str, seed: int, n: int, outlier: float) -> None:
    channel = CHANNELS[name]
    values, prior = random_latent(seed, n, outlier)
    latent = sent(channel, values, prior)
    string = string_of(latent, [77])
    decoded = received(channel, string, prior)
    assert decoded.step_codes == [77]
    np.testing.assert_array_equal(decoded.latent.hat, latent.hat)
    assert np.abs(latent.hat - values).max() <= 1.01  # the covering radius of E8 is 1
    assert len(string) * 8 <= latent.bits().sum() * 1.001 + 80


@pytest.mark.parametrize("name", list(LATTICES))
def test_rate_is_that_of_the_written_bytes(name: str) -> None:
    values, prior = random_latent(5, 60_000, 0.0)
    latent = sent(CHANNELS[name], values, prior)
    bits = latent.bits().sum()
    assert len(string_of(latent, [0])) * 8 == pytest.approx(bits, rel=1e-3, abs=72)
    sampled = [np.log(s * np.sqrt(2 * np.pi * np.e)) / np.log(2) for s in SCALES[3:]]
    wide = np.isin(prior.levels, [4, 5])
    assert latent.bits()[wide].mean() == pytest.approx(np.mean(sampled[1:]), rel=0.03)


def test_lattices_beat_rounding_at_equal_rate() -> None:
    """Space-filling gain: at the same rate, the error is smaller by the ratio of second moments."""
    values, prior = random_latent(6, 60_000, 0.0)
    values, prior = values[prior.levels >= 4], prior  # wide levels alone
    levels = prior.levels[prior.levels >= 4]
    wide = Prior((1, 1, len(levels)), levels, prior.centres[prior.levels >= 4])
    errors, bits = {}, {}
    for name, channel in CHANNELS.items():
        latent = sent(channel, values, wide)
        errors[name] = np.square(latent.hat - values).mean()
        bits[name] = latent.bits().mean()
    for name, lattice in LATTICES.items():
        assert bits[name] == pytest.approx(bits["int"], abs=0.01)
        assert errors[name] == pytest.approx(lattice.second_moment, rel=0.02)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e12])
@pytest.mark.parametrize("name", list(LATTICES))
def test_broken_latents_are_refused(name: str, bad: float) -> None:
    values, prior = random_latent(7, 50, 0.0)
    values[13] = bad
    with pytest.raises(InputError, match="NaN, infinite or beyond"):
        sent(CHANNELS[name], values, prior)


@pytest.mark.parametrize("name", list(LATTICES))
def test_tables_survive_dump_and_load(name: str) -> None:
    channel = CHANNELS[name]
    wider = GaussianDensity(SCALES * 1.5)
    assert LatticeChannel(wider, RULES[name]).digest() != channel.digest()
    other = LatticeChannel(wider, RULES[name], dumped=channel.dump())
    assert other.digest() == channel.digest()
    assert other.tables.lattices == channel.tables.lattices
    values, prior = random_latent(8, 500, 40.0)
    strings = [string_of(sent(each, values, prior), [0]) for each in (other, channel)]
    assert strings[0] == strings[1]


def test_shipped_tables_are_taken_and_are_those_that_would_be_built(tmp_path, monkeypatch) -> None:
    density, hexagonal = GaussianDensity(SCALES), RULES["hex"]
    built = LatticeChannel(density, hexagonal)
    marked = LatticeChannel(GaussianDensity(SCALES * 1.5), hexagonal).dump()
    monkeypatch.setattr(shipped, "FOLDER", tmp_path)
    ship_tables(density, {"hex": marked})
    assert (LatticeChannel(density, hexagonal).dump() == marked).all()
    assert LatticeChannel(GaussianDensity(SCALES * 1.1), hexagonal).digest() != built.digest()
    assert LatticeChannel(density, RULES["oct"]).dump().size != marked.size  # has no file: built
    assert LatticeChannel(density.core, hexagonal, "paper").digest() != built.digest()
    shipped._read.cache_clear()


@pytest.mark.parametrize("name", list(LATTICES))
def test_the_package_has_the_tables_of_compressais_scale_table(name: str) -> None:
    density = GaussianDensity(get_scale_table().double().numpy())
    dumped = shipped_tables(density.fingerprint, name, "exact")
    assert dumped is not None, "run scripts/ship_tables.py"
    built = _built(density, name)
    assert built.shape == dumped.shape
    # Integration may round differently elsewhere, by a count of 2^24, never by more than a few.
    assert np.abs(built.astype(np.int64) - dumped).max() <= 16


def _built(density: GaussianDensity, name: str) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("latentopt.latents.lattice.tables.shipped_tables", lambda *_: None)
        return LatticeChannel(density, RULES[name]).dump()


def test_paper_tables_round_trip_without_escape() -> None:
    for name in ("hex", "oct"):
        channel = LatticeChannel(GaussianDensity(SCALES, tails=()), RULES[name], "paper")
        values, prior = random_latent(9, 3000, 30.0)
        latent = sent(channel, values, prior)
        decoded = received(channel, string_of(latent, [0]), prior).latent
        np.testing.assert_array_equal(decoded.hat, latent.hat)
    with pytest.raises(InputError, match="'exact' or 'paper'"):
        LatticeChannel(GaussianDensity(SCALES), RULES["hex"], "best")


# -- step sizes ------------------------------------------------------------------------------------


@given(st.floats(2e-4, 9) | st.floats(-9, -2e-4))
def test_step_codes_are_near(step: float) -> None:
    code = encode_step(step)
    assert 0 < code < 256
    assert decode_step(code) == pytest.approx(step, rel=0.045)
    assert encode_step(decode_step(code)) == code


def test_every_step_code_means_something() -> None:
    steps = [decode_step(code) for code in range(256)]
    assert all(np.isfinite(steps))
    assert encode_step(0.0) == encode_step(1e-9) == encode_step(float("nan")) == 0


@given(st.data())
def test_step_codes_of_a_latent_round_trip(data: st.DataObject) -> None:
    count = data.draw(st.sampled_from(sorted(set(DIRECTIONS.values()))))
    code = st.just(NO_SHIFT) | st.integers(0, 255)
    codes = data.draw(st.lists(code, min_size=count, max_size=count))
    rest = data.draw(st.binary(max_size=20))
    packed = pack_steps(codes)
    assert unpack_steps(packed + rest, count) == (codes, rest)
    assert len(packed) == (1 if count == 1 else 1 + sum(c != NO_SHIFT for c in codes))
    for length in range(len(packed)):
        with pytest.raises(BitstreamError):
            unpack_steps(packed[:length], count)


@given(st.binary(max_size=12), st.sampled_from(sorted(set(DIRECTIONS.values()))))
def test_steps_of_garbage_are_an_error_or_what_it_says(string: bytes, count: int) -> None:
    try:
        codes, rest = unpack_steps(string, count)
    except BitstreamError:
        return
    assert len(codes) == count and pack_steps(codes) + rest == string


@pytest.mark.parametrize("string", [b"", b"\x40\x10", b"\x01\x00", b"\x03\x64"])
def test_heads_that_no_encoder_writes_are_refused(string: bytes) -> None:
    """Nothing; a seventh step; a step that is none; a step that is missing."""
    with pytest.raises(BitstreamError, match=r"truncated|corrupt"):
        unpack_steps(string, 6)


@pytest.mark.parametrize("name", list(RULES))
def test_a_latents_directions_follow_from_its_points(name: str) -> None:
    channel = LatticeChannel(GaussianDensity(SCALES), RULES[name])
    values, prior = random_latent(11, 3000, 0.0)
    latent = sent(channel, values, prior)
    for direction, count in DIRECTIONS.items():
        assert latent.directions(direction).shape == (count, len(values))
    [sign] = latent.directions("sign")
    np.testing.assert_array_equal(sign, np.sign(latent.hat - prior.centres))
    split = latent.directions("split")
    np.testing.assert_array_equal(split.sum(axis=0), sign)
    assert (np.abs(split).sum(axis=0) <= 1).all()  # each element has one step size
    for part in split:
        assert len(set(prior.levels[part != 0].tolist())) <= 2  # of one range of spread
    [gradient] = latent.directions("density")
    assert (gradient * sign >= 0).all() and (gradient != 0).any()


# -- container -------------------------------------------------------------------------------------

SETTINGS = Settings("oct", "exact", "density", True)


def container(strings: tuple[bytes, ...] = (b"main" * 50, b"side")) -> Container:
    return Container(SETTINGS, 300, 200, b"WWWW", b"TTTT", strings)


@given(
    st.sampled_from(list(RULES)),
    st.sampled_from(["exact", "paper"]),
    st.sampled_from(list(DIRECTIONS)),
    st.booleans(),
    st.booleans(),
    st.tuples(st.integers(1, 65535), st.integers(1, 65535)),
    st.lists(st.binary(max_size=300), min_size=1, max_size=3),
)
def test_container_round_trip(quant, pmf, direction, portable, scales, size, strings) -> None:
    settings_ = Settings(quant, pmf, direction, portable, scales)
    before = Container(settings_, *size, b"abcd", b"efgh", tuple(strings))
    data = before.to_bytes()
    assert Container.from_bytes(data, len(strings)) == before
    assert len(data) <= sum(map(len, strings)) + 24


def test_settings_of_every_kind_are_one_byte() -> None:
    flags = [(False, False), (False, True), (True, False), (True, True)]
    every = [
        Settings(quant, pmf, direction, portable, scales)
        for quant, pmf, direction, (portable, scales) in product(
            RULES, ["exact", "paper"], DIRECTIONS, flags
        )
    ]
    known = {made.to_byte(): made for made in every}
    assert len(known) == len(every) and all(0 <= byte < 256 for byte in known)
    for byte in range(256):
        if byte in known:
            assert Settings.from_byte(byte) == known[byte]
        else:
            with pytest.raises(BitstreamError, match=f"{byte:#04x} is unknown"):
                Settings.from_byte(byte)


def test_settings_of_the_first_files_keep_their_bytes() -> None:
    """The names' places are part of the format: new ones come last."""
    assert Settings("int", "exact", "density", False).to_byte() == 0
    assert Settings("e8", "paper", "sign", True).to_byte() == 4 | 1 << 3 | 1 << 4 | 1 << 6
    assert Settings("auto", "exact", "split", False, True).to_byte() == 5 | 2 << 4 | 1 << 7


@given(st.binary(max_size=400))
def test_garbage_is_a_bitstream_error(data: bytes) -> None:
    with pytest.raises(BitstreamError):
        Container.from_bytes(data, 2)


@given(st.integers(0, 10_000), st.integers(1, 255))
def test_any_changed_byte_is_noticed(place: int, change: int) -> None:
    data = bytearray(container().to_bytes())
    data[place % len(data)] ^= change
    with pytest.raises(BitstreamError):
        Container.from_bytes(bytes(data), 2)


@given(st.integers(0, 10_000))
def test_any_truncation_is_noticed(length: int) -> None:
    data = container().to_bytes()
    with pytest.raises(BitstreamError):
        Container.from_bytes(data[: length % len(data)], 2)


@given(st.binary(min_size=14, max_size=60))
def test_headers_with_a_valid_checksum_are_still_checked(body: bytes) -> None:
    """An adversary can seal anything: the parser must answer, or say BitstreamError."""
    data = b"\xacLO\x01" + body
    data += zlib.crc32(data).to_bytes(4, "little")
    try:
        parsed = Container.from_bytes(data, 3)
    except BitstreamError:
        return
    assert sum(map(len, parsed.strings)) <= len(data)


def test_too_large_for_the_format() -> None:
    with pytest.raises(InputError, match="65535"):
        Container(SETTINGS, 70000, 2, b"abcd", b"efgh", (b"",)).to_bytes()


def test_files_are_written_whole_or_not_at_all(tmp_path, monkeypatch) -> None:
    path = tmp_path / "a.lo"
    path.write_bytes(b"old")
    monkeypatch.setattr(
        "os.replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left"))
    )
    with pytest.raises(InputError, match="No space left"):
        write_whole(path, b"new")
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]
    with pytest.raises(InputError, match="cannot write"):
        write_whole(tmp_path / "missing" / "a.lo", b"new")
