"""The tables of a page, as data: gains, published values beside them, every image."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from latentopt.bench.configs import BASELINE
from latentopt.bench.sequences import AVERAGE, per_sequence
from latentopt.bench.summary import against_published, summarise
from latentopt.errors import InputError
from latentopt.media.quality import ms_ssim_db
from latentopt.report.data import is_video, point_name


@dataclass(frozen=True)
class Column:
    """What a table shows of one column of a data frame."""

    name: str
    """The data frame's."""
    heading: str
    digits: int | None = None
    """Decimals; None for text."""
    signed: bool = False
    choose: bool = False
    """Whether a reader picks rows by its values."""

    def text(self, value: float | str) -> str:
        """
        >>> Column("a", "A", digits=2, signed=True).text(-1.234)
        '−1.23'
        """
        if self.digits is None or isinstance(value, str):
            return str(value)
        if math.isnan(value):
            return "–"
        return f"{value:{'+' if self.signed else ''}.{self.digits}f}".replace("-", "−")


@dataclass(frozen=True)
class Table:
    """A titled data frame and how to show it."""

    key: str
    title: str
    note: str
    columns: Sequence[Column]
    frame: pd.DataFrame

    def shown(self) -> list[Column]:
        """Columns that say something: what is the same in all rows the page says elsewhere."""
        return [c for c in self.columns if not _is_silent(c, self.frame[c.name])]


def _is_silent(column: Column, values: pd.Series) -> bool:
    if column.name in ("codec", "curve"):
        return values.nunique() < 2
    return bool(values.isna().all()) if column.digits is not None else not any(values)


def tables(rows: pd.DataFrame) -> list[Table]:
    """All tables that have rows: the gains first, every image last."""
    sequences = _sequences(rows)
    found = [_gains(rows, sequences), _sequence_table(sequences), _readings(rows), _items(rows)]
    return [table for table in found if not table.frame.empty]


_CODEC = Column("codec", "Codec")
_CONFIG = Column("config", "Configuration", choose=True)


def _gains(rows: pd.DataFrame, sequences: pd.DataFrame) -> Table:
    item = "clip" if is_video(rows) else "image"
    columns = (
        _CODEC,
        Column("curve", "Curve"),
        Column("config", "Configuration"),
        Column("images", f"{item}s".capitalize(), 0),
        Column("bd_rate_pchip_percent", "BD-rate, %", 2, signed=True),
        Column("bd_rate_per_image_percent", f"Mean over the {item}s, %", 2, signed=True),
        Column("bd_rate_ms_ssim_percent", "BD-rate of MS-SSIM, %", 2, signed=True),
        Column("paper_percent", "The paper’s BD-rate, %", 2, signed=True),
        Column("bd_psnr_pchip_db", "BD-PSNR, dB", 3, signed=True),
        Column("encode_ratio", "Encode time", 2),
        Column("decode_ratio", "Decode time", 2),
        Column("reason", "No value because"),
    )
    note = (
        "Against the baseline; negative rates and positive dB are gains. Bjøntegaard differences "
        f"(pchip) of the means over the data, and the mean of each {item}’s own. Times are ratios "
        f"to the baseline’s, medians over the {item}s."
    )
    frame = summarise(rows)
    paper = _paper(sequences)
    keys = zip(frame["codec"], frame["config"])
    frame = frame.assign(paper_percent=[paper.get(key, math.nan) for key in keys])
    if frame["paper_percent"].notna().any():
        note += " The paper’s: Table 2 of arXiv 2501.01231, at 0.03 to 0.35 bits per pixel."
    return Table("gains", "Gains", note, columns, frame)


def _paper(sequences: pd.DataFrame) -> dict[tuple[str, str], float]:
    """What Table 2 says of all the sequences that were measured, by codec and configuration."""
    names = set(sequences["sequence"])
    of_all = sequences[
        sequences["sequence"] == (AVERAGE if AVERAGE in names else min(names, default=""))
    ]
    return dict(zip(zip(of_all["codec"], of_all["config"]), of_all["paper_percent"]))


def _sequences(rows: pd.DataFrame) -> pd.DataFrame:
    """BD-rate of each clip; nothing for images, or for a codec that is not known here."""
    try:
        return per_sequence(rows if is_video(rows) else rows[:0])
    except InputError:
        return per_sequence(rows[:0])


def _sequence_table(sequences: pd.DataFrame) -> Table:
    columns = (
        _CODEC,
        Column("sequence", "Sequence", choose=True),
        _CONFIG,
        Column("low_bpp", "From, bpp", 3),
        Column("high_bpp", "To, bpp", 3),
        Column("bd_rate_percent", "BD-rate, %", 2, signed=True),
        Column("paper_percent", "The paper’s, %", 2, signed=True),
        Column("reason", "No value because"),
    )
    note = (
        "BD-rate (pchip) on each sequence’s own curve, between the rates given; beside it the "
        "paper’s Table 2 (arXiv 2501.01231)."
    )
    return Table("sequences", "Per sequence", note, columns, sequences)


def _readings(rows: pd.DataFrame) -> Table:
    columns = (
        _CODEC,
        Column("point", "Rate point", choose=True),
        _CONFIG,
        Column("bpp", "Bits per pixel", 4),
        Column("psnr_db", "PSNR, dB", 2),
        Column("rate_vs_published_percent", "Rate against the published curve, %", 2, signed=True),
        Column("rate_vs_baseline_percent", "Against the baseline, read on it, %", 2, signed=True),
        Column("reason", "No value because"),
    )
    note = (
        "Each rate point at step 1 beside CompressAI’s published curve of this codec on this data, "
        "at equal PSNR."
    )
    title = "Against the published curve"
    return Table("published", title, note, columns, against_published(rows))


def _items(rows: pd.DataFrame) -> Table:
    item = "Clip" if is_video(rows) else "Image"
    columns = (
        _CODEC,
        Column("image", item, choose=True),
        Column("name", "Rate point", choose=True),
        _CONFIG,
        Column("bytes", "Bytes", 0),
        Column("bytes_percent", "Bytes against baseline, %", 2, signed=True),
        Column("bpp", "Bits per pixel", 4),
        Column("psnr_db", "PSNR, dB", 2),
        Column("psnr_change_db", "PSNR against baseline, dB", 2, signed=True),
        Column("ms_ssim_db", "MS-SSIM, dB", 2),
        Column("encode_s", "Encode, s", 3),
        Column("decode_s", "Decode, s", 3),
    )
    note = "Every measurement, compared with the baseline of the same rate point."
    return Table("images", f"Per {item.lower()}", note, columns, _compared(rows))


def _compared(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows, and how each differs from the baseline's of its rate point."""
    at = ["codec", "point", "step", "image"]
    base = rows.loc[rows["config"] == BASELINE, [*at, "bytes", "psnr_db"]]
    both = rows.merge(base, on=at, how="left", suffixes=("", "_base"))
    own = both["config"] != BASELINE
    return both.assign(
        name=[point_name(*pair) for pair in zip(both["point"], both["step"])],
        bytes_percent=(100 * (both["bytes"] / both["bytes_base"] - 1)).where(own),
        psnr_change_db=(both["psnr_db"] - both["psnr_db_base"]).where(own),
        ms_ssim_db=both["ms_ssim"].map(ms_ssim_db),
    )
