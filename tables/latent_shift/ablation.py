"""What each part of the preset `default` is worth, alone and added in turn, of bytes written."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import reduce
from pathlib import Path
from typing import cast

import pandas as pd
from torch import Tensor, nn

import latentopt
from latentopt import Codec, Recipe
from latentopt.codec.recipe import PRESETS, ROUNDING
from latentopt.encoder import Effort, Schedule
from latentopt.media.images import to_uint8
from latentopt.media.quality import psnr_db
from tables.common.experiment import Cell, CodecExperiment, Request, attempt
from tables.common.harness import bd_rate
from tables.common.plots import bars
from tables.common.probes import Measure, Probe, curve, label, probed
from tables.common.subjects import Subject
from tables.latent_shift import PAPER

Part = Callable[[Recipe], Recipe]

_NOW = cast(Effort, PRESETS["default"].effort)
_TWO = Effort(Schedule(2, (1.0, 0.5), (0.3, 0.3), caution=2))
FIRST = Recipe("auto", None, scales=True, effort=_TWO)
"""The preset `default` as it first was."""


def _context(recipe: Recipe) -> Recipe:
    return replace(recipe, context=True, quant="int")


def _side(recipe: Recipe) -> Recipe:
    return replace(recipe, adaptive=True, effort=replace(_effort(recipe), side=_NOW.side))


def _vectors(recipe: Recipe) -> Recipe:
    return replace(recipe, context=True, quant="auto")


def _steps(recipe: Recipe) -> Recipe:
    return replace(recipe, effort=replace(_effort(recipe), schedule=_NOW.schedule))


def _filter(recipe: Recipe) -> Recipe:
    return replace(recipe, postfilter=True)


def _effort(recipe: Recipe) -> Effort:
    return cast(Effort, recipe.effort)


PARTS: dict[str, Part] = {
    "context": _context,
    "side latent": _side,
    "vectors": _vectors,
    "steps": _steps,
    "filter": _filter,
}
"""In the order in which they are added."""


def _in_turn() -> Iterator[tuple[str, Recipe]]:
    for count in range(2, len(PARTS) + 1):
        name = f"… + {list(PARTS)[count - 1]}"
        yield name, reduce(lambda recipe, part: part(recipe), [*PARTS.values()][:count], FIRST)


RECIPES = {
    "rounding": ROUNDING,
    "first": FIRST,
    **{name: part(FIRST) for name, part in PARTS.items()},
    **dict(_in_turn()),
}
"""By the rows of the table: parts alone, then one more in each row."""

_QUANTITIES = ("bpp", "psnr_db", "encode_s", "decode_s")


def prepare(model: nn.Module) -> Measure:
    """Rate, PSNR and seconds of each recipe."""
    codecs = {name: latentopt.wrap(model, recipe=recipe) for name, recipe in RECIPES.items()}

    def measure(x: Tensor) -> dict[str, float]:
        found = {name: _coded(codec, x) for name, codec in codecs.items()}
        return {f"{name} {q}": v for name, own in found.items() for q, v in zip(_QUANTITIES, own)}

    return measure


def _coded(codec: Codec, x: Tensor) -> tuple[float, ...]:
    start = time.perf_counter()
    data = codec.save_bytes(x)
    between = time.perf_counter()
    x_hat = codec.load_bytes(data)
    end = time.perf_counter()
    bpp = 8 * len(data) / x[0, 0].numel()
    return bpp, psnr_db(to_uint8(x), to_uint8(x_hat)), between - start, end - between


PROBE = Probe("ablation", tuple(f"{n} {q}" for n in RECIPES for q in _QUANTITIES), prepare)

COLUMNS = {"against rounding": "%", "against first": "%", "encode": "×", "decode": "×"}
"""Column and unit."""


class Ablation(CodecExperiment):
    """BD-rates of what presets are made of."""

    name = "ablation"
    title = "parts of the preset default, alone and in turn"
    source = f"{PAPER} has none of them"
    notes = (
        "BD-rates of bytes written; times are means of one process over those of `first`. `first` "
        "is `default` as it first was: two steps, the best lattice of each level, corrected "
        "scales. Each of the next rows adds one thing to it: `context`, with integers; `side "
        "latent`, a prior that learns and z by rate; `vectors`, a context with vectors packed by "
        "adapted levels; `steps`, a third step and momentum; `filter`, a Wiener filter of the "
        "decoded image. Each of the rows `…` adds its part to the row before, the first of "
        "them to `context`.",
    )
    columns = COLUMNS

    def cells_of(self, subject: Subject, request: Request) -> Iterator[Cell]:
        rows = probed(PROBE, subject, request)
        means = curve(rows, PROBE.quantities)
        if means.empty:
            return
        for name in [*RECIPES][1:]:
            row = f"{label(subject, rows, request)}: {name}"
            for column, base in zip(COLUMNS, ("rounding", "first")):
                value, why = _difference(means, base, name)
                yield Cell(row, column, value, unit="%", note=why)
            for column, q in (("encode", "encode_s"), ("decode", "decode_s")):
                ratio = means[f"{name} {q}"].mean() / means[f"first {q}"].mean()
                yield Cell(row, column, float(ratio), unit="×")

    def plot(self, cells: Sequence[Cell], request: Request, path: Path) -> None:
        bars([c for c in cells if c.column == "against first"], path, self.title)


def _difference(means: pd.DataFrame, base: str, name: str) -> tuple[float, str]:
    curves = [means[f"{own} {q}"].to_numpy() for own in (base, name) for q in ("bpp", "psnr_db")]
    return attempt(lambda: bd_rate(*curves))


EXPERIMENT = Ablation()
