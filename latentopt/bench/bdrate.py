"""Bjøntegaard differences between rate-distortion curves, and single points against a curve.

G. Bjøntegaard, "Calculation of average PSNR differences between RD-curves", VCEG-M33, 2001, with
the logarithm of the rate to base 10. ``cubic`` is the document's third-order polynomial (a least
squares fit beyond four points), and a `LatentoptWarning` says where it bends so that its figure
means nothing; ``pchip`` is the piecewise cubic that later JVET practice uses.
"""

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator

from latentopt.errors import InputError, LatentoptWarning, RateRangeError

Method = Literal["pchip", "cubic"]
Values = Sequence[float] | NDArray[np.float64]
_Integral = Callable[[float, float], float]

MIN_POINTS = 4


@dataclass(frozen=True)
class Rates:
    """A range of rates, in the curve's unit."""

    low: float = 0.0
    high: float = math.inf


def bd_rate(
    rate_a: Values,
    psnr_a: Values,
    rate_b: Values,
    psnr_b: Values,
    method: Method = "pchip",
    rates: Rates | None = None,
) -> float:
    """Mean rate of curve b against curve a at equal PSNR, in percent (negative: b is smaller).

    Rates in any common unit (bpp, bytes), PSNR in dB; the order of the points does not matter.
    With ``rates``, only the PSNR is compared at which curve a lies in that range.

    >>> a_bpp, db = [0.1, 0.2, 0.4, 0.8], [28.0, 31.0, 34.0, 37.0]
    >>> f"{bd_rate(a_bpp, db, [0.9 * r for r in a_bpp], db):.3f}"
    '-10.000'
    """
    log_a, q_a = _curve(rate_a, psnr_a, "first")
    log_b, q_b = _curve(rate_b, psnr_b, "second")
    psnr_range = _psnr_range(log_a, q_a, rates) if rates else (-math.inf, math.inf)
    difference = _mean_difference(q_a, log_a, q_b, log_b, method, "PSNR", psnr_range)
    return float((10.0**difference - 1.0) * 100.0)


def bd_psnr(
    rate_a: Values,
    psnr_a: Values,
    rate_b: Values,
    psnr_b: Values,
    method: Method = "pchip",
) -> float:
    """Mean PSNR of curve b minus curve a at equal rate, in dB (positive: b is better).

    >>> bpp, a_db = [0.1, 0.2, 0.4, 0.8], [28.0, 31.0, 34.0, 37.0]
    >>> f"{bd_psnr(bpp, a_db, bpp, [q + 0.5 for q in a_db]):.3f}"
    '0.500'
    """
    log_a, q_a = _curve(rate_a, psnr_a, "first")
    log_b, q_b = _curve(rate_b, psnr_b, "second")
    return float(_mean_difference(log_a, q_a, log_b, q_b, method, "rate"))


def rate_at_equal_psnr(
    bpp: float, psnr_db: float, curve_bpp: Values, curve_psnr_db: Values
) -> float:
    """Rate of one point against a curve's rate at the same PSNR, in percent (negative: smaller).

    The curve is read as log rate over PSNR, interpolated by PCHIP; it is never extrapolated.

    >>> f"{rate_at_equal_psnr(0.27, 32.5, [0.15, 0.3, 0.6], [30.0, 32.5, 35.0]):.1f}"
    '-10.0'
    """
    rate, _ = _checked([bpp], [psnr_db], "point")
    log_rate, _ = _rate_over_psnr(psnr_db, curve_bpp, curve_psnr_db)
    return float((10.0 ** (np.log10(rate[0]) - log_rate) - 1.0) * 100.0)


def db_per_doubling(psnr_db: float, curve_bpp: Values, curve_psnr_db: Values) -> float:
    """Local slope of a curve at ``psnr_db``: dB gained by doubling the rate.

    >>> f"{db_per_doubling(31.0, [0.1, 0.2, 0.4], [28.0, 31.0, 34.0]):.2f}"
    '3.00'
    """
    _, slope = _rate_over_psnr(psnr_db, curve_bpp, curve_psnr_db)
    return float(np.log10(2.0) / slope)


def _rate_over_psnr(psnr_db: float, bpp: Values, curve_db: Values) -> tuple[float, float]:
    """log10 of the rate at ``psnr_db``, and its slope per dB."""
    rate, q = _checked(bpp, curve_db, "published")
    if len(q) < 2:
        raise RateRangeError(f"a curve needs at least 2 points, this one has {len(q)}")
    order = np.argsort(rate, kind="stable")
    rate, q = rate[order], q[order]
    _require_increasing(q, "PSNR")
    if not q[0] <= psnr_db <= q[-1]:
        raise RateRangeError(
            f"{psnr_db:.2f} dB lies outside the curve, which spans {q[0]:.2f} to {q[-1]:.2f} dB"
        )
    interpolant = PchipInterpolator(q, np.log10(rate))
    return float(interpolant(psnr_db)), float(interpolant(psnr_db, 1))


def _checked(
    rate: Values, psnr: Values, which: str
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    r, q = np.asarray(rate, dtype=np.float64), np.asarray(psnr, dtype=np.float64)
    if r.ndim != 1 or r.shape != q.shape:
        raise RateRangeError(f"the {which} curve has {r.size} rates but {q.size} PSNR values")
    if not (np.isfinite(r).all() and np.isfinite(q).all()):
        raise RateRangeError(f"the {which} curve holds NaN or infinity (a lossless point?)")
    if (r <= 0).any():
        raise RateRangeError(f"the {which} curve holds the rate {r.min():g}: rates are positive")
    return r, q


def _curve(
    rate: Values, psnr: Values, which: str
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(log10 rate, PSNR) in order of rate, fit for a Bjøntegaard difference."""
    r, q = _checked(rate, psnr, which)
    if len(r) < MIN_POINTS:
        raise RateRangeError(f"needs {MIN_POINTS} rate points, the {which} curve has {len(r)}")
    order = np.argsort(r, kind="stable")
    return np.log10(r[order]), q[order]


def _psnr_range(
    log_rate: NDArray[np.float64], psnr: NDArray[np.float64], rates: Rates
) -> tuple[float, float]:
    """(low, high) of the PSNR at which a curve lies in a range of rates."""
    _require_increasing(log_rate, "rate")
    low, high = max(rates.low, 10 ** log_rate[0]), min(rates.high, 10 ** log_rate[-1])
    if not low < high:
        raise RateRangeError(
            f"the first curve has no rates from {rates.low:g} to {rates.high:g}: it spans "
            f"{_span(log_rate, 'rate')}"
        )
    psnr_of = PchipInterpolator(log_rate, psnr)
    return float(psnr_of(np.log10(low))), float(psnr_of(np.log10(high)))


def _mean_difference(
    x_a: NDArray[np.float64],
    y_a: NDArray[np.float64],
    x_b: NDArray[np.float64],
    y_b: NDArray[np.float64],
    method: Method,
    axis: str,
    within: tuple[float, float] = (-math.inf, math.inf),
) -> float:
    """Mean of y_b(x) - y_a(x) over the x ``within`` a range that both curves cover."""
    low, high = max(x_a.min(), x_b.min(), within[0]), min(x_a.max(), x_b.max(), within[1])
    if not low < high:
        raise RateRangeError(
            f"the curves share no {axis}: one spans {_span(x_a, axis)}, "
            f"the other {_span(x_b, axis)}"
        )
    integral_a, integral_b = _integral(x_a, y_a, method, axis), _integral(x_b, y_b, method, axis)
    return (integral_b(low, high) - integral_a(low, high)) / (high - low)


def _span(x: NDArray[np.float64], axis: str) -> str:
    if axis == "PSNR":
        return f"{x.min():.2f} to {x.max():.2f} dB"
    return f"{10 ** x.min():.4g} to {10 ** x.max():.4g}"


def _integral(
    x: NDArray[np.float64], y: NDArray[np.float64], method: Method, axis: str
) -> _Integral:
    if method == "pchip":
        _require_increasing(x, axis)
        pchip = PchipInterpolator(x, y)
        return lambda low, high: float(pchip.integrate(low, high))
    if method == "cubic":
        if len(np.unique(x)) < MIN_POINTS:
            raise RateRangeError(f"a cubic needs {MIN_POINTS} different {axis} values")
        return partial(_cubic_integral, x, y, axis)
    raise InputError(f"unknown method {method!r}; known: pchip, cubic")


def _cubic_integral(
    x: NDArray[np.float64], y: NDArray[np.float64], axis: str, low: float, high: float
) -> float:
    centre = x.mean()  # the fit is ill-conditioned far from 0
    fit = np.polyfit(x - centre, y, 3)
    if _falls(fit, low - centre, high - centre):
        other = "rate" if axis == "PSNR" else "PSNR"
        warnings.warn(
            f"the cubic through a curve of {_span(x, axis)} has less {other} at more {axis}, as no "
            "codec has: its difference means nothing; use pchip, or drop the point that is off",
            LatentoptWarning,
            stacklevel=5,
        )
    primitive = np.polyint(fit)
    return float(np.polyval(primitive, high - centre) - np.polyval(primitive, low - centre))


def _falls(fit: NDArray[np.float64], low: float, high: float) -> bool:
    """Whether a cubic does not rise all over a range."""
    slope = np.polyder(fit)
    bend = -slope[1] / (2 * slope[0]) if slope[0] else low  # where the slope is least, or largest
    return bool(min(np.polyval(slope, [low, high, np.clip(bend, low, high)])) <= 0)


def _require_increasing(x: NDArray[np.float64], axis: str) -> None:
    steps = np.diff(x)
    if (steps <= 0).any():
        at = int(np.argmax(steps <= 0))
        before, after = (x[at], x[at + 1]) if axis == "PSNR" else (10 ** x[at], 10 ** x[at + 1])
        raise RateRangeError(
            f"{axis} does not increase along the curve ({before:.4g} is followed by {after:.4g}); "
            "no difference is defined for it: drop or measure again the point that is off"
        )
