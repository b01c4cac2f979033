"""Committed rows by run, and what they say of each configuration against the baseline."""

from collections.abc import Iterable, Sequence
from functools import cache

import pandas as pd

from tables.common.harness import BASELINE, complete_rows, summarise
from tables.common.places import CODED, LATER, MEASURED, rows_file
from tables.common.rows import read_run

LAB = "lab-mean-1…4"
STEPS = "factorized q2, steps"
MEAN = "tiny-mbt2018-mean"
TINY = ("tiny-bmshj2018-factorized", MEAN, "tiny-mbt2018", "tiny-cheng2020-attn")
SMALL = tuple(name.replace("tiny-", "small-") for name in TINY)
PRESETS = ("paper", "fast", "default", "slow", "best")

TODAY = ("today", "today-best")
"""Runs of the presets as they are; in the second, what takes long on wide codecs and on clips."""

NAMES = {LAB: "mbt2018-mean, four qualities", STEPS: "bmshj2018-factorized q2, steps 0.7/1/1.4/2"}
"""What readers know the laboratory's codecs by."""


@cache
def run(name: str, codec: str, data: str = "kodak") -> pd.DataFrame:
    """All rows of one run: their times were taken together."""
    return read_run(rows_file(MEASURED, f"{CODED}/{name}", data, codec))


@cache
def gains(name: str, codec: str, data: str = "kodak") -> pd.DataFrame:
    """The summary of a run, a line per configuration."""
    return summarise(run(name, codec, data)).set_index("config")


@cache
def later(name: str, codec: str, data: str = "kodak") -> pd.DataFrame:
    """All rows of a run of presets that had gained something since; none where there is no such."""
    path = rows_file(MEASURED, f"{LATER}/{name}", data, codec)
    return read_run(path) if path.exists() else pd.DataFrame(columns=["config"])


def today_rows(codec: str, data: str = "kodak") -> pd.DataFrame:
    """All rows of the presets as they are, each once: not for times, which are a run's own."""
    rows = pd.concat([later(name, codec, data) for name in TODAY], ignore_index=True)
    return rows.drop_duplicates(["config", "point", "step", "image"])


def today(codec: str, data: str = "kodak") -> pd.DataFrame:
    """The presets as they are: a line for each, its times against the baseline of its run."""
    runs = (later(name, codec, data) for name in TODAY)
    found = pd.concat(summarise(rows).set_index("config") for rows in runs if len(rows))
    presets = [preset for preset in PRESETS if preset in found.index]
    return found.loc[presets]


def on_common_images(rows: pd.DataFrame, configs: Sequence[str]) -> pd.DataFrame:
    """The summary of some configurations on the images that all of them have."""
    some = complete_rows(rows[rows["config"].isin([BASELINE, *configs])])
    return summarise(some).set_index("config")


def signed(value: float, digits: int = 2) -> str:
    """
    >>> signed(-1.234), signed(0.5, 1)
    ('−1.23', '+0.5')
    """
    return f"{value:+.{digits}f}".replace("-", "−")


def ratio(value: float) -> str:
    """Of times, with about two digits.

    >>> ratio(0.554), ratio(1.22), ratio(18.86)
    ('0.55', '1.2', '19')
    """
    return f"{value:.{2 if value < 1 else 1 if value < 9.95 else 0}f}"


def both(line: pd.Series, unit: str = "") -> str:
    """BD-rate, and in brackets that in MS-SSIM."""
    of_psnr, of_ms_ssim = line["bd_rate_pchip_percent"], line["bd_rate_ms_ssim_percent"]
    return f"{signed(of_psnr)}{unit} ({signed(of_ms_ssim)})"


def table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """A Markdown table.

    >>> print(table(["", "a"], [["x", "1"]]))
    | | a |
    | --- | --- |
    | x | 1 |
    """
    rows = [head, ["---"] * len(head), *lines]
    return "\n".join("|" + "".join(f" {cell} |" if cell else " |" for cell in row) for row in rows)
