"""Measurements inside a codec: numbers of one image at one rate point, resumable like the harness.

What no bitstream has: gradients, latents' errors, ideal rates, operations.
"""

import csv
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor, nn
from tqdm import tqdm

from latentopt.media.images import read_image
from tables.common.experiment import Request
from tables.common.harness import (
    RatePoint,
    commit,
    csv_line,
    drop_partial_line,
    stepped,
    weights_hash,
)
from tables.common.places import PROBES, rows_file
from tables.common.subjects import Subject

Measure = Callable[[Tensor], dict[str, float]]
"""Numbers of an image (1, 3, H, W)."""

KEY = ("codec", "point", "step", "image")
_SOURCE = ("weights", "latentopt")


@dataclass(frozen=True)
class Probe:
    """A measurement: its name, the numbers it gives, and what makes it for a model."""

    name: str
    quantities: tuple[str, ...]
    prepare: Callable[[nn.Module], Measure]

    @property
    def columns(self) -> tuple[str, ...]:
        """Of its CSV file."""
        return (*KEY, *self.quantities, *_SOURCE)


def probed(probe: Probe, subject: Subject, request: Request) -> pd.DataFrame:
    """One row per rate point, step and image of a codec; what is missing is measured."""
    committed = file_of(probe, subject, request, request.committed)
    rows = read(committed, probe)
    if subject.points:
        path = file_of(probe, subject, request, request.rows)
        _start(path, probe, committed)
        weights = {point.name: weights_hash(point.load()) for point in subject.points}
        if request.run:
            _measure(path, probe, subject, request, weights)
        rows = _of(read(path, probe), subject, weights)
    return _complete(rows[rows["image"].isin(request.dataset.names)], subject)


def file_of(probe: Probe, subject: Subject, request: Request, folder: Path) -> Path:
    """The file of a probe's rows, among those measured or those committed."""
    return rows_file(folder, f"{PROBES}/{probe.name}", request.dataset.name, subject.label)


def _complete(rows: pd.DataFrame, subject: Subject) -> pd.DataFrame:
    """Rows of the images that were measured at all rate points: means need equal sets."""
    counts = rows["image"].value_counts()
    whole = len(subject.points) * len(subject.steps) or counts.max()
    return rows[rows["image"].isin(counts.index[counts == whole])]


def _measure(
    path: Path, probe: Probe, subject: Subject, request: Request, weights: dict[str, str]
) -> None:
    """Append what the file does not hold: image by image, so that a killed run loses one."""
    known = _of(read(path, probe), subject, weights)
    done = set(known[list(KEY)].itertuples(index=False, name=None))
    pending = [
        Spot(point, step, name, image.absolute())
        for point in subject.points
        for step in subject.steps
        for name, image in zip(request.dataset.names, request.dataset.paths)
        if (subject.codec, point.name, step, name) not in done
    ]
    prepare = partial(Prober, probe, request.device, torch.get_num_threads())
    with (
        open(path, "a", encoding="utf-8", newline="") as file,
        tqdm(
            desc=f"{probe.name} {subject.label}", total=len(pending), disable=not request.progress
        ) as bar,
    ):
        for spot, found in request.engine.run(prepare, pending):
            key = [subject.codec, spot.point.name, spot.step, spot.image]
            values = [found[q] for q in probe.quantities]
            file.write(csv_line([*key, *values, weights[spot.point.name], commit()]))
            file.flush()
            bar.update()


@dataclass(frozen=True)
class Spot:
    """What is measured at once: an image at a rate point and a step."""

    point: RatePoint
    step: float
    image: str
    path: Path


class Prober:
    """Measures spots, with what a probe makes for the model of the last one."""

    def __init__(self, probe: Probe, device: str, threads: int):
        torch.set_num_threads(threads)
        self._probe, self._device = probe, device
        self._made_for: tuple[RatePoint, float] | None = None
        self._measure: Measure | None = None

    def __call__(self, spot: Spot) -> dict[str, float]:
        if self._measure is None or self._made_for != (spot.point, spot.step):
            self._measure = self._probe.prepare(
                stepped(spot.point.load(), spot.step).to(self._device)
            )
            self._made_for = spot.point, spot.step
        with torch.no_grad():
            return self._measure(read_image(spot.path).to(self._device))


def _start(path: Path, probe: Probe, committed: Path) -> None:
    """A file with its header at least; the committed one where there is none yet."""
    path.parent.mkdir(parents=True, exist_ok=True)
    drop_partial_line(path)
    if path.exists() and path.stat().st_size:
        return
    text = committed.read_text(encoding="utf-8") if committed.is_file() else ""
    path.write_text(text or csv_line(probe.columns), encoding="utf-8")


def read(path: Path, probe: Probe) -> pd.DataFrame:
    """The rows of a probe's file; none where there is no file."""
    lines: list[dict[str, str]] = []
    if path.is_file():
        with open(path, encoding="utf-8", newline="") as file:
            lines = list(csv.DictReader(file))
    frame = pd.DataFrame(lines, columns=list(probe.columns))
    return frame.astype({"step": float, **dict.fromkeys(probe.quantities, float)})


def _of(rows: pd.DataFrame, subject: Subject, weights: dict[str, str]) -> pd.DataFrame:
    """The rows of a codec with these weights of each point."""
    same = rows["weights"] == rows["point"].map(weights)
    return rows[same & (rows["codec"] == subject.codec)]


def curve(rows: pd.DataFrame, quantities: Sequence[str]) -> pd.DataFrame:
    """Means over the images, one row per rate point."""
    return rows.groupby(["point", "step"], sort=False)[list(quantities)].mean()


def label(subject: Subject, rows: pd.DataFrame, request: Request) -> str:
    """The codec's name, and how many images there are where not all were measured."""
    count, whole = rows["image"].nunique(), len(request.dataset.paths)
    return subject.label if count == whole else f"{subject.label} ({count} of {whole})"


def db(error: float, energy: float = 1.0) -> float:
    """How far a mean squared error is below an energy, in dB.

    >>> f"{db(0.001):.1f}"
    '30.0'
    """
    return 10 * math.log10(energy / error)
