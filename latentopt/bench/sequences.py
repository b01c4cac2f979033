"""BD-rate of each sequence of video, as in the paper's Table 2, with its values beside."""

import math
from collections.abc import Iterator
from typing import TypedDict

import pandas as pd

from latentopt import zoo
from latentopt.bench.bdrate import Rates, bd_rate
from latentopt.bench.configs import BASELINE
from latentopt.bench.published import UVG_AVERAGE, paper_gain
from latentopt.bench.summary import Curve, complete_rows, curves, means
from latentopt.bench.uvg import SEQUENCES as UVG
from latentopt.errors import RateRangeError

PAPER_RATES = Rates(0.03, 0.35)
"""Bits per pixel that Table 2 compares."""

AVERAGE = "average curve"
MEAN = "mean of the rows"

_FIRST = ("hex", "oct", "shift", "oct+shift")  # the table's columns


class _Line(TypedDict):
    low_bpp: float
    high_bpp: float
    config: str
    bd_rate_percent: float
    paper_percent: float
    reason: str


_COLUMNS = ["codec", "sequence", *_Line.__annotations__]


def per_sequence(rows: pd.DataFrame) -> pd.DataFrame:
    """One line per sequence and configuration, then of several sequences the same of their means.

    BD-rate (pchip, percent) is on the sequence's own curve, where the baseline's rate lies between
    ``low_bpp`` and ``high_bpp``: within `PAPER_RATES` where at least two of its points do, else
    all of it. ``paper_percent`` is Table 2's value, NaN where it has none. Where BD-rate is
    undefined it is NaN and ``reason`` says why.
    """
    lines = [
        {"codec": curve.codec, "sequence": name, **line}
        for curve in curves(complete_rows(rows))
        for name, part in _parts(curve)
        for line in _against_baseline(part, zoo.family(curve.codec), name, _is_uvg(curve))
    ]
    return pd.DataFrame(lines, columns=_COLUMNS)


def _parts(curve: Curve) -> Iterator[tuple[str, pd.DataFrame]]:
    """The rows of each sequence, and of several their means."""
    for name, part in curve.rows.groupby("image", sort=False):
        yield str(name), part
    if curve.rows["image"].nunique() > 1:
        yield AVERAGE, means(curve.rows)


def _is_uvg(curve: Curve) -> bool:
    return set(curve.rows["image"]) == set(UVG)


def _against_baseline(part: pd.DataFrame, family: str, name: str, is_uvg: bool) -> Iterator[_Line]:
    """The configurations of one sequence: one rate point per row."""
    row = UVG_AVERAGE if name == AVERAGE and is_uvg else name
    base = part[part["config"] == BASELINE]
    rates = _rates(base)
    for config in part["config"].unique():
        if config == BASELINE:
            continue
        paper = paper_gain(family, row, config)
        percent, reason = _bd_rate(base, part[part["config"] == config], rates)
        yield {
            "low_bpp": max(rates.low, base["bpp"].min()),
            "high_bpp": min(rates.high, base["bpp"].max()),
            "config": config,
            "bd_rate_percent": percent,
            "paper_percent": math.nan if paper is None else paper,
            "reason": reason,
        }


def _rates(base: pd.DataFrame) -> Rates:
    inside = base["bpp"].between(PAPER_RATES.low, PAPER_RATES.high).sum()
    return PAPER_RATES if inside >= 2 else Rates()


def _bd_rate(base: pd.DataFrame, own: pd.DataFrame, rates: Rates) -> tuple[float, str]:
    """In percent, and why there is none."""
    if base.empty:
        return math.nan, "no baseline was measured"
    a, b = ((frame["bpp"].to_numpy(), frame["psnr_db"].to_numpy()) for frame in (base, own))
    try:
        return bd_rate(*a, *b, rates=rates), ""
    except RateRangeError as error:
        return math.nan, str(error)


def sequence_report(rows: pd.DataFrame) -> str:
    """A Markdown section: a table like Table 2 for each curve, and what a reader must know."""
    table = per_sequence(rows)
    parts = ["## Per sequence"]
    for _, lines in table.groupby("codec", sort=False):
        parts.append(_table(lines))
        if reasons := "; ".join(reason for reason in lines["reason"].unique() if reason):
            parts.append(f"No value: {reasons}.")
    low, high = PAPER_RATES.low, PAPER_RATES.high
    parts.append(
        f"BD-rate in % (pchip, bpp and PSNR of the sequence), where the baseline spends {low:g} to "
        f"{high:g} bpp as in the paper; a sequence with fewer than two rate points there is "
        "compared on its whole curve. The column bpp says where each was. In brackets: the paper's "
        f"Table 2. Its UVG average is not the mean of its rows; it stands beside the {AVERAGE}, "
        "of bpp and PSNR averaged over the sequences."
    )
    return "\n\n".join(parts)


def _table(lines: pd.DataFrame) -> str:
    configs = sorted(lines["config"].unique(), key=_order)
    head = ["sequence", "bpp", *("join (oct+shift)" if c == "oct+shift" else c for c in configs)]
    body = []
    for name, part in lines.groupby("sequence", sort=False):
        by_config = {line["config"]: line for line in part.to_dict("records")}
        low, high = part["low_bpp"].iloc[0], part["high_bpp"].iloc[0]
        pairs = [(by_config[c]["bd_rate_percent"], by_config[c]["paper_percent"]) for c in configs]
        cells = [_cell(own, paper) for own, paper in pairs]
        body.append([str(name), f"{low:.3f}–{high:.3f}", *cells])
    if len(body) > 1:
        own = lines[lines["sequence"] != AVERAGE].groupby("config")["bd_rate_percent"]
        mean = own.agg(lambda percents: percents.mean(skipna=False))
        body.append([MEAN, "", *(_cell(mean[config]) for config in configs)])
    rule = ["---"] * len(head)
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, rule, *body))


def _order(config: str) -> int:
    """Table 2's columns first; sorting keeps the order of the others."""
    return _FIRST.index(config) if config in _FIRST else len(_FIRST)


def _cell(percent: float, paper: float = math.nan) -> str:
    own = "–" if math.isnan(percent) else f"{percent:+.2f}"
    return own if math.isnan(paper) else f"{own} [{paper:+.2f}]"
