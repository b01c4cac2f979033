"""The paper's tables in short, for docs/reproduction.md."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

import pandas as pd

from tables.common.data import CLIC, VIDEO
from tables.common.experiment import Cell
from tables.common.harness import BASELINE, means
from tables.common.places import MEASURED
from tables.common.report import grid
from tables.common.rows import difference, recorded
from tables.common.tangent import tangents
from tables.figures.reports import report
from tables.figures.rows import LAB, STEPS, TINY, signed, table

_CODECS = (*TINY, LAB, STEPS)


def short(name: str, data: str, columns: Sequence[str] = (), rows: Sequence[str] = ()) -> str:
    """What was measured of a table: some of its columns, of the rows that begin so."""
    return grid([c for c in report(name, data).cells if _shown(c, columns, rows)])


def _shown(cell: Cell, columns: Sequence[str], rows: Sequence[str]) -> bool:
    here = (not columns or cell.column in columns) and not math.isnan(cell.measured)
    return here and (not rows or cell.row.startswith(tuple(rows)))


def against_int() -> str:
    """What our coder alone gains, and what is left of hex and shift against it."""
    lines = []
    for codec in _CODECS:
        rows = recorded(MEASURED, "kodak", codec)
        ours = rows[rows["config"] != BASELINE].replace({"config": {"int": BASELINE}})
        alone = difference(rows, "int")[0]
        left = (difference(ours, c)[0] for c in ("hex", "shift"))
        lines.append([codec, *map(signed, (alone, *left))])
    head = ["", "`int` against CompressAI, %", "hex against `int`, %", "shift against `int`, %"]
    return table(head, lines)


def shift_by_quality() -> str:
    """The shift at each quality of the embedded codecs, against our coder alone."""
    lines = [[codec, *_gains(codec)] for codec in TINY]
    return table(["shift, % of the rate (bpp)", "q1", "q2", "q3", "q4"], lines)


def _gains(codec: str) -> Iterator[str]:
    rows = recorded(MEASURED, "kodak", codec)
    plain, own = (_curve(rows, config) for config in ("int", "shift"))
    for (_, point), tangent in zip(own.iterrows(), tangents(plain, "bpp", "psnr_db")):
        gain = tangent.rate_percent(point["bpp"], point["psnr_db"])
        yield f"{signed(gain)} ({tangent.bpp:.2f})"


def _curve(rows: pd.DataFrame, config: str) -> pd.DataFrame:
    return means(rows[rows["config"] == config]).sort_values("bpp")


_TABLE1 = ("hex", "shift", "join")
_TABLE2 = ("hex", "oct", "shift", "join")
_TABLE6 = ("encode", "encode ratio", "encode MACs", "decode", "decode ratio")

BLOCKS: Mapping[str, Callable[[], str]] = {
    "table1-kodak": partial(short, "table1", "kodak", _TABLE1),
    "table1-clic": partial(short, "table1", CLIC, (*_TABLE1, "int")),
    "table1-against-int": against_int,
    "table1-shift": shift_by_quality,
    "table2": partial(short, "table2", VIDEO, _TABLE2, ["tiny-ssf2020: average"]),
    "table3": partial(short, "table3", "kodak"),
    "table4": partial(short, "table4", "kodak"),
    "table5": partial(short, "table5", "kodak", (), ["tiny-mbt2018-mean: ", LAB]),
    "table6": partial(short, "table6", "kodak", _TABLE6, [LAB]),
    "figure2": partial(short, "figure2", ""),
    "figure3": partial(short, "figure3", "kodak"),
    "figure4c": partial(short, "figure4c", "kodak"),
    "figure7": partial(short, "figure7", "kodak"),
}
