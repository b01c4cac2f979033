"""Symbols, packing, step codes and the file format: decode inverts encode, or is an error."""

import zlib
from typing import Any

import numpy as np
import pytest
from compressai.models.base import get_scale_table
from hypothesis import given, settings
from hypothesis import strategies as st

from latentopt import BitstreamError, Container, InputError
from latentopt.coding import (
    LatentCoder,
    Prior,
    Settings,
    decode_step,
    encode_step,
    pack,
    ship_tables,
    shipped,
    write_whole,
)
from latentopt.coding.ans import SymbolDecoder, SymbolEncoder, integer_bits
from latentopt.coding.shipped import shipped_tables
from latentopt.lattices import LATTICES
from latentopt.pmf import Counts, GaussianDensity

SCALES = np.array([0.11, 0.3, 0.6, 0.9, 2.0, 9.0])
CODERS = {name: LatentCoder(GaussianDensity(SCALES), lattice) for name, lattice in LATTICES.items()}


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
    coder = CODERS[name]
    values, prior = random_latent(seed, n, outlier)
    latent = coder.quantize(values, prior)
    string = coder.encode(latent, 77)
    decoded, code = coder.decode(string, prior)
    assert code == 77
    np.testing.assert_array_equal(decoded.hat, latent.hat)
    assert np.abs(latent.hat - values).max() <= 1.01  # the covering radius of E8 is 1
    assert len(string) * 8 <= latent.bits().sum() * 1.001 + 80


@pytest.mark.parametrize("name", list(LATTICES))
def test_rate_is_that_of_the_written_bytes(name: str) -> None:
    coder = CODERS[name]
    values, prior = random_latent(5, 60_000, 0.0)
    latent = coder.quantize(values, prior)
    bits = latent.bits().sum()
    assert len(coder.encode(latent, 0)) * 8 == pytest.approx(bits, rel=1e-3, abs=72)
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
    for name, coder in CODERS.items():
        latent = coder.quantize(values, wide)
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
        CODERS[name].quantize(values, prior)


@pytest.mark.parametrize("name", list(LATTICES))
def test_tables_survive_dump_and_load(name: str) -> None:
    coder = CODERS[name]
    wider = GaussianDensity(SCALES * 1.5)
    assert LatentCoder(wider, LATTICES[name]).digest() != coder.digest()
    other = LatentCoder(wider, LATTICES[name], dumped=coder.dump())
    assert other.digest() == coder.digest()
    assert other.lattices == coder.lattices
    values, prior = random_latent(8, 500, 40.0)
    latent = coder.quantize(values, prior)
    assert other.encode(other.quantize(values, prior), 0) == coder.encode(latent, 0)


def test_shipped_tables_are_taken_and_are_those_that_would_be_built(tmp_path, monkeypatch) -> None:
    density, hexagonal = GaussianDensity(SCALES), LATTICES["hex"]
    built = LatentCoder(density, hexagonal)
    marked = LatentCoder(GaussianDensity(SCALES * 1.5), hexagonal).dump()
    monkeypatch.setattr(shipped, "FOLDER", tmp_path)
    ship_tables(density, {"hex": marked})
    assert (LatentCoder(density, hexagonal).dump() == marked).all()
    assert LatentCoder(GaussianDensity(SCALES * 1.1), hexagonal).digest() != built.digest()
    assert LatentCoder(density, LATTICES["oct"]).dump().size != marked.size  # has no file: built
    assert LatentCoder(density.core, hexagonal, "paper").digest() != built.digest()
    shipped._read.cache_clear()


@pytest.mark.parametrize("name", list(LATTICES))
def test_the_package_has_the_tables_of_compressais_scale_table(name: str) -> None:
    density = GaussianDensity(get_scale_table().double().numpy())
    dumped = shipped_tables(density, name, "exact")
    assert dumped is not None, "run scripts/ship_tables.py"
    built = _built(density, name)
    assert built.shape == dumped.shape
    # Integration may round differently elsewhere, by a count of 2^24, never by more than a few.
    assert np.abs(built.astype(np.int64) - dumped).max() <= 16


def _built(density: GaussianDensity, name: str) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("latentopt.coding.latent.shipped_tables", lambda *_: None)
        return LatentCoder(density, LATTICES[name]).dump()


def test_paper_tables_round_trip_without_escape() -> None:
    for name in ("hex", "oct"):
        coder = LatentCoder(GaussianDensity(SCALES, tails=()), LATTICES[name], "paper")
        values, prior = random_latent(9, 3000, 30.0)
        latent = coder.quantize(values, prior)
        decoded, _ = coder.decode(coder.encode(latent, 0), prior)
        np.testing.assert_array_equal(decoded.hat, latent.hat)
    with pytest.raises(InputError, match="'exact' or 'paper'"):
        LatentCoder(GaussianDensity(SCALES), LATTICES["hex"], "best")


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


# -- container -------------------------------------------------------------------------------------

SETTINGS = Settings("oct", "exact", "density", True)


def container(strings: tuple[bytes, ...] = (b"main" * 50, b"side")) -> Container:
    return Container(SETTINGS, 300, 200, b"WWWW", b"TTTT", strings)


@given(
    st.sampled_from(list(LATTICES)),
    st.sampled_from(["exact", "paper"]),
    st.sampled_from(["density", "sign"]),
    st.booleans(),
    st.tuples(st.integers(1, 65535), st.integers(1, 65535)),
    st.lists(st.binary(max_size=300), min_size=1, max_size=3),
)
def test_container_round_trip(quant, pmf, direction, portable, size, strings) -> None:
    settings_ = Settings(quant, pmf, direction, portable)
    before = Container(settings_, *size, b"abcd", b"efgh", tuple(strings))
    data = before.to_bytes()
    assert Container.from_bytes(data, len(strings)) == before
    assert len(data) <= sum(map(len, strings)) + 24


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
