"""What a dither costs in time: encoding and decoding against the undithered channel."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from time import process_time
from types import MappingProxyType
from typing import TypeVar

import torch
from torch import Tensor, nn

from tables.common.experiment import Cell, CodecExperiment, Request
from tables.common.harness import Images, parse
from tables.common.plots import bars
from tables.common.probes import Measure, Probe, curve, probed
from tables.common.subjects import Subject
from tables.universal import PAPER
from tables.universal.dithered import subjects

CODECS = ("bmshj2018-factorized", "tiny-mbt2018-mean")
LATTICES = {lattice: parse(f"{lattice}+dither").name for lattice in ("int", "e8")}
"""And the configuration with a dither."""

IMAGES = 2
"""Of the data set, the first."""

_TURNS = 3
_Made = TypeVar("_Made")
_CONFIGS = tuple(name for pair in LATTICES.items() for name in pair)
_VERBS = ("encode", "decode")


def prepare(model: nn.Module) -> Measure:
    """CPU seconds of one process, medians of turns in which each configuration has its own."""
    coders = {config: Images().coder(parse(config), model) for config in _CONFIGS}

    def measure(x: Tensor) -> dict[str, float]:
        seconds: dict[str, list[float]] = {place: [] for place in PROBE.quantities}
        for turn in range(_TURNS + 1):
            for config, coder in coders.items():
                coded, encode = _timed(lambda: coder([x]))  # noqa: B023
                _, decode = _timed(coded.decode)
                if turn:  # the first makes tables
                    seconds[f"{config} encode_s"].append(encode)
                    seconds[f"{config} decode_s"].append(decode)
        return {place: median(own) for place, own in seconds.items()}

    return measure


@torch.no_grad()
def _timed(work: Callable[[], _Made]) -> tuple[_Made, float]:
    start = process_time()
    made = work()
    return made, process_time() - start


PROBE = Probe("dither-time", tuple(f"{c} {verb}_s" for c in _CONFIGS for verb in _VERBS), prepare)


class DitherTime(CodecExperiment):
    """Means over a few images, and ratios to the undithered channel of the same lattice."""

    name = "dither_time"
    title = "time of the dithered channel"
    source = f"{PAPER} has none of it; asked for: at most 1.3"
    times = True
    notes = (
        f"CPU seconds of one process, the first {IMAGES} images, medians of {_TURNS} turns each, "
        "networks included. Ratios are to the undithered channel of the same lattice. Tables were "
        "made before.",
    )
    columns = MappingProxyType(
        {f"{verb}{kind}": unit for verb in _VERBS for kind, unit in (("", "s"), (" ratio", "×"))}
    )

    def cells(self, request: Request) -> Iterator[Cell]:
        own = [subject.shown_in(request) for subject in subjects() if subject.codec in CODECS]
        few = replace(request, subjects=own, dataset=request.dataset.first(IMAGES))
        yield from super().cells(few)

    def cells_of(self, subject: Subject, request: Request) -> Iterator[Cell]:
        for _, mean in curve(probed(PROBE, subject, request), PROBE.quantities).iterrows():
            for lattice, dithered in LATTICES.items():
                row = f"{subject.label}: {lattice}"
                for verb in _VERBS:
                    own, plain = (mean[f"{of} {verb}_s"] for of in (dithered, lattice))
                    yield Cell(row, verb, plain, unit="s")
                    yield Cell(f"{row}+dither", verb, own, unit="s")
                    yield Cell(f"{row}+dither", f"{verb} ratio", own / plain, unit="×")

    def plot(self, cells: Sequence[Cell], request: Request, path: Path) -> None:
        bars([cell for cell in cells if cell.unit == "×"], path, self.title)


EXPERIMENT = DitherTime()
