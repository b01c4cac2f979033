"""Round trips of dithered channels, as they were drawn at random."""

from collections.abc import Callable, Mapping

import pandas as pd

from tables.common.places import MEASURED, PROBES
from tables.figures.rows import table

_FILES = MEASURED / PROBES / "dither-trips" / "sample"


def trips() -> str:
    """How many there were, by codec, and how many differed."""
    rows = pd.concat(map(pd.read_csv, sorted(_FILES.glob("*.csv"))))
    lines = [
        [f"`{codec}`", str(len(own)), str(own["quant"].nunique()), str(int((~own["same"]).sum()))]
        for codec, own in rows.groupby("name")
    ]
    total = ["all", str(len(rows)), str(rows["quant"].nunique()), str(int((~rows["same"]).sum()))]
    return table(["codec", "trips", "lattices", "that differed"], [*lines, total])


BLOCKS: Mapping[str, Callable[[], str]] = {"dither-trips": trips}
