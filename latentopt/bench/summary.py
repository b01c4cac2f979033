"""From measurements to tables: means, Bjøntegaard differences, published curves."""

import math
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from latentopt.bench.bdrate import Method, bd_psnr, bd_rate, rate_at_equal_psnr
from latentopt.bench.datasets import published_set
from latentopt.bench.metrics import ms_ssim_db
from latentopt.bench.published import RdCurve, published_curve
from latentopt.errors import InputError, RateRangeError

BASELINE = "baseline"
_CELL = ["codec", "point", "step", "config"]


@dataclass(frozen=True)
class Curve:
    """Rate points that lie on one curve, and what varies along it."""

    codec: str
    label: str
    rows: pd.DataFrame


def complete_rows(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of the images that every (point, step, configuration) has: means need equal sets."""
    cells = rows.groupby(_CELL).ngroups
    counts = rows.groupby("image")["config"].size()
    return rows[rows["image"].isin(counts.index[counts == cells])]


def means(rows: pd.DataFrame) -> pd.DataFrame:
    """Per (codec, point, step, config): means over the images."""
    table = complete_rows(rows).groupby(_CELL, sort=False, as_index=False)
    return table.agg(
        images=("image", "size"),
        bytes=("bytes", "sum"),
        bpp=("bpp", "mean"),
        psnr_db=("psnr_db", "mean"),
        ms_ssim=("ms_ssim", "mean"),
        encode_s=("encode_s", "mean"),
        decode_s=("decode_s", "mean"),
    )


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


def _against_baseline(curve: Curve, config: str) -> dict[str, Any]:
    line: dict[str, Any] = dict.fromkeys(_SUMMARY_COLUMNS, math.nan)
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
    return difference(
        a["bpp"].to_numpy(),
        a[quality].to_numpy(),
        b["bpp"].to_numpy(),
        b[quality].to_numpy(),
        method,
    )


def _per_image(base: pd.DataFrame, own: pd.DataFrame) -> float:
    """Mean over the images of their own BD-rates; undefined if it is for any of them."""
    own_by_image = dict(tuple(own.groupby("image")))
    values = []
    for image, rows in base.groupby("image"):
        try:
            values.append(_bd(bd_rate, rows, own_by_image[image], "psnr_db", "pchip"))
        except RateRangeError as error:
            if rows.groupby(["point", "step"]).ngroups < 4:
                raise
            raise RateRangeError(f"image {image}: {error}") from error
    return sum(values) / len(values)


def _time_ratios(base: pd.DataFrame, own: pd.DataFrame) -> dict[str, float]:
    at = ["point", "step", "image"]
    pairs = own.merge(base, on=at, suffixes=("", "_base"))
    return {
        f"{what}_ratio": float((pairs[f"{what}_s"] / pairs[f"{what}_s_base"]).median())
        for what in ("encode", "decode")
    }


_PUBLISHED_COLUMNS = [
    "codec",
    "point",
    "config",
    "bpp",
    "psnr_db",
    "rate_vs_published_percent",
    "rate_vs_baseline_percent",
    "reason",
]


def against_published(rows: pd.DataFrame) -> pd.DataFrame:
    """Each checkpoint at step 1 against the codec's published curve, at equal PSNR, in percent.

    ``rate_vs_baseline_percent`` reads the configuration and the baseline on that same curve and
    compares them: what the configuration saves with this checkpoint, at equal PSNR. Empty where
    the codec or the data set has no published curve.
    """
    lines: list[dict[str, Any]] = []
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
    return pd.DataFrame(lines, columns=_PUBLISHED_COLUMNS)


def _on_curve(part: pd.DataFrame, curve: RdCurve, images: int) -> list[dict[str, Any]]:
    """The configurations of one checkpoint, each read on the curve."""
    lines = [_reading(row, curve, images) for row in part.to_dict("records")]
    readings = {line["config"]: line["rate_vs_published_percent"] for line in lines}
    reference = readings.get(BASELINE, math.nan)
    for line in lines:
        own = line["rate_vs_published_percent"]
        line["rate_vs_baseline_percent"] = 100 * ((100 + own) / (100 + reference) - 1)
    return lines


def _reading(row: dict[Hashable, Any], curve: RdCurve, images: int) -> dict[str, Any]:
    line: dict[str, Any] = dict.fromkeys(_PUBLISHED_COLUMNS, math.nan)
    line |= {name: row[name] for name in _PUBLISHED_COLUMNS[:5]} | {"reason": ""}
    if row["images"] != images:
        return line | {"reason": f"{row['images']} images; the curve is of all {images}"}
    if str(row["point"]).endswith("-ms-ssim"):
        return line | {"reason": "the curve is of weights trained for MSE"}
    try:
        percent = rate_at_equal_psnr(row["bpp"], row["psnr_db"], curve.bpp, curve.psnr_db)
    except RateRangeError as error:
        return line | {"reason": str(error)}
    return line | {"rate_vs_published_percent": percent}


def report(rows: pd.DataFrame, title: str, sections: Sequence[str] = ()) -> str:
    """All tables as Markdown, ``sections`` among them, and what a reader must know of them."""
    measured, used = rows["image"].nunique(), complete_rows(rows)["image"].nunique()
    parts = [f"# {title}", "## Against the baseline", _table(summarise(rows), _SUMMARY_COLUMNS)]
    parts += sections
    published = against_published(rows)
    if not published.empty:
        read = published["rate_vs_published_percent"].notna().any()
        reasons = "Not read: " + "; ".join(published["reason"].unique()) + "."
        parts += ["## Against the published curve, step 1"]
        parts += [_table(published, _PUBLISHED_COLUMNS) if read else reasons]
    parts += ["## Means", _table(means(rows), list(means(rows).columns)), _NOTE]
    if used < measured:
        parts.append(
            f"{measured - used} of {measured} images were not measured everywhere: left out."
        )
    sources = sorted(rows["latentopt"].unique())
    parts.append(
        f"latentopt {', '.join(sources)}; {', '.join(sorted(rows['device'].unique()))}, "
        f"{', '.join(str(t) for t in sorted(rows['threads'].unique()))} CPU thread(s)."
    )
    return "\n\n".join(parts) + "\n"


_NOTE = (
    "Negative rates and positive dB are gains. Rates are bytes really written; quality is that of "
    "the 8-bit image decoded from them, of a clip the mean over its frames. Bjøntegaard "
    "differences are of the data-set means of bpp and of PSNR (or of MS-SSIM, in dB) over log10 "
    "rate; times are per image or frame, their ratios medians over the images or clips."
)


def write_summary(
    rows: pd.DataFrame, folder: Path, title: str, sections: Sequence[str] = ()
) -> str:
    """Write summary.md and summary.csv, means.csv and published.csv; return the Markdown."""
    folder.mkdir(parents=True, exist_ok=True)
    text = report(rows, title, sections)
    (folder / "summary.md").write_text(text, encoding="utf-8")
    summarise(rows).to_csv(folder / "summary.csv", index=False)
    means(rows).to_csv(folder / "means.csv", index=False)
    published = against_published(rows)
    if not published.empty:
        published.to_csv(folder / "published.csv", index=False)
    return text


_DIGITS = {"bpp": 4, "ms_ssim": 4, "encode_s": 2, "decode_s": 2, "step": 2}


def _table(frame: pd.DataFrame, columns: Sequence[str]) -> str:
    """A Markdown table; columns that hold nothing are left out."""
    if frame.empty:
        return "(none)"
    kept = [c for c in columns if any(_cell(c, v) for v in frame[c])]
    lines = [
        "| " + " | ".join(c.replace("_percent", " %").replace("_", " ") for c in kept) + " |",
        "| " + " | ".join("---" for _ in kept) + " |",
    ]
    lines += [
        "| " + " | ".join(_cell(c, v) for c, v in zip(kept, row)) + " |"
        for row in frame[kept].itertuples(index=False)
    ]
    return "\n".join(lines)


def _cell(column: str, value: Any) -> str:
    if not isinstance(value, float):
        return str(value).replace("|", "\\|")
    if math.isnan(value):
        return ""
    sign = "+" if column.startswith("bd_") or column.endswith("_percent") else ""
    return f"{value:{sign}.{3 if column.endswith('_db') else _DIGITS.get(column, 2)}f}"
