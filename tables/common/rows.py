"""Rows of `latentopt.bench` for a table: resumed from its folder, seeded from committed ones."""

import csv
import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd
import torch

from latentopt import __version__
from latentopt.bench.configs import parse_all
from latentopt.bench.evaluate import Plan, evaluate, weights_hash
from latentopt.bench.media import Images, Medium
from latentopt.bench.results import (
    COLUMNS,
    Measurement,
    ResultsFile,
    Settings,
    read_measurements,
    read_rows,
)
from latentopt.bench.summary import BASELINE, summarise
from tables.experiment import Request
from tables.subjects import Subject


def rows_of(
    subject: Subject, configs: Sequence[str], request: Request, medium: Medium | None = None
) -> pd.DataFrame:
    """All rows of a codec on the data: what is missing of the configurations is measured."""
    wanted = [c for c in configs if request.configs is None or c in (BASELINE, *request.configs)]
    plan = Plan(
        subject.codec,
        subject.points,
        parse_all(wanted),
        request.dataset,
        steps=subject.steps,
        device=request.device,
        medium=medium or Images(),
    )
    path = request.rows / f"{stem(subject, request)}.csv"
    seed(path, plan, request.committed)
    if request.run:
        evaluate(plan, path, request.progress)
    rows = read_rows(path)
    here = rows["image"].isin(request.dataset.names) & rows["point"].isin(
        [p.name for p in subject.points]
    )
    return rows[here & (rows["codec"] == subject.codec) & rows["step"].isin(subject.steps)]


def seed(path: Path, plan: Plan, committed: Path) -> int:
    """Copy the committed rows that agree with a plan, weights and settings too; how many."""
    label = plan.medium.label(plan.dataset.name)
    settings = Settings(label, plan.device, torch.get_num_threads(), plan.batch_size, __version__)
    agreeing = [row for row in rows_in(committed) if _agrees(row, plan, settings)]
    hashes = {p.name: weights_hash(p.load()) for p in plan.points if agreeing}
    copied = 0
    with ResultsFile(path, settings) as results:
        for row in agreeing:
            key = (row.codec, row.point, row.step, row.config, row.image)
            if row.weights == hashes[row.point] and key not in results:
                results.append(row)
                copied += 1
    return copied


def rows_in(folder: Path) -> Iterator[Measurement]:
    """The rows of all files of measurements in a folder, which may hold others."""
    for path in sorted(folder.glob("*.csv")):
        if is_measurements(path):
            yield from read_measurements(path)


def is_measurements(path: Path) -> bool:
    """Whether a CSV file holds rows of the harness."""
    with open(path, encoding="utf-8", newline="") as file:
        return tuple(next(csv.reader(file), [])) == COLUMNS


def _agrees(row: Measurement, plan: Plan, settings: Settings) -> bool:
    """Whether a row is what the plan would measure, but for its weights."""
    version = row.latentopt.split("+")[0]
    same = Settings(row.data, row.device, row.threads, row.batch_size, version) == settings
    points = {p.name for p in plan.points}
    of_plan = row.codec == plan.codec and row.point in points and row.step in plan.steps
    return same and of_plan and row.image in plan.dataset.names


def difference(rows: pd.DataFrame, config: str, column: str) -> tuple[float, str]:
    """A column of the summary for one configuration against the baseline; and why it is NaN."""
    pair = rows[rows["config"].isin([BASELINE, config])]
    if config not in set(pair["config"]):
        return math.nan, "not measured"
    if pair.groupby("config")[["point", "step"]].nunique().nunique().max() > 1:
        return math.nan, "measured in part"
    lines = summarise(pair)
    if lines.empty:
        return math.nan, "no image has all rate points"
    value, images = float(lines[column].iloc[0]), int(lines["images"].iloc[0])
    whole = rows["image"].nunique()
    note = f"{images} of {whole} images" if images < whole else ""
    return value, note if value == value else str(lines["reason"].iloc[0])


def stem(subject: Subject, request: Request) -> str:
    """Of the name of a file with measurements, whose settings are all the same."""
    device = "" if request.device == "cpu" else f"-{slug(request.device)}"
    return f"{slug(request.dataset.name)}-{slug(subject.label)}{device}"


def slug(text: str) -> str:
    """Part of a file's name.

    >>> slug("lab-mean-1…4"), slug("factorized q2, steps")
    ('lab-mean-1-4', 'factorized-q2-steps')
    """
    return re.sub(r"[^A-Za-z0-9]+", "-", text).strip("-")
