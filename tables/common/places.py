"""Where things lie: rows, documents, and the laboratory's data beside the checkout."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
"""Of the checkout."""
MEASURED = ROOT / "tables" / "measured"
"""Rows that were measured once and for all."""
LAB = Path("..") / "shared"
"""Data and weights of the laboratory, where they are here."""

CODED = "coded"
"""Rows of the harness: images and clips coded and decoded. Below it, a folder for each run."""
TABLES = f"{CODED}/tables"
"""The run that `python -m tables` adds to."""
TIMES = f"{CODED}/times"
"""Rows of Table 6, which are timed alone."""
LATER = "later"
"""As `coded`, of presets that have gained something since: apart, as their bytes differ."""
PROBES = "probes"
"""Rows of measurements inside a codec. Below it, a folder for each probe."""


def rows_file(folder: Path, kind: str, data: str, codec: str) -> Path:
    """The file of rows of one kind, data set and codec.

    >>> rows_file(Path("measured"), TIMES, "kodak", "lab-mean-1…4").as_posix()
    'measured/coded/times/kodak/lab-mean-1-4.csv'
    """
    return folder / kind / slug(data) / f"{slug(codec)}.csv"


def coded_files(folder: Path, data: str, codec: str) -> list[Path]:
    """The files of all runs that coded a data set with a codec."""
    return sorted(folder.glob(f"{CODED}/*/{slug(data)}/{slug(codec)}.csv"))


def slug(text: str) -> str:
    """Part of a file's name.

    >>> slug("lab-mean-1…4"), slug("factorized q2, steps")
    ('lab-mean-1-4', 'factorized-q2-steps')
    """
    return re.sub(r"[^A-Za-z0-9]+", "-", text).strip("-")
