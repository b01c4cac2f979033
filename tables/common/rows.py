"""Rows of the harness for a table: resumed from its folder, seeded from committed ones."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd
import torch

from latentopt import __version__
from tables.common.experiment import Request, attempt
from tables.common.harness import (
    BASELINE,
    COLUMNS,
    Images,
    Measurement,
    Medium,
    Plan,
    ResultsFile,
    Settings,
    bd_rate,
    evaluate,
    means,
    parse_all,
    read_measurements,
    read_rows,
    weights_hash,
)
from tables.common.places import TABLES, coded_files, rows_file
from tables.common.subjects import Subject

_KEY = ["codec", "point", "step", "config", "image"]
_NAMES = ("codec", "point", "config", "image", "weights", "latentopt", "sha256", "engine")
_WORDS = dict.fromkeys(_NAMES, object)  # frames of Arrow strings take half again as long


def rows_of(
    subject: Subject, configs: Sequence[str], request: Request, medium: Medium | None = None
) -> pd.DataFrame:
    """All rows of a codec on the data: what is missing of the configurations is measured."""
    medium = medium or Images()
    label, codec = medium.label(request.dataset.name), on_device(subject, request)
    if not subject.points:
        return recorded(request.committed, label, codec)
    wanted = [c for c in configs if request.configs is None or c in (BASELINE, *request.configs)]
    plan = Plan(
        subject.codec,
        subject.points,
        parse_all(wanted),
        request.dataset,
        steps=subject.steps,
        device=request.device,
        medium=medium,
    )
    path = rows_file(request.rows, TABLES, label, codec)
    seed(path, plan, coded_files(request.committed, label, codec))
    if request.run:
        evaluate(plan, path, request.progress, request.engine)
    rows = read_rows(path)
    here = rows["image"].isin(request.dataset.names) & rows["point"].isin(
        [p.name for p in subject.points]
    )
    return rows[here & (rows["codec"] == subject.codec) & rows["step"].isin(subject.steps)]


def recorded(folder: Path, data: str, codec: str) -> pd.DataFrame:
    """The rows of all runs; of what several of them measured, the first's."""
    frames = [read_run(path) for path in coded_files(folder, data, codec)]
    if not frames:
        return pd.DataFrame(columns=list(COLUMNS))
    return pd.concat(frames, ignore_index=True).drop_duplicates(_KEY)


def read_run(path: Path) -> pd.DataFrame:
    """The rows of a committed file, read faster than one by one."""
    return pd.read_csv(path, dtype=_WORDS, float_precision="round_trip")


def on_device(subject: Subject, request: Request) -> str:
    """What files call a codec: bytes and times of a GPU do not mix with those of a CPU."""
    return subject.label if request.device == "cpu" else f"{subject.label} {request.device}"


def seed(path: Path, plan: Plan, committed: Sequence[Path]) -> int:
    """Copy the committed rows that agree with a plan, weights and settings too; how many."""
    label = plan.medium.label(plan.dataset.name)
    settings = Settings(label, plan.device, torch.get_num_threads(), plan.batch_size, __version__)
    agreeing = [row for row in _rows_in(committed) if _agrees(row, plan, settings)]
    hashes = {p.name: weights_hash(p.load()) for p in plan.points if agreeing}
    copied = 0
    with ResultsFile(path, settings) as results:
        for row in agreeing:
            key = (row.codec, row.point, row.step, row.config, row.image)
            if row.weights == hashes[row.point] and key not in results:
                results.append(row)
                copied += 1
    return copied


def _rows_in(files: Sequence[Path]) -> Iterator[Measurement]:
    for path in files:
        yield from read_measurements(path)


def _agrees(row: Measurement, plan: Plan, settings: Settings) -> bool:
    """Whether a row is what the plan would measure, but for its weights."""
    version = row.latentopt.split("+")[0]
    same = Settings(row.data, row.device, row.threads, row.batch_size, version) == settings
    points = {p.name for p in plan.points}
    of_plan = row.codec == plan.codec and row.point in points and row.step in plan.steps
    return same and of_plan and row.image in plan.dataset.names


def difference(rows: pd.DataFrame, config: str) -> tuple[float, str]:
    """BD-rate (pchip, percent) of the means against the baseline's; and why it is NaN."""
    pair = rows[rows["config"].isin([BASELINE, config])]
    if config not in set(pair["config"]):
        return math.nan, "not measured"
    if pair.groupby("config")[["point", "step"]].nunique().nunique().max() > 1:
        return math.nan, "measured in part"
    curves = means(pair)
    if curves.empty:
        return math.nan, "no image has all rate points"
    base, own = (curves[curves["config"] == name] for name in (BASELINE, config))
    quantities = [frame[q].to_numpy() for frame in (base, own) for q in ("bpp", "psnr_db")]
    value, reason = attempt(lambda: bd_rate(*quantities))
    images, whole = int(curves["images"].iloc[0]), rows["image"].nunique()
    return value, reason or f"{images} of {whole} images" * (images < whole)
