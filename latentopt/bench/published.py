"""Published rate-distortion curves of CompressAI's zoo codecs, as data."""

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from latentopt.errors import InputError


@dataclass(frozen=True)
class RdCurve:
    """One codec on one data set, lowest rate first."""

    codec: str
    data: str
    bpp: tuple[float, ...]
    psnr_db: tuple[float, ...]
    """RGB."""
    ms_ssim: tuple[float, ...]
    """RGB, linear (not in dB)."""


@cache
def _table() -> dict[str, Any]:
    return json.loads(files("latentopt.bench").joinpath("data/published_rd.json").read_text())


def data_sets() -> tuple[str, ...]:
    """Data sets with published curves.

    >>> data_sets()
    ('kodak', 'clic2020-professional')
    """
    return tuple(_table()["curves"])


def published_curve(codec: str, data: str = "kodak") -> RdCurve:
    """The published curve (weights trained for MSE); InputError where there is none.

    >>> curve = published_curve("bmshj2018-factorized")
    >>> f"{curve.bpp[1]:.4f} bpp, {curve.psnr_db[1]:.2f} dB"
    '0.1885 bpp, 28.22 dB'
    """
    curves = _table()["curves"]
    if data not in curves:
        raise InputError(f"no published curves on {data!r}; known: {', '.join(curves)}")
    if codec not in curves[data]:
        raise InputError(
            f"no published curve of {codec!r} on {data}; known: {', '.join(curves[data])}"
        )
    values = curves[data][codec]
    return RdCurve(
        codec,
        data,
        tuple(values["bpp"]),
        tuple(values["psnr_rgb_db"]),
        tuple(values["ms_ssim_rgb"]),
    )
