"""What dithered channels cost, and what trained models make of them."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import pandas as pd

from tables.common.places import MEASURED, PROBES
from tables.figures.paper import short
from tables.figures.rows import table
from tables.universal import linear, linear_training
from tables.universal.codecs.measured import Ways

_TRIPS = MEASURED / PROBES / "dither-trips" / "sample"
_BD = ("BD-rate, PSNR", "BD-rate, MS-SSIM")
_CURVE = ("bpp", "psnr_db", "ms_ssim")


def trips() -> str:
    """How many round trips there were, by codec, and how many differed."""
    rows = pd.concat(map(pd.read_csv, sorted(_TRIPS.glob("*.csv"))))
    groups = [*rows.groupby("name"), ("all", rows)]
    lines = [
        [str(codec), str(len(own)), str(own["quant"].nunique()), str(int((~own["same"]).sum()))]
        for codec, own in groups
    ]
    return table(["codec", "trips", "lattices", "that differed"], lines)


def _third(ways: Ways) -> Sequence[str]:
    """Rows of the third λ."""
    return [f"{way}, {curve}-3" for way, (curve, _) in ways.items()]


BLOCKS: Mapping[str, Callable[[], str]] = {
    "dither-trips": trips,
    "dither-time": partial(short, "dither_time", "kodak"),
    "linear-third": partial(short, "linear", "kodak", _CURVE, _third(linear.WAYS)),
    "linear-training": partial(
        short, "linear_training", "kodak", _CURVE, _third(linear_training.WAYS)
    ),
    "linear-training-bd": partial(short, "linear_training", "kodak", _BD),
    "hyperprior-bd": partial(short, "hyperprior", "kodak", _BD),
    "linear-bd": partial(short, "linear", "kodak", _BD),
}
