"""Table 6: what encoding and decoding cost, in seconds, against rounding, and in MACs."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from tables.common.experiment import Cell, CodecExperiment, Request
from tables.common.harness import (
    BASELINE,
    Images,
    Plan,
    complete_rows,
    evaluate,
    parse,
    parse_all,
)
from tables.common.places import TIMES, rows_file
from tables.common.plots import bars
from tables.common.probes import Measure, Probe, probed
from tables.common.rows import on_device, read_run
from tables.common.subjects import Subject
from tables.latent_shift import PAPER

CONFIGS = {
    "base": BASELINE,
    "hex": "hex",
    "oct": "oct",
    "shift": "shift+grid",
    "shift, secant": "shift",
    "fast": "fast",
    "default": "default",
}
"""Row and configuration; the paper has the first four. Its shift tries eight step sizes."""

COLUMNS = {
    f"{what}{kind}": unit
    for what in ("encode", "decode")
    for kind, unit in (("", "s"), (" ratio", "×"), (" MACs", "kMAC/pixel"))
}
"""Column and unit."""

PUBLISHED = {
    "mbt2018-mean": (0.5274, 0.5436, 0.5548, 5.5674, 0.7138, 0.7264, 0.7265, 0.7188),
    "cheng2020-attn": (3.4982, 3.5238, 3.5368, 18.5345, 8.3065, 8.3190, 8.3195, 8.3115),
}
"""Seconds to encode, then to decode: one core of an i7-8850H, lowest rate, Kodak's size."""

IMAGES = 4
"""Of the data set, the first: times are alike for all."""

_Seconds = tuple[float | None, float | None]


def prepare(model: nn.Module) -> Measure:
    """Thousands of multiplications and additions per pixel, to encode and to decode."""
    coders = {config: Images().coder(parse(config), model) for config in CONFIGS.values()}

    def measure(x: Tensor) -> dict[str, float]:
        found: dict[str, float] = {}
        pixels = x.shape[-2] * x.shape[-1]
        for config, coder in coders.items():
            coded = coder([x])  # what a codec finds out once is not counted, nor is it timed
            macs = _macs(lambda: coder([x])), _macs(coded.decode)  # noqa: B023
            found |= {f"{config} {what}": n / pixels / 1e3 for what, n in zip(_WHAT, macs)}
        return found

    return measure


@torch.no_grad()
def _macs(work: Callable[[], object]) -> float:
    """MACs of a function; PyTorch counts two operations for each."""
    with FlopCounterMode(display=False) as counter:
        work()
    return counter.get_total_flops() / 2


_WHAT = ("encode_kmac", "decode_kmac")
MACS = Probe("macs", tuple(f"{c} {what}" for c in CONFIGS.values() for what in _WHAT), prepare)


class Table6(CodecExperiment):
    """Medians over a few images at the lowest rate point, and ratios to the baseline's."""

    name = "table6"
    title = "time and operations of encoder and decoder"
    source = f"{PAPER}, Table 6; ratios are of its seconds"
    times = True
    notes = (
        f"Medians over the first {IMAGES} images, lowest rate point. The baseline is CompressAI's "
        "own `compress` and `decompress`. MACs are those of all networks that run, counted by "
        "PyTorch, without what a codec finds out once, at its first image. `shift` searches eight "
        "step sizes as the paper does.",
    )
    columns = COLUMNS

    def cells_of(self, subject: Subject, request: Request) -> Iterator[Cell]:
        published = _published(subject.architecture)
        base = published.get("base", (None, None))
        lowest = replace(subject, points=subject.points[:1], steps=(1.0,))
        rows = _timed(lowest, request)
        by_config = dict(tuple(rows.set_index("image").groupby("config")))
        first = replace(request, dataset=request.dataset.first(1))
        macs = probed(MACS, lowest, first).mean(numeric_only=True) if by_config else pd.Series()
        for row, config in CONFIGS.items():
            if config not in by_config:
                continue
            label, known = f"{subject.label}: {row}", published.get(row, (None, None))
            for k, what in enumerate(("encode", "decode")):
                own, of = (by_config[c][f"{what}_s"] for c in (config, BASELINE))
                yield from _cells(label, what, own, of, (known[k], base[k]))
                value = float(macs.get(f"{config} {_WHAT[k]}", math.nan))
                yield Cell(label, f"{what} MACs", value, None, "kMAC/pixel")

    def plot(self, cells: Sequence[Cell], request: Request, path: Path) -> None:
        bars([c for c in cells if c.unit == "×"], path, self.title)


def _published(architecture: str) -> dict[str, tuple[float, float]]:
    """Seconds to encode and decode per row."""
    seconds = PUBLISHED.get(architecture, ())
    return dict(zip(CONFIGS, zip(seconds[:4], seconds[4:])))


def _cells(label: str, what: str, own: pd.Series, of: pd.Series, known: _Seconds) -> Iterator[Cell]:
    """Seconds of a configuration and its ratio to those ``of`` the baseline, image by image."""
    theirs, base = known
    ratio = theirs / base if theirs and base else None
    yield Cell(label, what, float(own.median()), theirs, "s")
    yield Cell(label, f"{what} ratio", float((own / of).median()), ratio, "×")


def _configs(request: Request) -> list[str]:
    asked = request.configs
    return [c for c in CONFIGS.values() if asked is None or c in (BASELINE, *asked)]


def _timed(lowest: Subject, request: Request) -> pd.DataFrame:
    """Rows that were timed together, and beside no others."""
    place = TIMES, request.dataset.name, on_device(lowest, request)
    path = rows_file(request.rows if lowest.points else request.committed, *place)
    if lowest.points and request.run:
        images = request.dataset.first(IMAGES)
        configs = parse_all(_configs(request))
        plan = Plan(lowest.codec, lowest.points, configs, images, device=request.device)
        evaluate(plan, path, request.progress)
    return complete_rows(read_run(path)) if path.exists() else _NONE


_NONE = pd.DataFrame(columns=["image", "config"])


EXPERIMENT = Table6()
