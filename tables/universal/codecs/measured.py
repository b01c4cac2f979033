"""Rows of trained curves: which were trained, what was measured of them, and differences."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from torch import nn

from tables.common.experiment import Cell, Request, attempt
from tables.common.harness import RatePoint, bd_rate, means
from tables.common.rows import rows_of
from tables.common.subjects import Subject
from tables.universal.codecs.train import RUNS, Curve, trained

Ways = Mapping[str, tuple[str, str]]
"""By name, trained curve and configuration."""


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
    ways: Ways, images: Sequence[str], architecture: str, request: Request
) -> dict[str, pd.DataFrame]:
    """Rows of each way on these images, or all where none are named, without ways of no rows."""
    paths = request.dataset.paths
    paths = tuple(path for path in paths if path.stem in images) if images else paths
    asked = replace(request, dataset=replace(request.dataset, paths=paths))
    configs: dict[str, list[str]] = {}
    for curve, config in ways.values():
        configs.setdefault(curve, []).append(config)
    subjects = {curve: subject_of(curve, architecture).shown_in(request) for curve in configs}
    rows = {curve: rows_of(subjects[curve], own, asked) for curve, own in configs.items()}
    if images:  # committed rows may be of more
        names = asked.dataset.names
        rows = {curve: own[own["image"].isin(names)] for curve, own in rows.items()}
    found = {way: rows[c][rows[c]["config"] == config] for way, (c, config) in ways.items()}
    return {way: own for way, own in found.items() if len(own)}


def differences(found: Mapping[str, pd.DataFrame], against: str) -> Iterator[Cell]:
    """BD-rate of each way against rounding, in both qualities."""
    base = found.get(against)
    for way, rows in found.items():
        if base is None or way == against or rows["point"].nunique() < 4:
            continue
        for column, quality in (("BD-rate, PSNR", "psnr_db"), ("BD-rate, MS-SSIM", "ms_ssim")):
            curves = [means(own).sort_values("bpp") for own in (base, rows)]
            given = [curve[q].to_numpy() for curve in curves for q in ("bpp", quality)]
            if quality == "ms_ssim":
                given[1::2] = [-10 * np.log10(1 - own) for own in given[1::2]]
            value, why = attempt(lambda given=given: bd_rate(*given))  # type: ignore[misc]
            yield Cell(way, column, value, note=why)
