"""Rows of trained curves: which were trained, what was measured of them, and differences."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from torch import nn

from tables.common.experiment import Cell, Request, attempt
from tables.common.harness import MIN_POINTS, RatePoint, bd_rate, complete_rows, means
from tables.common.rows import rows_of
from tables.common.subjects import Subject
from tables.universal.codecs.train import RUNS, Curve, trained


@dataclass(frozen=True)
class Way:
    """One way to send a model's latents."""

    curve: str
    """As it was trained."""
    config: str
    images: Collection[str] = ()
    """On which it is measured; empty: all."""

    def of(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Its own among rows of its curve."""
        here = rows["image"].map(lambda name: not self.images or Path(name).stem in self.images)
        return rows[here.astype(bool) & (rows["config"] == self.config)]


@dataclass(frozen=True)
class Load:
    """Load a trained point; equal, in any process, to what loads the same."""

    curve: str
    number: int

    def __call__(self) -> nn.Module:
        return trained(self.curve, self.number)


def subject_of(curve: str, architecture: str) -> Subject:
    """Its points that were trained."""
    count = len(Curve.named(curve).lambdas)
    here = [k for k in range(1, count + 1) if (RUNS / f"{curve}-{k}.best.pt").is_file()]
    points = tuple(RatePoint(f"{curve}-{k}", Load(curve, k)) for k in here)
    return Subject(curve, curve, points, architecture=architecture, needs=f"needs {RUNS}/{curve}-*")


def measured(
    ways: Mapping[str, Way], architecture: str, request: Request
) -> dict[str, pd.DataFrame]:
    """Rows of each way, without ways that have none."""
    configs: dict[tuple[str, tuple[str, ...]], list[str]] = defaultdict(list)
    for way in ways.values():
        configs[way.curve, tuple(way.images)].append(way.config)
    rows: dict[str, pd.DataFrame] = {}
    for (curve, images), own in configs.items():
        subject = subject_of(curve, architecture).shown_in(request)
        rows[curve, images] = rows_of(subject, own, _on(images, request))
    found = {name: way.of(rows[way.curve, tuple(way.images)]) for name, way in ways.items()}
    return {name: own for name, own in found.items() if len(own)}


def _on(images: Collection[str], request: Request) -> Request:
    """The same of these images of its data set."""
    if not images:
        return request
    paths = tuple(path for path in request.dataset.paths if path.stem in images)
    return replace(request, dataset=replace(request.dataset, paths=paths))


def curves(found: Mapping[str, pd.DataFrame]) -> Iterator[Cell]:
    """The points of each way: means over its images."""
    for way, rows in found.items():
        for _, point in means(rows).sort_values("bpp").iterrows():
            row = f"{way}, {point['point']}, {point['images']} images"
            for column in ("bpp", "psnr_db", "ms_ssim"):
                yield Cell(row, column, point[column], unit="")


def differences(found: Mapping[str, pd.DataFrame], against: str) -> Iterator[Cell]:
    """BD-rate of each way against rounding, in both qualities, on the images that both have."""
    base = found.get(against)
    for way, rows in found.items():
        if base is None or way == against or rows["point"].nunique() < MIN_POINTS:
            continue
        for column, quality in (("BD-rate, PSNR", "psnr_db"), ("BD-rate, MS-SSIM", "ms_ssim")):
            value, why = attempt(partial(_difference, base, rows, quality))
            yield Cell(way, column, value, note=why)


def _difference(base: pd.DataFrame, rows: pd.DataFrame, quality: str) -> float:
    """BD-rate in percent of the means of the images that both have."""
    common = set(_whole(base)) & set(_whole(rows))
    given = list[NDArray[np.float64]]()
    for own in (base, rows):
        curve = means(own[own["image"].isin(common)]).sort_values("bpp")
        values = curve[quality].to_numpy()
        given += [
            curve["bpp"].to_numpy(),
            -10 * np.log10(1 - values) if quality == "ms_ssim" else values,
        ]
    return bd_rate(*given)


def _whole(rows: pd.DataFrame) -> Iterable[str]:
    return complete_rows(rows)["image"].unique()
