"""Measure what a plan's file does not hold yet: many may measure, one writes."""

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pandas as pd
from tqdm import tqdm

from latentopt.bench.measure import loaded, measuring
from latentopt.bench.store import ResultsFile, read_rows
from latentopt.bench.task import Plan, Task
from latentopt.engine import LOCAL, Engine


def evaluate(
    plan: Plan, csv_path: Path, progress: bool = True, engine: Engine = LOCAL
) -> pd.DataFrame:
    """Measure what ``csv_path`` does not hold yet; return the rows of this plan.

    Raises:
        InputError: the file holds rows of other settings, weights or images, or is damaged.
    """
    with (
        ResultsFile(csv_path, plan.settings) as results,
        tqdm(
            total=sum(len(plan.cells(point)) for point in plan.points) * len(plan.items),
            unit=plan.medium.unit,
            disable=not progress,
            mininterval=_refresh_s(),
        ) as bar,
    ):
        for task, rows in engine.run(measuring, _pending(plan, results, bar)):
            cell = task.cell
            bar.set_description(f"{cell.point.name} step {cell.step:g} {cell.config.name}", False)
            for row in rows:
                results.append(replace(row, engine=engine.label))
                bar.update()
    return _rows_of(plan, read_rows(csv_path))


def _pending(plan: Plan, results: ResultsFile, bar: "tqdm[None]") -> Iterator[Task]:
    """What is left to measure, point by point, whose weights are looked at as it comes."""
    for item in plan.items:
        results.check_image(item.name, item.sha256)
    for point in plan.points:
        results.check_weights(plan.codec, point.name, loaded(point).weights)
        tasks = list(plan.tasks(point, results))
        pending = sum(len(task.items) for task in tasks)
        bar.update(len(plan.cells(point)) * len(plan.items) - pending)
        yield from tasks


def _refresh_s() -> float:
    """Seconds between updates of the progress bar: a log file would fill with them."""
    return 0.1 if sys.stderr.isatty() else 15.0


def _rows_of(plan: Plan, rows: pd.DataFrame) -> pd.DataFrame:
    """The file may hold more points, configurations or images than were asked for this time."""
    wanted = (
        (rows["codec"] == plan.codec)
        & rows["point"].isin([p.name for p in plan.points])
        & rows["step"].isin([float(s) for s in plan.steps])
        & rows["config"].isin([c.name for c in plan.configs])
        & rows["image"].isin(plan.dataset.names)
    )
    return rows[wanted].reset_index(drop=True)
