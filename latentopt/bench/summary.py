"""From measurements to data frames: means, Bjøntegaard differences, published curves."""

import math
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypedDict

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from latentopt.bench.bdrate import MIN_POINTS, Method, bd_psnr, bd_rate, rate_at_equal_psnr
from latentopt.bench.configs import BASELINE
from latentopt.bench.datasets import published_set
from latentopt.bench.published import RdCurve, published_curve
from latentopt.errors import InputError, LatentoptWarning, RateRangeError
from latentopt.media.quality import ms_ssim_db

_CELL = ["codec", "point", "step", "config"]
_AVERAGED = ["bpp", "psnr_db", "ms_ssim", "encode_s", "decode_s"]


@dataclass(frozen=True)
class Curve:
    """Rate points that lie on one curve, and what varies along it."""

    codec: str
    label: str
    rows: pd.DataFrame


def complete_rows(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of the images that every (point, step, configuration) has: means need equal sets."""
    cells = rows.groupby(_CELL, sort=False).ngroup()
    found = cells.groupby(rows["image"]).nunique()
    return rows[rows["image"].isin(found.index[found == cells.nunique()])]


def left_out(rows: pd.DataFrame) -> tuple[str, ...]:
    """The images that :func:`complete_rows` leaves out of all means and differences."""
    return tuple(sorted(set(rows["image"]) - set(complete_rows(rows)["image"])))


def means(rows: pd.DataFrame) -> pd.DataFrame:
    """Per (codec, point, step, config): means over the images."""
    cells = complete_rows(rows).groupby(_CELL, sort=False)
    counts = {"images": cells.size(), "bytes": cells["bytes"].sum()}
    return pd.concat([pd.DataFrame(counts), cells[_AVERAGED].mean()], axis=1).reset_index()


def curves(rows: pd.DataFrame) -> Iterator[Curve]:
    """Several checkpoints make one curve per step; several steps, one per checkpoint.

    Both at once are never mixed into one curve: they would not be monotone.
    """
    for codec, part in rows.groupby("codec", sort=False):
        points, steps = part["point"].unique(), part["step"].unique()
        if len(points) > 1 or len(steps) == 1:
            for step in steps:
                label = f"{len(points)} checkpoint(s) at step {step:g}"
                yield Curve(str(codec), label, part[part["step"] == step])
        if len(steps) > 1:
            for point in points:
                label = f"{point} at {len(steps)} steps"
                yield Curve(str(codec), label, part[part["point"] == point])


def summarise(rows: pd.DataFrame) -> pd.DataFrame:
    """Each configuration against the baseline, one row per curve and configuration.

    Bjøntegaard differences (percent, dB) come from the means over the data set;
    ``bd_rate_per_image_percent`` is the mean of the images' own BD-rates. Time ratios are medians
    of per-image ratios. Where a number is undefined it is NaN and ``reason`` says why.
    """
    lines = [
        _against_baseline(curve, config)
        for curve in curves(complete_rows(rows))
        for config in curve.rows["config"].unique()
        if config != BASELINE
    ]
    return pd.DataFrame(lines, columns=_SUMMARY_COLUMNS)


_DIFFERENCES = (
    "bd_rate_pchip_percent",
    "bd_rate_cubic_percent",
    "bd_psnr_pchip_db",
    "bd_psnr_cubic_db",
    "bd_rate_per_image_percent",
    "bd_rate_ms_ssim_percent",
)
_SUMMARY_COLUMNS = [
    "codec",
    "curve",
    "config",
    "images",
    *_DIFFERENCES,
    "encode_ratio",
    "decode_ratio",
    "reason",
]


def _against_baseline(curve: Curve, config: str) -> dict[str, object]:
    line: dict[str, object] = dict.fromkeys(_SUMMARY_COLUMNS, math.nan)
    line |= {"codec": curve.codec, "curve": curve.label, "config": config, "reason": ""}
    line["images"] = curve.rows["image"].nunique()
    base = curve.rows[curve.rows["config"] == BASELINE]
    own = curve.rows[curve.rows["config"] == config]
    if base.empty:
        return line | {"reason": "no baseline was measured"}
    line |= _time_ratios(base, own)
    reasons: dict[str, None] = {}
    for name, compute in _differences(base, own):
        try:
            line[name] = compute()
        except RateRangeError as error:
            reasons[str(error)] = None
    return line | {"reason": "; ".join(reasons)}


def _differences(base: pd.DataFrame, own: pd.DataFrame) -> list[tuple[str, Callable[[], float]]]:
    a, b = _mean_curve(base), _mean_curve(own)
    return [
        ("bd_rate_pchip_percent", lambda: _bd(bd_rate, a, b, "psnr_db", "pchip")),
        ("bd_rate_cubic_percent", lambda: _bd(bd_rate, a, b, "psnr_db", "cubic")),
        ("bd_psnr_pchip_db", lambda: _bd(bd_psnr, a, b, "psnr_db", "pchip")),
        ("bd_psnr_cubic_db", lambda: _bd(bd_psnr, a, b, "psnr_db", "cubic")),
        ("bd_rate_per_image_percent", lambda: _per_image(base, own)),
        ("bd_rate_ms_ssim_percent", lambda: _bd(bd_rate, a, b, "ms_ssim_db", "pchip")),
    ]


def _mean_curve(rows: pd.DataFrame) -> pd.DataFrame:
    means_ = rows.groupby(["point", "step"], sort=False)[["bpp", "psnr_db", "ms_ssim"]].mean()
    return means_.assign(ms_ssim_db=means_["ms_ssim"].map(ms_ssim_db))


def _bd(
    difference: Callable[..., float],
    a: pd.DataFrame,
    b: pd.DataFrame,
    quality: str,
    method: Method,
) -> float:
    if quality == "ms_ssim_db" and a[quality].isna().any():
        raise RateRangeError("MS-SSIM needs images of at least 161 pixels a side")
    curves = [frame[column].to_numpy() for frame in (a, b) for column in ("bpp", quality)]
    return _undoubted(difference, *curves, method)


def _undoubted(difference: Callable[..., float], *args: object) -> float:
    with warnings.catch_warnings():
        warnings.simplefilter("error", LatentoptWarning)  # a doubtful figure is none in a table
        try:
            return difference(*args)
        except LatentoptWarning as doubt:
            raise RateRangeError(str(doubt)) from doubt


def _per_image(base: pd.DataFrame, own: pd.DataFrame) -> float:
    """Mean over the images of their own BD-rates; undefined if it is for any of them."""
    base_curves, own_curves = _image_curves(base), _image_curves(own)
    values = []
    for image, curve in base_curves.items():
        try:
            values.append(_undoubted(bd_rate, *curve, *own_curves[image], "pchip"))
        except RateRangeError as error:
            if base.groupby(["point", "step"]).ngroups < MIN_POINTS:
                raise
            raise RateRangeError(f"image {image}: {error}") from error
    return sum(values) / len(values)


def _image_curves(rows: pd.DataFrame) -> dict[str, NDArray[np.float64]]:
    """Rates and PSNR of each image, (2, n) by name: a frame for each would take longer."""
    values = rows[["bpp", "psnr_db"]].to_numpy().T
    of_images = rows.groupby("image").indices
    return {str(image): values[:, index] for image, index in of_images.items()}


def _time_ratios(base: pd.DataFrame, own: pd.DataFrame) -> dict[str, float]:
    at = ["point", "step", "image"]
    pairs = own.merge(base, on=at, suffixes=("", "_base"))
    return {
        f"{what}_ratio": float((pairs[f"{what}_s"] / pairs[f"{what}_s_base"]).median())
        for what in ("encode", "decode")
    }


class _Reading(TypedDict):
    """One configuration of one checkpoint, read on the published curve."""

    codec: str
    point: str
    config: str
    bpp: float
    psnr_db: float
    rate_vs_published_percent: float
    rate_vs_baseline_percent: float
    reason: str


def against_published(rows: pd.DataFrame) -> pd.DataFrame:
    """Each checkpoint at step 1 against the codec's published curve, at equal PSNR, in percent.

    ``rate_vs_baseline_percent`` reads the configuration and the baseline on that same curve and
    compares them: what the configuration saves with this checkpoint, at equal PSNR. Empty where
    the codec or the data set has no published curve.
    """
    lines: list[_Reading] = []
    for (codec, _), part in means(rows[rows["step"] == 1.0]).groupby(
        ["codec", "point"], sort=False
    ):
        known = published_set(rows.loc[rows["codec"] == codec, "data"].iloc[0])
        if known is None:
            continue
        try:
            curve = published_curve(str(codec), known.key)
        except InputError:
            continue
        lines += _on_curve(part, curve, known.images)
    return pd.DataFrame(lines, columns=list(_Reading.__annotations__))


def _on_curve(part: pd.DataFrame, curve: RdCurve, images: int) -> list[_Reading]:
    """The configurations of one checkpoint, each read on the curve."""
    lines = [_reading(row, curve, images) for _, row in part.iterrows()]
    readings = {line["config"]: line["rate_vs_published_percent"] for line in lines}
    reference = readings.get(BASELINE, math.nan)
    for line in lines:
        own = line["rate_vs_published_percent"]
        line["rate_vs_baseline_percent"] = 100 * ((100 + own) / (100 + reference) - 1)
    return lines


def _reading(row: pd.Series, curve: RdCurve, images: int) -> _Reading:
    percent, reason = _on_published(row, curve, images)
    return {
        "codec": row["codec"],
        "point": row["point"],
        "config": row["config"],
        "bpp": row["bpp"],
        "psnr_db": row["psnr_db"],
        "rate_vs_published_percent": percent,
        "rate_vs_baseline_percent": math.nan,
        "reason": reason,
    }


def _on_published(row: pd.Series, curve: RdCurve, images: int) -> tuple[float, str]:
    """The rate against the curve's in percent; or NaN, and why it cannot be read there."""
    if row["images"] != images:
        return math.nan, f"{row['images']} images; the curve is of all {images}"
    if row["point"].endswith("-ms-ssim"):
        return math.nan, "the curve is of weights trained for MSE"
    try:
        return rate_at_equal_psnr(row["bpp"], row["psnr_db"], curve.bpp, curve.psnr_db), ""
    except RateRangeError as error:
        return math.nan, str(error)
