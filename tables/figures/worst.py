"""Whether any image is worse off: rate and distortion of each against the codec's own rounding."""

import re
from collections.abc import Callable, Iterator, Mapping

import pandas as pd

from latentopt import zoo
from tables.common.harness import BASELINE
from tables.figures.rows import LAB, NAMES, PRESETS, STEPS, TINY, signed, table, today_rows

LAMBDAS = {
    "bmshj2018-factorized-q2": 0.0035,
    "lab-mean-1": 0.0018,
    "lab-mean-2": 0.0035,
    "lab-mean-3": 0.0067,
    "lab-mean-4": 0.013,
}
"""Of the laboratory's checkpoints, which the zoo does not know."""


def changes(rows: pd.DataFrame, lambdas: Mapping[str, float]) -> pd.DataFrame:
    """Change of bits + λ·255²·MSE·pixels against the baseline, in percent.

    A row per rate point, step and image, a column per configuration. A step multiplies the
    quantizer's, so what the codec would trade falls with its square.
    """
    mse = 10 ** (-rows["psnr_db"] / 10)
    weight = rows["point"].map(dict(lambdas)) / rows["step"] ** 2
    cost = 8 * rows["bytes"] + weight * 255**2 * mse * rows["width"] * rows["height"]
    place = ["point", "step", "image"]
    costs = rows.assign(cost=cost).pivot(index=place, columns="config", values="cost")
    change: pd.DataFrame = 100 * (costs.div(costs[BASELINE], axis=0) - 1)
    return change.drop(columns=BASELINE)


def worst() -> str:
    """The worst image of each preset and codec, and how many are worse than with rounding."""
    head = ["", "worst image", "mean", "images worse"]
    return table(head, (line for codec in (STEPS, LAB, *TINY) for line in _of(codec)))


def _of(codec: str) -> Iterator[list[str]]:
    rows = today_rows(codec)
    found = changes(rows, LAMBDAS | known_lambdas(rows))
    for preset in (p for p in PRESETS if p in found):
        change = found[preset]
        point, step, image = change.idxmax()
        where = f"{image.removesuffix('.png')}, " + (f"step {step:g}" if step != 1 else point)
        worse = f"{int((change > 0).sum())} of {change.count()}"
        shown = f"{signed(change.max())} % ({where})", f"{signed(change.mean())} %"
        yield [f"{NAMES.get(codec, codec)}: `{preset}`", *shown, worse]


def known_lambdas(rows: pd.DataFrame) -> dict[str, float]:
    """λ of the zoo's qualities among the rate points: "q1" and so on."""
    found = {}
    for codec, point in rows[["codec", "point"]].drop_duplicates().itertuples(index=False):
        if re.fullmatch(r"q\d+", point) and (lmbda := zoo.lmbda(codec, int(point[1:]))):
            found[point] = lmbda
    return found


BLOCKS: Mapping[str, Callable[[], str]] = {"no-image-worse": worst}
