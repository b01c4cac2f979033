"""A summary as Markdown, and the files that `latentopt bdrate` writes beside its measurements."""

import math
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from latentopt.bench.summary import against_published, left_out, means, summarise


def report(rows: pd.DataFrame, title: str, sections: Sequence[str] = ()) -> str:
    """All tables as Markdown, ``sections`` among them, and what a reader must know of them."""
    measured, missing = rows["image"].nunique(), left_out(rows)
    parts = [f"# {title}", "## Against the baseline", table(summarise(rows))]
    parts += sections
    published = against_published(rows)
    if not published.empty:
        read = published["rate_vs_published_percent"].notna().any()
        reasons = "Not read: " + "; ".join(published["reason"].unique()) + "."
        parts += ["## Against the published curve, step 1"]
        parts += [table(published) if read else reasons]
    parts += ["## Means", table(means(rows)), _NOTE]
    if missing:
        parts.append(
            f"{len(missing)} of {measured} images were not measured everywhere: left out "
            f"({', '.join(missing)})."
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


_DIGITS = {
    **dict.fromkeys(("bpp", "ms_ssim"), 4),
    **dict.fromkeys(("encode_s", "decode_s", "step"), 2),
    **dict.fromkeys(("zeros", "bits", "discrete_1", "discrete_2", "wasserstein"), 4),
    **dict.fromkeys(("kl_bits", "kl_levels_bits"), 4),
}


def table(frame: pd.DataFrame) -> str:
    """A Markdown table; columns that hold nothing are left out."""
    if frame.empty:
        return "(none)"
    kept = [c for c in frame.columns if any(_cell(c, v) for v in frame[c])]
    lines = [
        "| " + " | ".join(c.replace("_percent", " %").replace("_", " ") for c in kept) + " |",
        "| " + " | ".join("---" for _ in kept) + " |",
    ]
    lines += [
        "| " + " | ".join(_cell(c, v) for c, v in zip(kept, row)) + " |"
        for row in frame[kept].itertuples(index=False)
    ]
    return "\n".join(lines)


def _cell(column: str, value: object) -> str:
    if not isinstance(value, float):
        return str(value).replace("|", "\\|")
    if math.isnan(value):
        return ""
    sign = "+" if column.startswith("bd_") or column.endswith("_percent") else ""
    return f"{value:{sign}.{3 if column.endswith('_db') else _DIGITS.get(column, 2)}f}"
