"""What a harness folder measured, as plain data: facts in words, curves as JSON holds them."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TypedDict

import pandas as pd

from latentopt import zoo
from latentopt.bench.bdrate import rate_at_equal_psnr
from latentopt.bench.configs import BASELINE
from latentopt.bench.datasets import published_set
from latentopt.bench.kept import measurements
from latentopt.bench.published import RdCurve, published_curve
from latentopt.bench.store import read_rows
from latentopt.bench.summary import Curve, complete_rows, curves, left_out, means
from latentopt.errors import InputError, RateRangeError
from latentopt.media.quality import ms_ssim_db
from latentopt.report.commands import clip_options, commands


class Point(TypedDict):
    """A rate point, mean over the data; what is undefined is None."""

    name: str
    bpp: float | None
    psnr_db: float | None
    ms_ssim_db: float | None
    rate_percent: float | None
    """The rate against the baseline's at equal PSNR."""


class Series(TypedDict):
    """The rate points of a configuration, lowest rate first."""

    config: str
    baseline: bool
    points: list[Point]


class Published(TypedDict):
    """A curve that was not measured here."""

    label: str
    points: list[Point]


class Chart(TypedDict):
    """A curve's configurations, and what was published of its codec."""

    label: str
    series: list[Series]
    published: Published | None
    imported: list[Published]
    """Curves of others, whatever they were measured on."""


def read_folder(folder: Path) -> pd.DataFrame:
    """The measurements in a harness folder; InputError where there are none."""
    path = measurements(folder)
    rows = read_rows(path)
    if rows.empty:
        raise InputError(f"{path} holds no measurement yet; let `latentopt bdrate` finish")
    return rows


def is_video(rows: pd.DataFrame) -> bool:
    """Whether the rows are of clips."""
    return any(clip_options(data) is not None for data in rows["data"].unique())


def title(rows: pd.DataFrame) -> str:
    """Codecs and data, and how many of it where they are not all."""
    items = rows["image"].nunique()
    known = [published_set(str(data)) for data in rows["data"].unique()]
    part = any(found and items < found.images for found in known)
    what = f"{_listed(rows, 'codec')} on {_listed(rows, 'data')}"
    return f"{what}, {items} of its images" if part else what


def facts(rows: pd.DataFrame) -> dict[str, str]:
    """What was measured, in words."""
    items, missing = rows["image"].nunique(), left_out(rows)
    without = (
        f"; means are without {', '.join(missing)}, not measured everywhere" if missing else ""
    )
    threads = ", ".join(str(n) for n in sorted(rows["threads"].unique()))
    return {
        "Codec": _listed(rows, "codec"),
        "Data": _listed(rows, "data"),
        "Clips" if is_video(rows) else "Images": f"{items}{without if missing else ''}",
        "Rate points": _points(rows),
        "Configurations": _listed(rows, "config"),
        "latentopt": ", ".join(sorted(rows["latentopt"].unique())),
        "Machine": f"{_listed(rows, 'device')}, {threads} CPU thread(s)",
        "Reproduce": "\n".join(commands(rows)),
    }


def charts(rows: pd.DataFrame, imported: Sequence[RdCurve] = ()) -> list[Chart]:
    """What a page draws of each curve, as JSON holds it, with curves of others beside each."""
    others = [Published(label=c.codec, points=_other_points(c, "imported")) for c in imported]
    return [
        {
            "label": f"{curve.codec}, {curve.label}",
            "series": _series(curve),
            "published": _published(curve, rows),
            "imported": others,
        }
        for curve in curves(means(rows))
    ]


def number(value: float) -> float | None:
    """None for what JSON has no number for."""
    return float(value) if math.isfinite(value) else None


def point_name(point: str, step: float) -> str:
    """
    >>> point_name("q3", 1.0), point_name("q3", 1.4)
    ('q3', 'q3, step 1.4')
    """
    return point if step == 1.0 else f"{point}, step {step:g}"


def _series(curve: Curve) -> list[Series]:
    base = curve.rows[curve.rows["config"] == BASELINE]
    return [
        {
            "config": str(config),
            "baseline": config == BASELINE,
            "points": [_point(row, base) for _, row in part.sort_values("bpp").iterrows()],
        }
        for config, part in curve.rows.groupby("config", sort=False)
    ]


def _point(row: pd.Series, base: pd.DataFrame) -> Point:
    return {
        "name": point_name(row["point"], row["step"]),
        "bpp": number(row["bpp"]),
        "psnr_db": number(row["psnr_db"]),
        "ms_ssim_db": number(ms_ssim_db(row["ms_ssim"])),
        "rate_percent": _relative_rate(row, base),
    }


def _relative_rate(row: pd.Series, base: pd.DataFrame) -> float | None:
    at = row["bpp"], row["psnr_db"]
    try:
        return number(rate_at_equal_psnr(*at, base["bpp"].to_numpy(), base["psnr_db"].to_numpy()))
    except RateRangeError:
        return None


def _published(curve: Curve, rows: pd.DataFrame) -> Published | None:
    """The published curve of the codec, where it is of the same images and kind of weights."""
    part = rows[rows["codec"] == curve.codec]
    known = published_set(part["data"].iloc[0])
    images = complete_rows(rows)["image"].nunique()
    # the published curves are of weights trained for MSE
    if known is None or known.images != images or part["point"].str.endswith("-ms-ssim").any():
        return None
    try:
        found = published_curve(zoo.family(curve.codec), known.key)
    except InputError:
        return None
    points = _other_points(found, "published")
    return {"label": f"{found.codec}, published", "points": points}


def _other_points(curve: RdCurve, name: str) -> list[Point]:
    ms_ssim = curve.ms_ssim or (math.nan,) * len(curve.bpp)
    return [
        {
            "name": name,
            "bpp": bpp,
            "psnr_db": psnr_db,
            "ms_ssim_db": number(ms_ssim_db(value)),
            "rate_percent": None,
        }
        for bpp, psnr_db, value in zip(curve.bpp, curve.psnr_db, ms_ssim)
    ]


def _points(rows: pd.DataFrame) -> str:
    pairs = rows[["point", "step"]].drop_duplicates().itertuples(index=False)
    return ", ".join(point_name(point, step) for point, step in pairs)


def _listed(rows: pd.DataFrame, column: str) -> str:
    return ", ".join(str(value) for value in rows[column].unique())
