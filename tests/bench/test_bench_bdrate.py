"""Bjøntegaard differences, against an independent implementation and by their laws."""

import math

import bjontegaard
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from latentopt.bench.bdrate import bd_psnr, bd_rate, db_per_doubling, rate_at_equal_psnr
from latentopt.bench.published import data_sets, published_curve
from latentopt.errors import InputError, RateRangeError

CODECS = ("bmshj2018-factorized", "bmshj2018-hyperprior", "mbt2018-mean", "mbt2018")
BPP, DB = [0.1, 0.2, 0.4, 0.8], [28.0, 30.5, 33.5, 36.0]


@pytest.mark.parametrize("method", ["pchip", "cubic"])
@pytest.mark.parametrize("points", [4, 8])
@pytest.mark.parametrize("codec", CODECS[1:])
def test_agrees_with_bjontegaard_package(codec: str, points: int, method: str) -> None:
    a, b = published_curve(CODECS[0]), published_curve(codec)
    ra, qa, rb, qb = (v[:points] for v in (a.bpp, a.psnr_db, b.bpp, b.psnr_db))
    rate = bjontegaard.bd_rate(ra, qa, rb, qb, method=method, min_overlap=0)
    psnr = bjontegaard.bd_psnr(ra, qa, rb, qb, method=method, min_overlap=0)
    assert bd_rate(ra, qa, rb, qb, method) == pytest.approx(rate, abs=1e-9)
    assert bd_psnr(ra, qa, rb, qb, method) == pytest.approx(psnr, abs=1e-9)


@settings(max_examples=50, deadline=None)
@given(
    gaps=st.lists(st.floats(0.3, 3.0), min_size=4, max_size=7),
    growth=st.lists(st.floats(0.05, 0.6), min_size=7, max_size=7),
    factor=st.floats(0.5, 2.0),
)
def test_laws(gaps: list[float], growth: list[float], factor: float) -> None:
    db = 25 + np.cumsum(gaps)
    bpp = 0.1 * 10 ** np.cumsum(growth[: len(db)])
    mixed = np.random.default_rng(0).permutation(len(db))
    for method in ("pchip", "cubic"):
        percent = bd_rate(bpp, db, factor * bpp[mixed], db[mixed], method)
        assert percent == pytest.approx(100 * (factor - 1), abs=1e-6)
        assert bd_psnr(bpp, db, bpp[mixed], db[mixed] + 0.3, method) == pytest.approx(0.3, abs=1e-6)


@pytest.mark.parametrize("difference", [bd_rate, bd_psnr])
def test_undefined_differences_say_why(difference: object) -> None:
    assert callable(difference)
    with pytest.raises(RateRangeError, match="needs 4 rate points, the first curve has 3"):
        difference(BPP[:3], DB[:3], BPP, DB)
    with pytest.raises(RateRangeError, match="4 rates but 3 PSNR"):
        difference(BPP, DB, BPP, DB[:3])
    with pytest.raises(RateRangeError, match="NaN"):
        difference(BPP, DB, BPP, [*DB[:3], math.nan])
    with pytest.raises(RateRangeError, match="infinity"):
        difference(BPP, DB, BPP, [*DB[:3], math.inf])
    with pytest.raises(RateRangeError, match="rates are positive"):
        difference([0.0, *BPP[1:]], DB, BPP, DB)
    with pytest.raises(InputError, match="unknown method"):
        difference(BPP, DB, BPP, DB, "akima")


def test_ranges_that_do_not_meet() -> None:
    with pytest.raises(RateRangeError, match=r"share no PSNR: one spans 28\.00 to 36\.00 dB"):
        bd_rate(BPP, DB, BPP, [q + 8.0 for q in DB])
    with pytest.raises(RateRangeError, match=r"share no rate: one spans 0\.1 to 0\.8"):
        bd_psnr(BPP, DB, [10 * r for r in BPP], DB)


def test_pchip_needs_rising_psnr_and_cubic_does_not() -> None:
    dented = [28.0, 31.0, 30.5, 36.0]
    with pytest.raises(RateRangeError, match=r"31 is followed by 30\.5"):
        bd_rate(BPP, DB, BPP, dented)
    assert math.isfinite(bd_rate(BPP, DB, BPP, dented, "cubic"))
    assert math.isfinite(bd_psnr(BPP, DB, BPP, dented))
    with pytest.raises(RateRangeError, match="rate does not increase"):
        bd_psnr(BPP, DB, [0.1, 0.1, 0.4, 0.8], DB)
    with pytest.raises(RateRangeError, match="4 different"):
        bd_rate(BPP, DB, BPP, [28.0, 30.0, 30.0, 36.0], "cubic")


def test_rate_at_equal_psnr() -> None:
    curve = published_curve("mbt2018-mean")
    for bpp, db in zip(curve.bpp, curve.psnr_db):
        reading = rate_at_equal_psnr(0.8 * bpp, db, curve.bpp, curve.psnr_db)
        assert reading == pytest.approx(-20.0, abs=1e-9)
    with pytest.raises(RateRangeError, match=r"27\.00 dB lies outside the curve.*27\.70 to 40\.63"):
        rate_at_equal_psnr(0.1, 27.0, curve.bpp, curve.psnr_db)
    with pytest.raises(RateRangeError, match="NaN"):
        rate_at_equal_psnr(0.1, math.nan, curve.bpp, curve.psnr_db)
    with pytest.raises(RateRangeError, match="at least 2 points"):
        rate_at_equal_psnr(0.1, 30.0, [0.1], [30.0])


def test_db_per_doubling_of_a_known_codec() -> None:
    curve = published_curve("bmshj2018-factorized")
    # Between q1 and q2 the curve gains 2.1 dB per doubling (shared/design.md).
    middle = (curve.psnr_db[0] + curve.psnr_db[1]) / 2
    assert db_per_doubling(middle, curve.bpp, curve.psnr_db) == pytest.approx(2.1, abs=0.05)


def test_published_curves_are_ordered() -> None:
    for data in data_sets():
        for codec in ["ssf2020"] if data == "uvg" else CODECS:
            curve = published_curve(codec, data)
            assert list(curve.bpp) == sorted(curve.bpp)
            assert list(curve.psnr_db) == sorted(curve.psnr_db)
            assert len(curve.bpp) == len(curve.psnr_db) == len(curve.ms_ssim)
    with pytest.raises(InputError, match="no published curves on 'tecnick'; known: kodak"):
        published_curve("mbt2018", "tecnick")
    with pytest.raises(InputError, match="no published curve of 'vvc'"):
        published_curve("vvc")
