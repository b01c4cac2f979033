"""What others published, as data: curves of CompressAI's zoo codecs, gains of the paper."""

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
def _data(name: str) -> dict[str, Any]:
    return json.loads(files("latentopt.bench").joinpath(f"data/{name}.json").read_text())


def data_sets() -> tuple[str, ...]:
    """Data sets with published curves.

    >>> data_sets()
    ('kodak', 'clic2020-professional', 'uvg')
    """
    return tuple(_data("published_rd")["curves"])


def published_curve(codec: str, data: str = "kodak") -> RdCurve:
    """The published curve (weights trained for MSE); InputError where there is none.

    >>> curve = published_curve("bmshj2018-factorized")
    >>> f"{curve.bpp[1]:.4f} bpp, {curve.psnr_db[1]:.2f} dB"
    '0.1885 bpp, 28.22 dB'
    """
    curves = _data("published_rd")["curves"]
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


UVG_AVERAGE = "UVG average"
"""The row of `paper_gain` on all of UVG; it is not the mean of UVG's rows."""

_PAPER_CODECS = {"ssf2020": "ssf"}
_PAPER_COLUMNS = {"hex": "hex", "oct": "oct", "shift": "shift", "oct+shift": "join"}


def paper_sequences() -> tuple[str, ...]:
    """Sequences of the paper's Table 2.

    >>> paper_sequences()[:2]
    ('Beauty', 'Bosphorus')
    """
    return tuple(row for row in _data("paper_table2")["rows"] if row != UVG_AVERAGE)


def paper_gain(family: str, sequence: str, config: str) -> float | None:
    """BD-rate in percent of Table 2: of a video codec on a sequence; None where it has none.

    >>> paper_gain("ssf2020", "Beauty", "oct+shift"), paper_gain("ssf2020", "foreman_cif", "oct")
    (-1.76, None)
    """
    table = _data("paper_table2")
    column = f"{_PAPER_CODECS.get(family)}/{_PAPER_COLUMNS.get(config)}"
    if sequence not in table["rows"] or column not in table["columns"]:
        return None
    return table["rows"][sequence][table["columns"].index(column)]
