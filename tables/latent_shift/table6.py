"""Table 6: what encoding and decoding cost, in seconds, against rounding, and in MACs."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch.utils.flop_counter import FlopCounterMode

from latentopt.bench.configs import parse, parse_all
from latentopt.bench.evaluate import Plan, evaluate
from latentopt.bench.results import COLUMNS, read_rows
from latentopt.bench.summary import BASELINE, complete_rows
from latentopt.media.images import read_image
from tables.experiment import PAPER, Cell, CodecExperiment, Request
from tables.measured import stem
from tables.plots import bars
from tables.subjects import Subject

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

PUBLISHED = {
    "mbt2018-mean": (0.5274, 0.5436, 0.5548, 5.5674, 0.7138, 0.7264, 0.7265, 0.7188),
    "cheng2020-attn": (3.4982, 3.5238, 3.5368, 18.5345, 8.3065, 8.3190, 8.3195, 8.3115),
}
"""Seconds to encode, then to decode: one core of an i7-8850H, lowest rate, Kodak's size."""

IMAGES = 4
"""Of the data set, the first: times are alike for all."""


_Seconds = tuple[float | None, float | None]


class Table6(CodecExperiment):
    """Medians over a few images at the lowest rate point, and ratios to the baseline's."""

    name = "table6"
    title = "time and operations of encoder and decoder"
    source = f"{PAPER}, Table 6; ratios are of its seconds"
    alone = True
    notes = (
        f"Medians over the first {IMAGES} images, lowest rate point. The baseline is CompressAI's "
        "own `compress` and `decompress`. MACs are those of all networks that run, counted by "
        "PyTorch. `shift` searches eight step sizes as the paper does.",
    )
    columns = dict.fromkeys(("encode", "decode"), "s")

    def cells_of(self, subject: Subject, request: Request) -> Iterator[Cell]:
        published = _published(subject.architecture)
        base = published.get("base", (None, None))
        rows = _timed(subject, request)
        by_config = dict(tuple(rows.set_index("image").groupby("config")))
        macs = _macs(subject, list(by_config), request)
        for row, config in CONFIGS.items():
            if config not in by_config:
                continue
            label, known = f"{subject.label}: {row}", published.get(row, (None, None))
            for k, what in enumerate(("encode", "decode")):
                own, of = (by_config[c][f"{what}_s"] for c in (config, BASELINE))
                yield from _cells(label, what, own, of, (known[k], base[k]))
                yield Cell(label, f"{what} MACs", macs[config][k], None, "kMAC/pixel")

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


def _timed(subject: Subject, request: Request) -> pd.DataFrame:
    """Rows of this machine alone: committed ones were timed beside other work."""
    plan = Plan(
        subject.codec,
        subject.points[:1],
        parse_all(_configs(request)),
        request.dataset.first(IMAGES),
        device=request.device,
    )
    path = request.rows / f"{Table6.name}-{stem(subject, request)}.csv"
    if request.run:
        evaluate(plan, path, request.progress)
    return complete_rows(read_rows(path)) if path.exists() else pd.DataFrame(columns=COLUMNS)


def _macs(
    subject: Subject, configs: Sequence[str], request: Request
) -> dict[str, tuple[float, float]]:
    """Thousands of multiplications and additions per pixel, to encode and to decode."""
    model = subject.points[0].load()
    x = read_image(request.dataset.paths[0])
    found = {}
    for config in configs:
        codec = parse(config).build(model)
        encode, out = _counted(lambda: codec.compress(x))  # noqa: B023
        decode, _ = _counted(lambda: codec.decompress(out["strings"], out["shape"]))  # noqa: B023
        pixels = x.shape[-2] * x.shape[-1]
        found[config] = encode / pixels / 1e3, decode / pixels / 1e3
    return found


@torch.no_grad()
def _counted(work: Any) -> tuple[float, Any]:
    """MACs of a function, and its result; PyTorch counts two operations for each."""
    with FlopCounterMode(display=False) as counter:
        result = work()
    return counter.get_total_flops() / 2, result


EXPERIMENT = Table6()
